"""Probes find features with labels."""
