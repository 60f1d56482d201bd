"""Reads the moment at which a mail is to be sent: with a time zone, or in that of this computer.

On two nights of the year a time of the clock is no moment, or two. The hour that is left out is refused. Of the hour
that comes twice the first is meant, with a warning, unless an offset or `fold` says which.
"""

from __future__ import annotations

import datetime as dt
import re
import warnings
from typing import Any
from zoneinfo import ZoneInfo

from docmail.errors import MessageError
from docmail.language import _
from docmail.text import is_missing, plain

__all__ = ["moment_of"]

_TEXT = re.compile(
    r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:(?:[Tt]|[ \t]+)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?[ \t]*(\S*))?"
)
_OFFSET = re.compile(r"([+\-\u2212])(\d{2}):?(\d{2})?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{1,60}")


def moment_of(value: Any) -> dt.datetime:
    """Return the moment that a person means by this value, in UTC; raises `MessageError` for what is none."""
    given = value
    if isinstance(value, str):
        value = _read(value.strip())
    elif is_missing(value):
        raise _no_moment(
            _("send_at is a missing value ({value}); leave it out for a mail of no time of its own.").format(
                value=value
            )
        )
    elif not isinstance(value := _plain(value), dt.datetime):
        if isinstance(value, dt.date):
            raise _without_time(str(value))
        raise _no_moment(_("send_at cannot be a {type}.").format(type=type(value).__name__))
    elif type(value) is not dt.datetime:  # pandas has decided already which of two an hour is
        aware = value.utcoffset() is not None
        value = (
            dt.datetime.fromtimestamp(value.timestamp(), dt.UTC)
            if aware
            else dt.datetime.combine(value.date(), value.time())
        )
    try:
        return _in_utc(value)
    except MessageError:
        raise
    except (OverflowError, ValueError, OSError) as exc:
        raise _no_moment(_("“{time}” is no time at which a mail can be sent.").format(time=given)) from exc


def _plain(value: Any) -> Any:
    """Return the datetime that NumPy's value is, as pandas hands it on; all else as it is."""
    return plain(value) if hasattr(value, "dtype") and not getattr(value, "ndim", 0) else value


def _read(text: str) -> dt.datetime:
    found = _TEXT.fullmatch(text)
    if found is None:
        raise _no_moment(_("“{time}” cannot be read as a date with a time.").format(time=text[:80]))
    year, _sign, month, day, hour, minute, second, zone = found.groups()
    if hour is None:
        raise _without_time(text)
    try:
        wall = dt.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))  # noqa: DTZ001 - its zone follows
    except ValueError as exc:
        raise _no_moment(_("“{time}” is in no calendar.").format(time=text)) from exc
    return wall.replace(tzinfo=_zone(zone, text)) if zone else wall


def _zone(name: str, text: str) -> dt.tzinfo:
    if name in {"Z", "z"}:
        return dt.UTC
    if found := _OFFSET.fullmatch(name):
        offset = dt.timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        if offset < dt.timedelta(days=1):
            return dt.timezone(offset if found[1] == "+" else -offset)
    elif _NAME.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # a name that is that of a folder, too
            pass
    raise _no_moment(_("“{name}” in “{time}” is not a time zone.").format(name=name[:60], time=text[:80]))


def _in_utc(value: dt.datetime) -> dt.datetime:
    zone = value.tzinfo
    first, second = sorted(value.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    if first == second:
        return first
    earlier, later = (each.astimezone(zone) for each in (first, second))
    if earlier.replace(tzinfo=None, fold=0) != value.replace(tzinfo=None, fold=0):
        raise MessageError(
            _("There is no {time}: the clocks go forward in that night.").format(time=_shown(value)),
            field="send_at",
            hint=_("Write {earlier} or {later}.").format(earlier=_shown(earlier), later=_shown(later)),
        )
    if value.fold:
        return second
    warnings.warn(
        _(
            "{time} comes twice in that night, because the clocks go back. The first is meant: {first}. "
            "Write {second} for the other."
        ).format(time=_shown(value), first=earlier.isoformat(" ", "minutes"), second=later.isoformat(" ", "minutes")),
        stacklevel=5,
    )
    return first


def _shown(value: dt.datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M}"


def _without_time(text: str) -> MessageError:
    return _no_moment(_("“{date}” is a date without a time.").format(date=text))


def _no_moment(sentence: str) -> MessageError:
    return MessageError(
        sentence,
        field="send_at",
        hint=_(
            'Write send_at="2026-12-07 07:00" (in the time zone of this computer), "2026-12-07 07:00 Europe/Berlin", '
            "or a datetime."
        ),
    )
