"""What strategies about attention-only transformers share: tables, searches, surrogates."""
