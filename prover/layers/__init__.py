"""What strategies about one hidden layer on two inputs share: tables, searches, surrogates."""
