"""Takes out of what a notebook shows what nobody should read in a report: passwords, tokens, and who gets the mail.

What docmail knows goes whatever its form (the account's password, variables of the environment that are named like
one); what is not known goes if it looks like a password or a token. A report that hides a word too many can be
understood; one that shows a token cannot be called back.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from docmail import credentials
from docmail.errors import DocmailError
from docmail.privacy import without_addresses
from docmail.replies import redact
from docmail.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docmail.settings import Settings

_MASK = "•••"
_SHORT = 4  # characters; hiding a shorter word would only spell it
_WORDS = "passw(?:or)?d|passphrase|wagwoord|pwd|secret|token|credential|(?:api|access|private)[_-]?key"
_NAMED = re.compile(rf"(?:{_WORDS}|auth|pass$|_key$)", re.IGNORECASE)
_VALUE = r"\"(?:[^\"\\\n]|\\.){1,2000}\"|'(?:[^'\\\n]|\\.){1,2000}'|[^\s,;&\"'()<>]{1,2000}"
_PATTERNS = (
    # -----BEGIN ... PRIVATE KEY-----
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}-----|\Z)", re.DOTALL), _MASK),
    # Authorization: Bearer ..., and the scheme alone
    (re.compile(r"(?i)\b(bearer|basic|negotiate|digest)\s+[\w.~+/=-]{8,}"), rf"\1 {_MASK}"),
    # password=..., "api_key": "...", {'token': '...'}, Authorization: ...
    (
        re.compile(
            rf"(?i)([\w.-]{{0,60}}(?:{_WORDS}|authorization)[\w-]{{0,30}}[\"']?\s{{0,3}}(?:=>|:=|[:=])\s{{0,3}})(?:{_VALUE})"
        ),
        rf"\1{_MASK}",
    ),
    # postgresql://user:password@server
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]{0,30}://)[^\s/@]{1,300}@"), rf"\1{_MASK}@"),
    # JSON Web Tokens, and tokens that begin as their makers let them begin
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){1,4}"), _MASK),
    (
        re.compile(
            r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|xapp-|sk-|[spr]k_(?:live|test)_|AKIA|ASIA|AIza|ya29\.|SG\.|hf_"
            r"|dop_v1_|npm_|pypi-|EAAC|re_)[\w.-]{10,}"
        ),
        _MASK,
    ),
    # app passwords of Google and Apple as they are shown
    (re.compile(r"\b[a-z]{4}([ -])[a-z]{4}\1[a-z]{4}\1[a-z]{4}\b"), _MASK),
    # any long word of letters and digits mixed
    (re.compile(r"(?<![\w/.-])(?=[\w+-]*[0-9])(?=[\w+-]*[A-Za-z])[\w+-]{32,}={0,2}(?![\w/])", re.ASCII), _MASK),
)


def known_secrets(settings: Settings | None, parameters: Mapping[str, Any]) -> list[Secret]:
    """Return the passwords that docmail knows of: of the account, the environment, and parameters named like one."""
    found = [
        Secret(value)
        for name, value in [*os.environ.items(), *((name, str(value)) for name, value in parameters.items())]
        if _NAMED.search(name) and not _is_plain(name, value)
    ]
    if settings is not None:
        with suppress(DocmailError):  # none is stored, or the keyring is locked
            if secret := credentials.get(settings):
                found.append(secret)
    return sorted(found, key=lambda secret: -len(secret.reveal()))


def _is_plain(name: str, value: str) -> bool:
    """Say whether a variable is none of those that its name reminds of: a folder, a file, a switch."""
    return (
        name in {"PWD", "OLDPWD"}
        or len(value) < _SHORT
        or value.casefold() in {"true", "false", "none", "null"}
        or (os.path.isabs(value) and os.path.exists(value))  # noqa: PTH110, PTH117 - any text
    )


def shown(text: str, secrets: list[Secret], *, most: int = 2000, from_end: bool = False) -> str:
    """Return a text of a notebook without colours, passwords and addresses, with at most so many characters.

    `from_end` keeps its last ones, which say why it ended.
    """
    # A word that is cut in two is not known any more, so what is looked through is longer than what is kept.
    reserve = most + 20_000
    text = text[-reserve:] if from_end else text[:reserve]
    text = re.sub(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)", "", text)
    # A progress bar writes its line again and again; the last one stands.
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    text = "\n".join("".join(sign if sign.isprintable() else " " for sign in line) for line in lines)
    for secret in secrets:
        text = redact(text, secret)
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    text = without_addresses(text).strip("\n").rstrip()
    if len(text) <= most:
        return text
    return f"…{text[-most + 1 :]}" if from_end else f"{text[: most - 1]}…"
