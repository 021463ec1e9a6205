"""Rules about attention-only transformers on sequences of tokens, and what these rules share."""
