"""Rules that any family of models may use, and what rules of several families share."""
