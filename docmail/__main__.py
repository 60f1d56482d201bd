"""Runs docmail from a terminal: `python -m docmail demo`."""

import sys

from docmail.command_line import main

if __name__ == "__main__":
    sys.exit(main())
