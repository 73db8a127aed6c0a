"""``python -m skinfluence``: the command, where no script is on the path."""

import sys

from skinfluence.command import main

if __name__ == "__main__":
    sys.exit(main())
