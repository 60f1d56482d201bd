"""Builds the documentation site as `make docs` does, but without executing the tutorials."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build_site(folder: Path) -> Path:
    """Build the site below a folder and return where its pages are; a warning of Sphinx's is an `AssertionError`."""
    source, pages = folder / "source", folder / "html"
    source.mkdir(parents=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", str(ROOT / "docs")]
    command += ["-d", str(folder / "doctrees"), "-D", "nb_execution_mode=off", str(source), str(pages)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    said = done.stdout + done.stderr
    assert (done.returncode, said) == (0, ""), said
    return pages
