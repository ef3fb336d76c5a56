"""Comparison of results on the same cases: paired differences, their intervals and tests, one page."""
