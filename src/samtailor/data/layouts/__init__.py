"""Folder layouts: where a labelled data set keeps its images, labels, classes and splits."""
