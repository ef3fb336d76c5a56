"""`python -m samtailor` is the command line."""

import sys

from samtailor.cli import main

if __name__ == "__main__":
    sys.exit(main())
