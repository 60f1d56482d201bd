"""Says of mails that are to go at a time of their own when that is, and what is wrong with it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from docmail.errors import MessageError
from docmail.language import _, ngettext

if TYPE_CHECKING:
    from docmail.message import Message

__all__ = ["check_is_due", "due_text", "is_due", "later_text", "past_text"]

_WEEK = timedelta(days=6)  # within which a day of the week is one day
_PAST_SECONDS = 60.0  # a mail for “now” may be written down a little later


def due_text(moment: datetime) -> str:
    """Return a moment to come as people say it, in the time zone of this computer: “Mon 07:00”."""
    local, today = moment.astimezone(), datetime.now().astimezone().date()
    if local.date() == today:
        return f"{local:%H:%M}"
    day = (_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun"))[local.weekday()]
    soon = today < local.date() <= today + _WEEK
    return f"{day} {local:%H:%M}" if soon else f"{day} {local:%Y-%m-%d %H:%M}"


def later_text(number: int, first: datetime | None) -> str:
    """Return how many mails are due later, and when the first of them is; nothing if there is none."""
    if not number or first is None:
        return ""
    sentence = ngettext("{number} is due later, {time}", "{number} are due later, first {time}", number)
    return sentence.format(number=f"{number:,}", time=due_text(first))


def is_due(moment: datetime | None) -> bool:
    """Say whether a mail may go now, as far as its own time is concerned."""
    return moment is None or moment <= datetime.now(UTC)


def past_text(message: Message) -> str:
    """Return what a person should know who gives a time that is over; nothing for one to come."""
    moment = message.send_at
    if moment is None or moment.timestamp() > time.time() - _PAST_SECONDS:
        return ""
    return _("{time} is over: the mail goes with the next run.").format(time=f"{moment.astimezone():%Y-%m-%d %H:%M}")


def check_is_due(message: Message) -> None:
    """Raise `MessageError` for a message that is to go later, where it would go at once."""
    if not is_due(message.send_at):
        assert message.send_at is not None  # noqa: S101 - otherwise it is due
        raise MessageError(
            _("This mail is to go later ({time}); nothing was sent.").format(time=due_text(message.send_at)),
            field="send_at",
            hint=_("Write it down with docmail.Outbox().add(message): a run() from then on sends it."),
        )
