"""``python -m bayesmix.cli``."""

import sys

from bayesmix.cli import main

if __name__ == "__main__":
    sys.exit(main())
