"""Training: settings, samples, the Lightning task, what a run records, estimates of memory and time."""
