"""The untrusted side: trains models, searches for proofs with named strategies, writes certificates."""
