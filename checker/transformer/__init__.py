"""Transformers of any depth: the function itself, on single inputs."""
