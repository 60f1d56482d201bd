"""Known replies: looked up in time that grows with the length of a reply and no faster, and told in any language."""

from __future__ import annotations

import re
import time

import pytest

from docmail.errors import Kind
from docmail.language import language
from docmail.replies import clean, first_match, known, meaning_of, refusal, table
from docmail.replies.known import KnownReply, tables
from docmail.reply import Reply

PARTS = sorted(
    {
        part
        for name in tables()
        for each in table(name)
        for part in re.findall(r"[a-zA-Z_ ]{3,}|(?<![{\\d])[45]\d\d(?! *[\\d}])", each.pattern)
    }
)
"""The words and codes of which the expressions of all tables are made."""


def seconds(reply: KnownReply, text: str) -> float:
    began = time.process_time()
    reply.fits(text, "")
    return time.process_time() - began


@pytest.mark.parametrize("name", tables())
def test_a_look_up_takes_four_times_as_long_for_four_times_the_text_and_not_sixteen(name: str) -> None:
    """The worst is text that has the beginning of what is looked for again and again, and never the end."""
    slow = []
    for reply in table(name):
        codes = {found[0] for found in re.finditer(r"[45]\d\d", reply.pattern)} or {"550", "450", "535", "403", "429"}
        own = [part for part in PARTS if part in reply.pattern]
        for piece in [*own, *(f"{code} {part}" for code in codes for part in ["", *own])]:
            short, long = ((piece + " ") * (size // len(piece)) for size in (1_500, 6_000))
            least = 8 * max(seconds(reply, short), 0.0005)  # below this the clock is too coarse
            if all(seconds(reply, long) > least for _each in range(3)):
                slow.append((reply.pattern, piece))
    assert slow == []


def test_no_more_of_a_text_is_looked_at_than_is_kept_of_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    monkeypatch.setattr(KnownReply, "fits", lambda _reply, text, _server: looked_at.append(len(text)))
    assert first_match(table("smtp"), "x" * 1_000_000) is None
    assert {*looked_at} == {known._LOOKED_AT} == {len(clean("x" * 1_000_000))}


def test_a_known_reply_is_told_in_the_language_of_the_reader() -> None:
    reply = Reply(552, "5.3.4", "Message size exceeds fixed limit")
    with language("af"):
        told = meaning_of(reply, "data", "mail.example.com")
    assert told.kind is Kind.MESSAGE
    assert told.message != meaning_of(reply, "data", "mail.example.com").message


def test_an_error_names_a_few_of_many_refused_recipients_and_counts_them() -> None:
    refused = {f"a{number}@example.com": Reply(550, "5.1.1", "unknown") for number in range(1000)}
    error = refusal(refused["a0@example.com"], "rcpt", "mail.example.com", refused)
    assert "a0@example.com, a1@example.com" in error.message
    assert "(1,000)" in error.message
    assert len(str(error)) < 400
    assert error.refused == refused
