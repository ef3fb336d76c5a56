"""Inference: a fitted segmenter applied to cases, window by window, and written on the grid of the input."""
