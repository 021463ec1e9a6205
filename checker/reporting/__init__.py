"""What is said about a check and its outcome: no verdict depends on anything here."""
