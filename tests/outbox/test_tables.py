"""The record as a table: of pandas, of polars, and as a file that a spreadsheet opens as it is meant."""

from __future__ import annotations

import csv
import io
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd
import polars as pl
import pytest

import docmail
from docmail.outbox import Outbox, Role, Row, State, csv_of, missed_csv
from docmail.outbox.rows import Recipient
from docmail.outbox.tables import COLUMNS
from docmail.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 30, 10, 14, tzinfo=UTC)


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    """Return an outbox with a mail that one of two has got, one that was refused, and one that waits."""
    with docmail.Sandbox() as box:
        opened = Outbox()
        messages = [
            docmail.Message(["ann@example.com", "nobody@example.com"], "Both", key="1"),
            docmail.Message("nobody@example.com", "None", key="2"),
        ]
        opened.add_all(messages, batch="b", settings=box.settings)
        opened.run(settings=box.settings)
        opened.add(docmail.Message("bob@example.com", "Later"), settings=box.settings)
        yield opened


def row(subject: str = "S", key: str | None = "k", address: str = "a@example.com") -> Row:
    reply = Reply(550, "5.1.1", "No\r\nsuch mailbox")
    return Row(
        id=1, key=key, batch=None, state=State.REFUSED, to=(address,), subject=subject, message_id="<1@example.com>",
        created=NOW, sent_at=None, reply=reply, user="ann", sender="s@example.com", reason="",
        recipients={address: Recipient(State.REFUSED, reply, Role.TO)}, documents=(), body_sha256="", contents=(),
    )  # fmt: skip


def cells(content: bytes, separator: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=separator))


def test_a_person_s_questions_come_first_and_the_server_s_words_last(outbox: Outbox) -> None:
    frame = outbox.to_pandas()
    assert (*frame.columns,) == COLUMNS
    assert frame.columns[0] == "subject"
    assert frame.columns[-1] == "reply"
    shown = frame[["subject", "to", "state", "key", "missed"]].to_numpy().tolist()
    assert shown[0] == ["Both", "ann@example.com; nobody@example.com", "sent", "1", "nobody@example.com"]
    assert shown[1] == ["None", "nobody@example.com", "refused", "2", "nobody@example.com"]
    assert shown[2][:3] == ["Later", "bob@example.com", "queued"]
    assert "550" not in frame["reason"][1]
    assert frame["reply"][1] == "550 5.1.1 <nobody@example.com> No such mailbox here"


def test_the_columns_are_of_the_same_types_whether_there_is_mail_or_not(outbox: Outbox) -> None:
    with docmail.Sandbox():
        empty = Outbox()
        assert (empty.to_pandas().dtypes == outbox.to_pandas().dtypes).all()
        assert empty.to_polars().schema == outbox.to_polars().schema
    assert isinstance(outbox.to_pandas()["sent_at"].dtype, pd.DatetimeTZDtype)
    assert outbox.to_polars().schema["sent_at"] == pl.Datetime("us", "UTC")


def test_a_batch_alone_can_be_asked_for(outbox: Outbox) -> None:
    assert len(outbox.to_pandas("b")) == outbox.to_polars("b").height == 2
    with pytest.raises(docmail.errors.MessageError, match="needs a name"):
        outbox.to_pandas("")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_not_there_is_named(outbox: Outbox, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"pip install {library}"):
        getattr(outbox, f"to_{library}")()


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1 2", "-1+1", "@SUM(A1)", "|x", "%x", "\uff1d1", " =1", "\t=1", '=HYPERLINK("http://x","y")', "-"],
)
def test_no_cell_is_a_formula(text: str) -> None:
    (_head, line) = cells(csv_of([row(text)]))
    assert line[0] == "'" + " ".join(text.split())
    assert cells(missed_csv([row(key=text)]))[1][0] == line[0]


@pytest.mark.parametrize("text", ["-12", "+3.5", "1,000", "a=b", "\u05d7\u05e9\u05d1\u05d5\u05e0\u05d9\u05ea", "'x"])
def test_numbers_and_words_stay_as_they_are(text: str) -> None:
    assert cells(csv_of([row(text)]))[1][0] == text


def test_excel_recognises_the_encoding_and_a_cell_is_one_line() -> None:
    content = csv_of([row('Ännë, "x"\r\n\u202ey\x07', key=None)])
    assert content.startswith(b"\xef\xbb\xbfSubject,To,State,Sent,")
    assert content.count(b"\r\n") == content.count(b"\n") == 2
    (_head, line) = cells(content)
    assert line[0] == 'Ännë, "x" y'
    assert line[-1] == "550 5.1.1 No such mailbox"
    assert line[4] == ""


def test_where_the_comma_is_the_decimal_sign_semicolons_separate() -> None:
    heads, line = cells(missed_csv([row("a;b")], decimal_comma=True), ";")
    assert heads == ["Key", "Address", "Reason", "Subject", "Batch", "Number"]
    assert line == ["k", "a@example.com", "No such mailbox (550 5.1.1)", "a;b", "", "1"]


def test_who_was_missed_has_a_line_for_each_address(outbox: Outbox) -> None:
    lines = cells(missed_csv(outbox))
    assert [line[:2] for line in lines[1:]] == [["1", "nobody@example.com"], ["2", "nobody@example.com"]]
