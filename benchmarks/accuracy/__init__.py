"""How good a segmenter is after a given time: ours beside the report's recipe and networks trained from scratch."""
