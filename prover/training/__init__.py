"""Training from scratch, and fine-tuning towards a proof."""
