"""Keeps the look of each profile in files beside the settings: a snapshot, whatever becomes of the files it came from.

It is in a file of its own, so that an older docmail, which knows nothing of it, saves settings without losing it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from docmail.errors import SettingsError
from docmail.files import JsonFile, make_folder, reason_of, write_whole
from docmail.language import _
from docmail.look.value import Look

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["keep", "kept"]

_FILES = ("logo", "font")
_OTHERS = tuple(each.name for each in fields(Look) if each.name not in _FILES)


def keep(look: Look, folder: Path, profile: str) -> None:
    """Keep the look of a profile in a `folder` of settings; `Look.PLAIN` takes it away. Raises `SettingsError`.

    >>> docmail.look.keep(docmail.look.Look("Example Ltd"), folder, "default")
    >>> docmail.look.kept(folder, "default").name
    'Example Ltd'
    """
    if look == Look.PLAIN and not (folder / "looks.json").exists():
        return
    entry: dict[str, Any] = {name: value for name in _OTHERS if (value := getattr(look, name))}
    contents = folder / "looks"
    try:
        for name in _FILES:
            if content := getattr(look, name):
                make_folder(contents)
                entry[name] = digest = hashlib.sha256(content).hexdigest()
                if not (contents / digest).exists():
                    write_whole(contents / digest, content, durable=True)
    except OSError as exc:
        raise SettingsError(
            _("This cannot be saved in {path}: {reason}.").format(path=contents, reason=reason_of(exc, contents)),
            hint=_("Free the disk or the folder, or set DOCMAIL_HOME to a folder you can write to."),
        ) from exc
    with _file(folder).changing() as stored:
        stored.pop(profile, None)
        if look != Look.PLAIN:
            stored[profile] = entry
        needed = {each.get(name) for each in stored.values() for name in _FILES}
    with suppress(OSError):  # what is not needed any more does no harm
        for path in contents.iterdir():
            if path.name not in needed:
                path.unlink()


def kept(folder: Path, profile: str) -> Look | None:
    """Return the look that a profile has in a `folder` of settings; None if it has none. Raises `SettingsError`.

    >>> docmail.look.kept(folder, "nobody") is None
    True
    """
    path = folder / "looks.json"
    try:
        found = path.stat()
    except OSError:
        return None
    return _kept(folder, profile, (found.st_mtime_ns, found.st_size, found.st_ino))


@lru_cache(16)
def _kept(folder: Path, profile: str, _version: tuple[int, ...]) -> Look | None:
    for attempt in range(2):
        entry = _file(folder).read().get(profile)
        if entry is None:
            return None
        values = {name: entry[name] for name in _OTHERS if name in entry}
        try:
            values |= {name: _content(folder / "looks" / entry[name]) for name in _FILES if name in entry}
            return Look.again(**values)
        except OSError as exc:
            if attempt:  # the first time, another program may have changed the look meanwhile
                raise _file(folder).damaged() from exc
    return None


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.name:
        raise OSError
    return content


def _file(folder: Path) -> JsonFile:
    return JsonFile(folder / "looks.json", "looks", SettingsError, lambda entry: isinstance(entry, dict))
