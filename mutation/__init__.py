"""Mutation tests: does a test fail when one line of the code is wrong? See `python -m mutation --help`."""
