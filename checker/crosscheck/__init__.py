"""A second arithmetic. No verdict in integers depends on anything here."""
