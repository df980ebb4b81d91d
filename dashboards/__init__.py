"""Dashboards show features in a browser."""
