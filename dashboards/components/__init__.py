"""Functions that draw widgets and return the choice."""
