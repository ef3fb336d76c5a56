"""Robustness of runs: DSC under every corruption and severity, corruption error beside a baseline's, one page."""
