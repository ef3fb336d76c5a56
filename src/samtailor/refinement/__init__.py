"""What is done to a label map after the network: each step one file, named in `STEPS`."""
