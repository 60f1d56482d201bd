"""Says which earlier mail a mail answers, so that mail programs show both as one conversation (RFC 5322 3.6.4)."""

from __future__ import annotations

import re
from typing import Any

from docmail.errors import MessageError
from docmail.language import _

__all__ = ["message_id_of", "thread_headers", "thread_of"]

_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")  # visible ASCII: a header is ASCII, and a blank would end the ID
_LABEL = re.compile(r"(?i)(message-id|in-reply-to)\s*:\s*")  # copied with the name of its header
_MOST_CHARACTERS = 900  # of one ID, which cannot be folded: a line has 998 octets at most (RFC 5322 2.1.1)
_MOST = 20  # IDs, and
_MOST_OCTETS = 4000  # of them together: some servers refuse mails with very large headers


def thread_of(value: Any) -> tuple[str, ...]:
    """Return the Message-IDs of the conversation that a mail continues, the mail that it answers last.

    `value` is whatever has a `message_id` (a row of the outbox, a result of sending), a Message-ID, or several, the
    oldest first; None is a mail that answers none. Raises `MessageError` for anything else.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return (message_id_of(value),)
    if isinstance(value, (tuple, list)):
        return _bounded([message_id_of(each) for each in value])
    identity = getattr(value, "message_id", None)
    if not isinstance(identity, str):
        raise _no_id(_("in_reply_to cannot be a {type}.").format(type=type(value).__name__))
    return _bounded([*map(message_id_of, getattr(value, "references", ())), message_id_of(identity)])


def message_id_of(value: Any) -> str:
    """Return a Message-ID with its angle brackets; raises `MessageError` for what is none."""
    if not isinstance(value, str):
        raise _no_id(_("A Message-ID is text, not {type}.").format(type=type(value).__name__))
    text = _LABEL.sub("", value.strip(" \t"), count=1)
    text = text if text.startswith("<") else f"<{text}>"
    if len(text) > _MOST_CHARACTERS:
        raise _no_id(_("The Message-ID is longer than {limit} characters.").format(limit=_MOST_CHARACTERS))
    if not _ID.fullmatch(text):
        shown = "".join(sign if sign.isprintable() else "·" for sign in value[:80])
        raise _no_id(_("“{text}” is not a Message-ID.").format(text=shown))
    return text


def thread_headers(thread: tuple[str, ...]) -> bytes:
    """Return the headers that name the mail that is answered, and those before it, an ID in each line."""
    if not thread:
        return b""
    return b"In-Reply-To: %b\r\nReferences: %b\r\n" % (thread[-1].encode(), "\r\n ".join(thread).encode())


def _bounded(found: list[str]) -> tuple[str, ...]:
    """Return the IDs, each once: the first, which begins the conversation, and of the others the last."""
    thread = list(dict.fromkeys(reversed(found)))[::-1]
    while len(thread) > _MOST or (len(thread) > 2 and sum(map(len, thread)) > _MOST_OCTETS):  # noqa: PLR2004 - the ends
        del thread[1]
    return tuple(thread)


def _no_id(sentence: str) -> MessageError:
    return MessageError(
        sentence,
        field="in_reply_to",
        hint=_(
            "Give the row of the outbox, the result of send(), or the text between < and >, such as {example}."
        ).format(example="<4711@example.com>"),
    )
