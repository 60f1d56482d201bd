"""Says docmail's sentences in the reader's language (gettext catalogues below `locale/`).

Every sentence for a user is written as ``_("... {name} ...").format(name=...)``: translators see the whole sentence,
and the language is looked up at the moment of speaking, so that one process can serve two readers.
"""

from __future__ import annotations

import gettext
import os
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCALE = Path(__file__).parent / "locale"

_chosen: ContextVar[str | None] = ContextVar("docmail_language", default=None)


@cache
def _catalogue(language: str | None) -> gettext.NullTranslations:
    wished = [language.replace("-", "_")] if language else _wished()
    return gettext.translation("docmail", LOCALE, wished, fallback=True)


def _wished() -> list[str]:
    """Return the languages that the environment names before English, the best first."""
    named = (os.environ.get(name) for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))
    codes = next(filter(None, named), "").split(":")
    # English has no catalogue: gettext itself would pass over it, and speak Afrikaans for "en:af".
    return list(takewhile(lambda code: not code.startswith("en"), codes))


def chosen() -> str | None:
    """Return the language chosen with `language()`; None for the environment's."""
    return _chosen.get()


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
