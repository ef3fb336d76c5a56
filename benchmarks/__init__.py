"""Speed and memory of this project beside others on the same work: `make bench`, `python -m benchmarks`."""
