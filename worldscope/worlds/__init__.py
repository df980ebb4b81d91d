"""Worlds label: inputs together with the ground truth that they come from."""
