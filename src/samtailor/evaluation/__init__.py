"""Evaluation: scores of a segmenter on a split, their tables, figures and files, and the report page."""
