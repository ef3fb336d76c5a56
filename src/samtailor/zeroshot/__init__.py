"""Zero-shot baselines: what a base model finds without fitting, and how well the best of it would do."""
