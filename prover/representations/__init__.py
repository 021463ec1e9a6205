"""Representations searched by what they prove."""
