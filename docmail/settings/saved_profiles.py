"""Keeps the named profiles of the settings in one file, which is written whole or not at all.

A file that is damaged, or was written by a newer docmail, is reported with its path and left as it is.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from docmail.addresses import first_control
from docmail.errors import SettingsError
from docmail.files import write_whole
from docmail.language import _

if TYPE_CHECKING:
    from pathlib import Path

_FORMAT = 1  # of the file


def profile_name(profile: str | None) -> str:
    """Return the name of the profile that is meant: this one, else `DOCMAIL_PROFILE`, else "default"."""
    name = profile or os.environ.get("DOCMAIL_PROFILE") or "default"
    if not isinstance(name, str) or not re.fullmatch(r"[^\W_][\w .@+-]{0,63}", name):
        shown = "".join("·" if first_control(character) else character for character in str(name)[:64])
        raise SettingsError(
            _("“{name}” cannot be the name of a profile.").format(name=shown),
            hint=_("Use up to 64 letters, digits and the signs . - _ @ + in it."),
        )
    return name


def read_profiles(path: Path) -> dict[str, Any]:
    """Return what is saved under each name; raise `SettingsError` for a file that is damaged or too new."""
    try:
        text = path.read_text("utf-8-sig")  # some editors begin a file with a byte order mark
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise damaged(path) from exc
    try:
        content = json.loads(text)
        version, stored = content["version"], content["profiles"]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise damaged(path) from exc
    if not isinstance(version, int) or version < 1 or not isinstance(stored, dict):
        raise damaged(path)
    if version > _FORMAT:
        raise SettingsError(
            _("The settings in {path} were written by a newer docmail; they are left as they are.").format(path=path),
            hint=_("Update docmail, or set DOCMAIL_HOME to another folder."),
        )
    return stored


def damaged(path: Path) -> SettingsError:
    """Return the error for a file that holds something else than profiles."""
    return SettingsError(
        _("The settings file {path} is damaged or cannot be read; it is left as it is.").format(path=path),
        hint=_("Repair it, or move it away and fill in docmail.SettingsForm() again."),
    )


def write_profiles(path: Path, stored: dict[str, Any]) -> None:
    """Write the file whole or not at all, readable by its owner only."""
    text = json.dumps({"version": _FORMAT, "profiles": stored}, indent=2, ensure_ascii=False)
    # What UTF-8 cannot hold, a lone surrogate that somebody wrote as \ud800, becomes that escape again.
    write_whole(path, f"{text}\n".encode("utf-8", "backslashreplace"), durable=True)
