"""Runs every benchmark of this folder, or those named: `python -m tests.benchmarks [name ...]`."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all."""
    # Measured as installed: with compiled modules, which some build machines do not keep.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    folder = Path(__file__).parent
    for name in names or sorted(path.stem for path in folder.glob("[a-z]*.py")):
        importlib.import_module(f"tests.benchmarks.{name}").main()
        print()


main(sys.argv[1:])
