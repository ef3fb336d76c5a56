"""Metrics: voxel overlap of label maps and the named rules for absent classes."""
