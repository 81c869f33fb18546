"""One step of the Action: ``python3 step.py NAME``. What it reads stands in the environment, never in arguments."""

import sys

from steps.main import main

sys.exit(main(sys.argv[1:]))
