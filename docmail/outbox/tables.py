"""The record as a table for people: a DataFrame of pandas or polars, or a file for a spreadsheet.

One line per mail. What a person asks comes first; what the server said is the last column.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from docmail.language import _
from docmail.outbox.rows import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from docmail.outbox.rows import Row
    from docmail.reply import Reply

__all__ = ["COLUMNS", "csv_of", "missed_by", "missed_csv", "pandas_of", "polars_of", "reply_text", "why_missed"]

COLUMNS = (
    *("subject", "to", "state", "sent_at", "key", "batch", "documents", "missed", "bounced", "reason"),
    *("send_at", "created", "sender", "user", "id", "message_id", "reply"),
)
"""The columns of a DataFrame; what they are called in a spreadsheet is in the reader's language."""

_TIMES = ("sent_at", "send_at", "created")
_AND = "; "

# What spreadsheets take for a formula, in the signs of East Asia as well; a plain number stays one.
_FORMULA = re.compile(r"\s*[=+@|%\uff1d\uff0b\uff20\uff0d-]")
# Unicode's Cc, and what turns the direction of writing.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*")


def pandas_of(rows: Iterable[Row]) -> Any:
    """Return the mails as a DataFrame of pandas; raises `ImportError` without it."""
    try:
        import pandas as pd
    except ImportError as exc:
        raise ImportError(_("to_pandas() needs pandas: pip install pandas")) from exc
    values = _values(rows)
    frame = pd.DataFrame({name: pd.Series(values[name], dtype="object") for name in COLUMNS})
    for name in COLUMNS:
        if name in _TIMES:
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
        elif name == "id":
            frame[name] = frame[name].astype("int64")
    return frame


def polars_of(rows: Iterable[Row]) -> Any:
    """Return the mails as a DataFrame of polars; raises `ImportError` without it."""
    try:
        import polars as pl
    except ImportError as exc:
        raise ImportError(_("to_polars() needs polars: pip install polars")) from exc
    times, numbers = pl.Datetime("us", "UTC"), pl.Int64
    schema = {name: times if name in _TIMES else numbers if name == "id" else pl.String for name in COLUMNS}
    return pl.DataFrame(_values(rows), schema=schema)


def csv_of(rows: Iterable[Row], *, decimal_comma: bool = False) -> bytes:
    """Return the mails as a CSV file for a spreadsheet; see `_file`."""
    heads = {
        "subject": _("Subject"),
        "to": _("To"),
        "state": _("State"),
        "sent_at": _("Sent"),
        "key": _("Key"),
        "batch": _("Batch"),
        "documents": _("Documents"),
        "missed": _("Not sent to"),
        "bounced": _("Came back from"),
        "reason": _("Reason"),
        "send_at": _("To be sent at"),
        "created": _("Written down"),
        "sender": _("From"),
        "user": _("User"),
        "id": _("Number"),
        "message_id": "Message-ID",
        "reply": _("Server's reply"),
    }
    lines = ([_shown(value) for value in _record(row)] for row in rows)
    return _file([heads[name] for name in COLUMNS], lines, decimal_comma=decimal_comma)


def missed_csv(rows: Iterable[Row], *, decimal_comma: bool = False) -> bytes:
    """Return who has not got these mails as a CSV file, a line for each address; see `_file`."""
    heads = [_("Key"), _("Address"), _("Reason"), _("Subject"), _("Batch"), _("Number")]
    lines = (
        [row.key or "", address, why_missed(row, address), row.subject, row.batch or "", str(row.id)]
        for row in rows
        for address in missed_by(row)
    )
    return _file(heads, lines, decimal_comma=decimal_comma)


def missed_by(row: Row) -> tuple[str, ...]:
    """Return the people who have not got a mail, or from whom it came back, and whom nobody tries any more."""
    missed = {State.REFUSED, State.FAILED, State.BOUNCED}
    return tuple(address for address in row.people if row.recipients[address].state in missed)


def why_missed(row: Row, address: str) -> str:
    """Return why somebody has not got a mail, as the server said it if it did."""
    reply = row.recipients[address].reply or (row.reply if row.state != State.SENT else None)
    return reply_text(reply) if reply is not None else row.reason


def reply_text(reply: Reply) -> str:
    """Return a server's reply as a person reads it: its text first, the code after it."""
    code = " ".join(part for part in (str(reply.code or ""), reply.enhanced) if part)
    # Many servers begin with the address, which stands before this text already.
    said = re.sub(r"^<[^<>]*>:?\s*", "", reply.text)
    return f"{said} ({code})" if said and code else said or code


def _record(row: Row) -> tuple[Any, ...]:
    missed = missed_by(row)
    replies = dict.fromkeys(str(reply) for address in missed if (reply := row.recipients[address].reply))
    return (
        row.subject,
        _AND.join(row.people),
        str(row.state),
        row.sent_at,
        row.key,
        row.batch,
        _AND.join(row.documents),
        _AND.join(missed),
        _AND.join(row.bounced),
        _AND.join(
            filter(None, dict.fromkeys((_without_reply(row), *(row.recipients[each].reason for each in row.people))))
        ),
        row.send_at,
        row.created,
        row.sender,
        row.user,
        row.id,
        row.message_id,
        _AND.join(replies) or (str(row.reply) if row.reply is not None else None),
    )


def _without_reply(row: Row) -> str:
    """Return the reason without the server's words, which are in the last column."""
    if row.reply is None:
        return row.reason
    return re.sub(rf"\s[^.:!?]*:\s*{re.escape(str(row.reply))}\.?", "", row.reason)


def _values(rows: Iterable[Row]) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for row in rows:
        for name, value in zip(COLUMNS, _record(row), strict=True):
            values[name].append(value)
    return values


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value.astimezone():%Y-%m-%d %H:%M:%S}" if hasattr(value, "astimezone") else str(value)


def _file(heads: Sequence[str], lines: Iterable[Sequence[str]], *, decimal_comma: bool) -> bytes:
    """Return a CSV file that Excel and its like open as it is meant.

    In UTF-8 with a mark at its beginning, without which Excel takes it for another encoding. Where a comma is the
    decimal sign, Excel wants semicolons; a line "sep=" would make it forget the encoding. A text that a spreadsheet
    would take for a formula is made text by an apostrophe, and no cell has a line break.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=";" if decimal_comma else ",", lineterminator="\r\n")
    writer.writerow(heads)
    writer.writerows([_cell(text) for text in line] for line in lines)
    return file.getvalue().encode("utf-8-sig", "replace")


def _cell(text: str) -> str:
    line = _UNSEEN.sub("", " ".join(text.split()))
    return f"'{line}" if _FORMULA.match(line) and not _NUMBER.fullmatch(line) else line
