"""What a reply means, and the look-up of replies that are known by their text: those of `known.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from docmail.errors import TREATMENT, Field, Kind, SendError
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docmail.reply import Reply

_LOOKED_AT = 2000  # characters of a reply


@dataclass(frozen=True)
class Meaning:
    """What a reply means: the kind of failure, a sentence, what to do, the field to change and the guide."""

    kind: Kind
    message: str
    hint: str
    field: str | None = None
    guide: str | None = None

    def error(self, phase: str, reply: Reply | None = None, **details: Any) -> SendError:
        """Return the exception of this kind; its sentence ends with the reply text, if there is a reply."""
        message = self.message
        if reply is not None:
            message = _("{what} It said: {reply}").format(what=message, reply=sentence(str(reply)))
        return TREATMENT[self.kind].error(
            message,
            kind=self.kind,
            phase=phase,
            reply=reply,
            hint=self.hint,
            field=self.field,
            guide=self.guide,
            **details,
        )


@dataclass(frozen=True)
class KnownReply:
    """A reply that is known by its text; the fields are explained at the top of `known.toml`."""

    pattern: str
    kind: Kind
    message: str
    hint: str
    field: Field | None = None
    guide: str = ""
    server: str = ""
    signs: str = ""

    def fits(self, text: str, server: str) -> bool:
        """Say whether a reply of this server is this one."""
        if not re.search(self.pattern, text, re.IGNORECASE):
            return False
        if not self.server or re.search(self.server, server):
            return True
        return bool(self.signs and re.search(self.signs, text, re.IGNORECASE))

    def meaning(self, guide: str = "") -> Meaning:
        """Return what it means, in the language in force; `guide` stands where the reply has none."""
        return Meaning(self.kind, _(self.message), _(self.hint), self.field, self.guide or guide)


def first_match(known: Iterable[KnownReply], text: str, server: str = "", *, guide: str = "") -> Meaning | None:
    """Return the meaning of the first known reply that fits (see `KnownReply.meaning`), or None."""
    text = text[:_LOOKED_AT]
    return next((each.meaning(guide) for each in known if each.fits(text, server)), None)


def table(name: str) -> tuple[KnownReply, ...]:
    """Return the known replies of one table of `known.toml`, in their order."""
    return _tables()[name]


def tables() -> list[str]:
    """Return the names of all tables."""
    return [*_tables()]


@cache
def _tables() -> dict[str, tuple[KnownReply, ...]]:
    content = tomllib.loads(resources.files("docmail.replies").joinpath("known.toml").read_text(encoding="utf-8"))
    meanings = content.pop("meanings")
    return {name: tuple(_known(meanings, **entry) for entry in content[name]) for name in content}


def _known(
    meanings: dict[str, dict[str, str]],
    *,
    pattern: str | list[str],
    kind: str,
    field: str | None = None,
    means: str = "",
    **details: Any,
) -> KnownReply:
    if isinstance(pattern, list):
        pattern = "|".join(pattern)
    details |= meanings[means] if means else {}
    return KnownReply(pattern, Kind(kind), field=Field(field) if field else None, **details)


def sentence(text: str) -> str:
    """Return a reply text with a full stop, unless it ends a sentence already."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
