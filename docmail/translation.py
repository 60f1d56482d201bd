"""Says docmail's sentences in the reader's language (gettext catalogues below `locale/`).

Every sentence for a user is written as ``_("... {name} ...").format(name=...)``: translators see the whole sentence,
and the language is looked up at the moment of speaking, so that one process can serve two readers.
"""

from __future__ import annotations

import gettext
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCALE = Path(__file__).parent / "locale"

_chosen: ContextVar[str | None] = ContextVar("docmail_language", default=None)


@cache
def _catalogue(language: str | None) -> gettext.NullTranslations:
    # None lets gettext read LANGUAGE, LC_ALL, LC_MESSAGES and LANG; an unknown language speaks English.
    return gettext.translation("docmail", LOCALE, [language] if language else None, fallback=True)


def current() -> str:
    """Return the code of the language in force; "en" where there is no catalogue for the one that is wished."""
    return _catalogue(_chosen.get()).info().get("language", "en")


def _(message: str) -> str:
    """Return the message in the current language."""
    return _catalogue(_chosen.get()).gettext(message)


def ngettext(singular: str, plural: str, number: int) -> str:
    """Return the form of the message that fits the number, in the current language."""
    return _catalogue(_chosen.get()).ngettext(singular, plural, number)


@contextmanager
def language(code: str | None) -> Iterator[None]:
    """Speak this language inside the block (None: the environment's)."""
    token = _chosen.set(code)
    try:
        yield
    finally:
        _chosen.reset(token)
