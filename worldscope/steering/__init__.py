"""Steering moves features, in a forward pass and during generation."""
