"""Activations record: hooks to rows of numbers, in memory or on disk."""
