"""Rules about one hidden layer on two inputs, and what these rules share."""
