"""What the strategies for transformers of any depth share: the float64 forward pass."""
