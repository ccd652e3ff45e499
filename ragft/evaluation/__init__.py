"""Judging answers and counting: outcomes, text matching, metrics and statistics."""
