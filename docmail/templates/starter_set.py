"""Templates to begin with, and which of them fits a document, by what its title calls it.

The facts and texts are data (`starters.toml`). A title is judged cautiously: a mail that calls a list of invoices an
invoice is worse than one that calls it nothing.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from docmail.language import current

__all__ = ["Starter", "starter_for", "starters"]


@dataclass(frozen=True)
class Starter:
    """One template to begin with; the fields are explained at the top of `starters.toml`."""

    name: str
    kind: str
    language: str
    subject: str
    body: str
    words: tuple[str, ...]
    numbered: bool = False
    codes: tuple[str, ...] = ()


_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|\d+")
_CAMEL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")


@cache
def _facts() -> dict[str, Any]:
    return tomllib.loads(resources.files("docmail.templates").joinpath("starters.toml").read_text(encoding="utf-8"))


@cache
def starters(language: str | None = None) -> tuple[Starter, ...]:
    """Return the templates to begin with in a language; of all languages without one."""
    found = (
        Starter(
            **{name: entry[name] for name in ("name", "kind", "language", "subject")},
            body=entry["body"].strip(),
            words=tuple(entry["words"]),
            numbered=entry.get("numbered", False),
            codes=tuple(entry.get("codes", ())),
        )
        for entry in _facts()["starter"]
    )
    return tuple(each for each in found if language is None or each.language == language)


def starter_for(title: str) -> Starter | None:
    """Return the template that fits a document of this title; None if that is not certain.

    It is in the language of the title, and for a code such as INV-118 in the reader's.
    """
    if coded := _coded(title):
        return next((each for each in starters(current()) if each.kind == coded), _named(coded))
    words = [word.casefold() for word in _WORD.findall(_CAMEL.sub(" ", title.replace("_", " ")))]
    said = " ".join(words)
    found = [each for each in starters() if any(re.search(rf"\b{re.escape(w)}\b", said) for w in each.words)]
    if len(found) != 1 or set(_facts()["never"]) & set(words) or _about_several(words):
        return None
    (starter,) = found
    return starter if not starter.numbered or _is_one(words, starter) else None


def _coded(title: str) -> str | None:
    """Return the kind of a document that is called by a code and a number only, such as INV-118."""
    match = re.fullmatch(r"\W*([a-z]+)[\s_#:./-]*\d[\w\s./#-]*", title.strip(), re.IGNORECASE)
    code = match[1].casefold() if match else ""
    return next((each.kind for each in starters() if code in each.codes), None)


def _named(kind: str) -> Starter:
    return next(each for each in starters("en") if each.kind == kind)


def _about_several(words: list[str]) -> bool:
    """Say whether a title speaks of several documents of a kind: “Invoices 2026”, “Fakture”."""
    several = {f"{word}s" for each in starters() for word in each.words} | set(_facts()["several"])
    return bool(several & set(words))


def _is_one(words: list[str], starter: Starter) -> bool:
    """Say whether a title names one document: by its number, its month, or by the kind and nothing else."""
    if " ".join(words) in starter.words:
        return True
    one = any(word.isdecimal() or word in _facts()["months"] for word in words)
    # "Statement of facts 3", "Quote van die week 12": but a statement of account is one.
    first = next(word for word in starter.words if re.search(rf"\b{re.escape(word)}\b", " ".join(words))).split()[-1]
    after = words[words.index(first) + 1 :][:2]
    return one and not (
        after[:1] in (["of"], ["van"], ["on"], ["oor"]) and after[1:] not in (["account"], ["rekening"])
    )
