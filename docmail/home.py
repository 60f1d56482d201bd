"""Knows where this user's settings and outbox live, and where those of a rehearsal do.

A `Home` is a pair of places. Normally they are the platform's folders, or `DOCMAIL_HOME`; an open sandbox puts a home
of its own in front, so that nothing rehearsed touches the user's settings or counts as sent.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

SHARED_SANDBOX = "sandbox"
"""The profile name that stands for the sandbox which several notebooks share."""


@dataclass(frozen=True)
class Home:
    """The places of one set of settings and its record of mail."""

    settings_file: Path
    outbox: Path
    rehearsal: bool = False

    @classmethod
    def below(cls, folder: Path, *, rehearsal: bool = False) -> Home:
        """Return the home that keeps everything below one folder."""
        return cls(folder / "settings.json", folder / "outbox", rehearsal)


_rehearsals: list[Home] = []


def user_home() -> Home:
    """Return the user's own home: `DOCMAIL_HOME`, else the platform's folders."""
    if folder := os.environ.get("DOCMAIL_HOME"):
        # Unlike Path's, this expanduser() leaves an unknown ~user as it is.
        return Home.below(Path(os.path.expanduser(folder)).absolute())  # noqa: PTH111
    return Home(
        platformdirs.user_config_path("docmail", appauthor=False) / "settings.json",
        platformdirs.user_data_path("docmail", appauthor=False) / "outbox",
    )


def shared_sandbox() -> Path:
    """Return the folder of the sandbox that this user's notebooks share."""
    return user_home().outbox.parent / SHARED_SANDBOX


def current() -> Home:
    """Return the home in force: that of the sandbox opened last, else the user's own."""
    return _rehearsals[-1] if _rehearsals else user_home()


def begin_rehearsal(home: Home) -> None:
    """Put a sandbox's home in front of the user's."""
    _rehearsals.append(home)


def end_rehearsal(home: Home) -> None:
    """Take a sandbox's home away again; sandboxes may close in any order."""
    _rehearsals.remove(home)
