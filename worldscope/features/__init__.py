"""A feature is a place and a direction: the currency that every room trades in."""
