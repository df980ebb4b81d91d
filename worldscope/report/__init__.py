"""Reports: one HTML file that opens anywhere, offline, and loads nothing."""

from worldscope.report.report import Report

__all__ = ["Report"]
