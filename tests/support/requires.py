"""Skips a test in a sentence when something of the machine is missing; with DOCMAIL_REQUIRE_ALL=1 fails it.

A developer without Postfix should still be able to run the rest. In continuous integration a test that
quietly stopped running looks like one that passes, so there nothing may be missing.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

# Servers live in sbin, which is not on the PATH of ordinary users.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])

_PACKAGES = {
    "chromium": "chromium",
    "cron": "cron",
    "dbus-run-session": "dbus",
    "dovecot": "dovecot-core",
    "gnome-keyring-daemon": "gnome-keyring",
    "mutt": "mutt",
    "node": "nodejs",
    "postfix": "postfix",
    "systemd-analyze": "systemd",
}


def require_program(*names: str) -> str:
    """Return the path of the (last) program; skip the test, naming the line to run, if one is missing."""
    missing = [name for name in names if shutil.which(name, path=_PATH) is None]
    if missing:
        packages = " ".join(sorted({_PACKAGES.get(name, name) for name in missing}))
        unavailable(f"{', '.join(missing)} not found; run: sudo apt-get install -y {packages}")
    return str(shutil.which(names[-1], path=_PATH))


def require_axe() -> str:
    """Return the source of axe-core, which looks for barriers in a page; skip the test if it is not installed."""
    return (require_npm("axe-core") / "axe.min.js").read_text("utf-8")


def require_npm(package: str) -> Path:
    """Return the folder of a package of npm; skip the test if it is not installed."""
    folder = Path(sys.prefix) / "npm" / "node_modules" / package
    if not folder.is_dir():
        unavailable(f"{package} not found; install npm, and run: make test")
    return folder


def require_root(what: str) -> None:
    """Skip the test, naming what needs it, unless it runs as root."""
    if os.geteuid() != 0:
        unavailable(f"{what} needs root; run: sudo make test")


def unavailable(reason: str) -> NoReturn:
    """End the test as skipped, or as failed when everything is required."""
    if everything_required():
        pytest.fail(f"{reason} (DOCMAIL_REQUIRE_ALL=1: skipping is not allowed)", pytrace=False)
    pytest.skip(reason)


def everything_required() -> bool:
    """Say whether a skipped test counts as a failure."""
    return os.environ.get("DOCMAIL_REQUIRE_ALL") == "1"
