"""Sharing a fitted segmenter: as a folder with a model card, on the Hugging Face hub, as a merged network."""
