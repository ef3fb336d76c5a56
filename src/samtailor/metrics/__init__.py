"""Metrics: overlap, surfaces, confusion, small targets, and the protocols that say which count and how."""
