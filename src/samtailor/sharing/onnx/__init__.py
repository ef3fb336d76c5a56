"""A fitted segmenter as ONNX, which runs without torch and without samtailor."""
