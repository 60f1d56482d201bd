"""Runs Python beside a real, unlocked or locked gnome-keyring on a D-Bus session of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.support.requires import require_program

if TYPE_CHECKING:
    from pathlib import Path

# A collection is locked from outside, as the desktop does after a pause; gnome-keyring asks for the password
# of one it finds locked, and with no screen to ask on, the request ends as one that was dismissed.
_LOCK: Final = """\
import secretstorage
bus = secretstorage.dbus_init()
collection = secretstorage.get_default_collection(bus)
collection.lock()
assert collection.is_locked()
"""


def run_with_keyring(
    code: str, home: Path, *, before_locking: str | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run this Python where keyring finds a Secret Service; return its exit status and output.

    With `before_locking`, that code runs first; then the keyring is locked, and stays so for `code`.
    """
    require_program("dbus-run-session", "gnome-keyring-daemon")
    runtime = home / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    # The desktop's bus and keyring stay out of reach, and so does its screen: a prompt must not appear there.
    hidden = ("DBUS_", "XDG_", "PYTHON_KEYRING", "DISPLAY", "WAYLAND_DISPLAY", "GNOME_KEYRING")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}
    steps = ["printf password | gnome-keyring-daemon --unlock --components=secrets >/dev/null"]
    if before_locking is not None:
        steps += [_python(before_locking), _python(_LOCK)]
    steps.append(_python(code))
    return subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", " && ".join(steps)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])
