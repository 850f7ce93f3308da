"""``python -m bayesmix``, as the command does."""

import sys

from bayesmix.cli import main

if __name__ == "__main__":
    sys.exit(main())
