"""Many proofs side by side: sweeps, comparisons, benchmarks, and their report pages."""
