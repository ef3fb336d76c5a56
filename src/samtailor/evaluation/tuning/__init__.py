"""Which steps after the network gain on validation cases, and with which settings."""
