"""Knows where this user's settings and outbox live, where those of a rehearsal do, and whether a person is there.

A `Home` is a pair of places. Normally they are the platform's folders, or `DOCMAIL_HOME`; an open sandbox puts a home
of its own in front, so that nothing rehearsed touches the user's settings or counts as sent. What has settings asks
them (`Settings.recorded_in`, `Settings.kept_in`); the home in force serves only what has none.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from docmail.errors import SettingsError
from docmail.files import open_to_others, reason_of
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARED_SANDBOX = "sandbox"
"""The profile name that stands for the sandbox which several notebooks share."""

SANDBOX_FILE = "server.json"
"""A file that a sandbox leaves in its folder; it marks the folder as a sandbox's after the sandbox has closed."""


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

    def check_open(self) -> None:
        """Raise `SettingsError` if it is that of a sandbox which has closed, or if other people can write into it."""
        try:
            self._check_open()
        except OSError as exc:
            folder = self.settings_file.parent
            raise SettingsError(
                _("The folder {path} cannot be used: {reason}.").format(path=folder, reason=reason_of(exc, folder)),
                hint=_("Set DOCMAIL_HOME to a folder of your own."),
            ) from exc

    def _check_open(self) -> None:
        for folder in {self.settings_file.parent, self.outbox.parent}:
            if unsafe := open_to_others(folder):
                raise SettingsError(unsafe[0], hint=unsafe[1])
        if self.rehearsal and not self.settings_file.parent.exists():
            raise SettingsError(
                _("The sandbox of these settings is closed; nothing was sent."),
                hint=_("Open a new sandbox and use its settings, or use the settings of an account."),
            )


_rehearsals: list[Home] = []
_outside: ContextVar[bool] = ContextVar("_outside", default=False)  # for one thread: a run in another one rehearses on


def user_home() -> Home:
    """Return the user's own home: `DOCMAIL_HOME`, else the platform's folders.

    Raises `SettingsError` for a user without a home folder, as the number under which a container runs may be.
    """
    if folder := os.environ.get("DOCMAIL_HOME"):
        # Unlike Path's, this expanduser() leaves an unknown ~user as it is.
        folder = os.path.expanduser(folder)  # noqa: PTH111
        if folder == "~" or folder.startswith("~/"):
            raise _homeless()
        return Home.below(Path(folder).absolute())
    return Home(
        _platform_folder(platformdirs.user_config_path) / "settings.json",
        _platform_folder(platformdirs.user_data_path) / "outbox",
    )


def _platform_folder(place: Callable[..., Path]) -> Path:
    """Return one of this user's folders; raises `SettingsError` for a user who has none."""
    try:
        folder = place("docmail", appauthor=False)
    except RuntimeError:
        raise _homeless() from None
    if not folder.is_absolute():  # "~/.config" of an older platformdirs would become a folder called "~"
        raise _homeless()
    return folder


def _homeless() -> SettingsError:
    number = os.geteuid() if hasattr(os, "geteuid") else "?"
    return SettingsError(
        _("docmail has no place for the settings and the record of mail: user {number} has no home folder.").format(
            number=number
        ),
        hint=_("Set DOCMAIL_HOME to a folder that is kept, such as one on a mounted volume."),
    )


def shared_sandbox() -> Path:
    """Return the folder of the sandbox that this user's notebooks share."""
    return user_home().outbox.parent / SHARED_SANDBOX


def memory_of_records() -> Path:
    """Return the folder in which the user's docmail remembers how far each record of mail had come.

    It belongs to no home, so that a home that is restored from a backup does not bring it along. Raises `SettingsError`
    for a user without a home folder.
    """
    return _platform_folder(platformdirs.user_state_path) / "records"


def current() -> Home:
    """Return the home in force: that of the sandbox opened last, else the user's own."""
    return _rehearsals[-1] if _rehearsals and not _outside.get() else user_home()


@contextmanager
def outside_rehearsals() -> Iterator[None]:
    """Have the user's own home in force in this thread, whatever sandbox is open."""
    before = _outside.set(True)
    try:
        yield
    finally:
        _outside.reset(before)


def is_rehearsed(home: Home | None) -> bool:
    """Say whether a home is a sandbox's; None stands for the one in force, of a user who may have none."""
    return home.rehearsal if home is not None else bool(_rehearsals)


def of_profile(name: str) -> Home:
    """Return the home in which a profile is saved: the one in force, or that of the shared sandbox."""
    home = current()
    if name == SHARED_SANDBOX and not home.rehearsal:
        return Home.below(shared_sandbox(), rehearsal=True)
    return home


def of_record(folder: Path) -> Home | None:
    """Return the home whose record of mail is in this folder; None for a folder that the caller has chosen.

    A record anywhere in an open sandbox's folder is the sandbox's: it goes when the sandbox does.
    """
    folder = folder.resolve()
    with suppress(SettingsError):  # a user without a home can have a record in a folder of her choice
        if folder == (home := user_home()).outbox.resolve():
            return home
    for home in reversed(_rehearsals):
        if folder == home.outbox.resolve() or home.settings_file.parent.resolve() in folder.parents:
            return replace(home, outbox=folder)
    home = Home.below(folder.parent, rehearsal=True)
    return home if folder == home.outbox and (folder.parent / SANDBOX_FILE).is_file() else None


def begin_rehearsal(home: Home) -> None:
    """Put a sandbox's home in front of the user's."""
    _rehearsals.append(home)


def end_rehearsal(home: Home) -> None:
    """Take a sandbox's home away again; sandboxes may close in any order."""
    _rehearsals.remove(home)


# --- whether a person is there, and before what ---

_terminals: list[None] = []


@contextmanager
def at_terminal() -> Iterator[None]:
    """Have hints say what can be done at the command line, where there is no form and no kernel."""
    _terminals.append(None)
    try:
        yield
    finally:
        _terminals.pop()


def hint_for(*, notebook: str, terminal: str) -> str:
    """Return the one of two hints that serves where this is read."""
    return terminal if _terminals else notebook


def said_unattended() -> bool | None:
    """Return what `DOCMAIL_UNATTENDED` says ("yes" or "no"), None if it says nothing.

    Raises `SettingsError` for another value.
    """
    said = os.environ.get("DOCMAIL_UNATTENDED", "").strip()
    if not said:
        return None
    if said.casefold() not in {"yes", "no"}:
        raise SettingsError(
            _("DOCMAIL_UNATTENDED is “{value}”, which is neither yes nor no; nothing was done.").format(
                value="".join(sign if sign.isprintable() else "·" for sign in said[:64])
            ),
            hint=_(
                "Set it to yes where the notebook runs by itself and to no where a person watches "
                "it, or remove the variable."
            ),
        )
    return said.casefold() == "yes"


def is_unattended() -> bool:
    """Say whether no person is there to answer a question, as when nbconvert or papermill executes a notebook.

    `DOCMAIL_UNATTENDED` decides, else the front end: one that takes no input shows no buttons that work, either.
    """
    if (said := said_unattended()) is not None:
        return said
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila/"):
        return False  # it runs the cells without input, but a person sits before its page
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    get_parent = getattr(getattr(shell, "kernel", None), "get_parent", None)
    # The request that the kernel is at. That of a cell says so; the press of a button does not, and is a person's.
    request: dict[str, Any] = (get_parent("shell") if get_parent is not None else None) or {}
    return request.get("content", {}).get("allow_stdin") is False
