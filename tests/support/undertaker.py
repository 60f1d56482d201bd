"""Ends servers and removes their folder when the tests are killed and cannot do so themselves."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# Tests that die close their end of this pipe, and the line is never complete. (prctl's PR_SET_PDEATHSIG is no help:
# the kernel forgets it when a process changes its user, as Postfix does.)
_SCRIPT: Final = """\
read -r _ && exit
folder=$1
shift
kill -s TERM -- "$@"
sleep 2
kill -s KILL -- "$@"
rm -rf "$folder"
"""


class Undertaker:
    """Guards these process groups and this folder until dismissed."""

    def __init__(self, folder: Path, groups: list[int]) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", _SCRIPT, "sh", str(folder), *(f"-{group}" for group in groups)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the tests
        )

    def dismiss(self) -> None:
        """Dismiss it: the tests have cleaned up, or are about to."""
        self._process.communicate(b"dismissed\n")
