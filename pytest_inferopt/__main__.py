"""``python -m pytest_inferopt`` is the command ``pytest-inferopt``."""

import sys

from pytest_inferopt.cli import main

if __name__ == "__main__":
    sys.exit(main())
