"""Experiments answer questions: one folder for each system under study."""
