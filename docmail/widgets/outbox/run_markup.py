"""What is said below a batch's bar, in HTML: the last replies, what was turned away, the time that is left."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from docmail.language import _
from docmail.widgets.mail import result
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docmail.outbox import Happened, Row


def last_replies(happened: Iterable[Happened]) -> str:
    """Return what the server said of the last mails, the newest first, a line each; nothing if it said nothing yet."""
    marks = {
        "sent": ("✓", "dm-ok", _("sent")),
        "queued": ("↻", "dm-warning", _("will be tried again")),
        "unknown": ("?", "dm-warning", _("unknown")),
        "refused": ("✗", "dm-problem", _("refused")),
        "failed": ("✗", "dm-problem", _("not sent")),
    }
    lines = []
    for each in reversed(list(happened)):
        sign, style, word = marks[each.state]
        said = escape(each.text or word)
        lines.append(
            f'<li><span class="{style}" role="img" aria-label="{escape(word)}" title="{escape(word)}">{sign}</span>'
            f'<span class="dm-time">{escape(_("mail {number}").format(number=each.id))}</span>'
            f'<span class="dm-words" title="{said}">{said}</span></li>'
        )
    if not lines:
        return ""
    label = escape(_("What the server said last, the newest first"))
    return f'<ol class="dm-last" aria-label="{label}">{"".join(lines)}</ol>'


def named(row: Row) -> str:
    """Return by what a person knows a mail, without addresses."""
    subject = markup.without_addresses(row.subject) or _("(no subject)")
    key = markup.without_addresses(row.key or "")
    return subject if not key or key in subject else f"{subject} ({key})"


def said(row: Row) -> str:
    """Return why a mail was not sent, or not to everybody, in the server's words where there are any."""
    if row.state == "sent":
        missed = [each for each in row.recipients.values() if each.state != "sent" and each.role != "archive"]
        words = dict.fromkeys(result.words(each.reply) for each in missed if each.reply is not None)
        return markup.without_addresses("; ".join(words) or row.reason)
    return markup.without_addresses(result.words(row.reply) if row.reply else row.reason)


def table(rows: Iterable[Row]) -> str:
    """Return mails with why they were not sent."""
    lines = "".join(f"<tr><td>{escape(named(row))}</td><td>{escape(said(row))}</td></tr>" for row in rows)
    return f"<table>{lines}</table>"


def duration(seconds: float) -> str:
    """Return a long time as people say it."""
    if seconds < 60:  # noqa: PLR2004
        return _("less than a minute")
    minutes = round(seconds / 60)
    if minutes < 100:  # noqa: PLR2004 - "100 min" is read more slowly than "1.7 h"
        return _("about {number} min").format(number=minutes)
    return _("about {number} h").format(number=f"{seconds / 3600:.1f}")
