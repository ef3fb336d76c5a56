"""SamTailor: fit Segment Anything models to your own classes."""
