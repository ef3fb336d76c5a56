"""Evaluation: scores of predicted cases with their tables, files and figures, and comparison of results."""
