from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest

import docmail
from docmail.documents import Document
from docmail.errors import AuthenticationError, DocmailError, MessageError, OutcomeUnknown
from docmail.message import Message
from docmail.outbox import Outbox, resending, search
from docmail.outbox.changes import Changes
from docmail.outbox.journal import Journal
from docmail.outbox.search import History, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from docmail.outbox import Row

TABLE = Document.of(b"a,b\n1,2\n", name="table_1.csv")


@pytest.fixture(scope="module")
def box() -> Iterator[docmail.Sandbox]:
    """Return an open sandbox with saved settings."""
    with docmail.Sandbox() as sandbox:
        sandbox.settings.save()
        yield sandbox


@pytest.fixture(scope="module")
def filled(box: docmail.Sandbox) -> Path:
    """Return the folder of an outbox with five mails, the last one in doubt."""
    docmail.send(TABLE, to="Anna <anna@example.com>", subject="Invoice 1", key="invoice-1")
    docmail.send(TABLE, to="ben@example.com", cc="anna@example.com", bcc="boss@example.com", subject="100 % Q3")
    with pytest.warns(UserWarning, match="nobody@"):
        docmail.send((), to="nobody@example.com; carl@example.com", subject="Hello", body="**Dear** all")
    with pytest.raises(docmail.errors.Refused):
        docmail.send((), to="nobody@example.com", subject="To nobody")
    box.drop("end", times=1)
    with pytest.raises(OutcomeUnknown):
        docmail.send(TABLE, to="ann@example.com", subject="Lost")
    return search.folder_of(docmail.Settings.load())


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    """Return a copy of it, which the settings of the sandbox write to."""
    shutil.copytree(filled, tmp_path / "home" / "outbox")
    return tmp_path / "home" / "outbox"


@pytest.fixture
def settings(folder: Path, box: docmail.Sandbox) -> docmail.Settings:
    """Return the sandbox's settings with that outbox."""
    assert box.settings.home
    return replace(box.settings, home=replace(box.settings.home, outbox=folder))


@pytest.fixture
def store(folder: Path) -> Iterator[History]:
    """Return its journal."""
    with search.history_of(folder) as found:
        yield found


def subjects(store: History, wanted: Wanted) -> list[str]:
    return [row.subject for row in store.page(wanted).rows]


# --- finding ---


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["Lost", "To nobody", "Hello", "100 % Q3", "Invoice 1"]),
        (Wanted(who="ANNA@"), ["100 % Q3", "Invoice 1"]),
        (Wanted(who=" boss@example.com "), ["100 % Q3"]),
        (Wanted(who="accounts@"), ["Lost", "To nobody", "Hello", "100 % Q3", "Invoice 1"]),
        (Wanted(what="invoice"), ["Invoice 1"]),
        (Wanted(what="%"), ["100 % Q3"]),
        (Wanted(what="e_1"), ["Lost", "100 % Q3", "Invoice 1"]),
        (Wanted(what="\\"), []),
        (Wanted(state="refused"), ["To nobody"]),
        (Wanted(reply="550 5.1.1"), ["To nobody", "Hello"]),
        (Wanted(reply="no such mailbox"), ["To nobody", "Hello"]),
        (Wanted(reply="broke after the last byte"), ["Lost"]),
        (Wanted(who="ann", what="table", state="sent"), ["100 % Q3", "Invoice 1"]),
        (Wanted(since=datetime.now(UTC) + timedelta(hours=1)), []),
        (Wanted(since=datetime.now(UTC) - timedelta(hours=1), state="unknown"), ["Lost"]),
        (Wanted(until=datetime.now(UTC) - timedelta(hours=1)), []),
    ],
)
def test_mails_are_found_by_who_what_when_state_and_reply_the_newest_first(
    store: History, wanted: Wanted, found: list[str]
) -> None:
    assert subjects(store, wanted) == found


def test_a_page_holds_some_and_knows_how_many_there_are(store: History) -> None:
    page = store.page(Wanted(), begin=1, limit=2)
    assert [row.subject for row in page.rows] == ["To nobody", "Hello"]
    assert page.counts == {"sent": 3, "refused": 1, "unknown": 1}
    assert page.total == 5
    assert store.page(Wanted(what="Q3"), begin=1, limit=2).total == 1


def test_a_journal_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with search.history_if_any(tmp_path / "outbox") as store:
        assert store is None
    assert not (tmp_path / "outbox").exists()
    with pytest.raises(DocmailError, match="no outbox"), search.history_of(tmp_path / "outbox"):
        pass


def test_a_question_reads_one_page_of_the_journal_however_long_it_is(
    store: History, settings: docmail.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    rows = Journal.rows

    def watched(self: Journal, numbers: Iterable[int]) -> list[Row]:
        found = rows(self, numbers)
        read.append(len(found))
        return found

    monkeypatch.setattr(Journal, "rows", watched)
    store.page(Wanted(), limit=2)
    message = Message("ben@example.com", "100 % Q3", documents=[TABLE])
    assert search.sent_before(message, settings)
    assert read == [2, 1]


# --- while a mail is written ---


def test_it_is_known_who_has_got_the_same_mail_before(settings: docmail.Settings) -> None:
    for message, people in (
        (Message("BEN@example.com", "100 % Q3", documents=[TABLE]), ("ben@example.com",)),
        (Message("x@example.com", "100 % Q3", documents=[TABLE], cc="boss@example.com"), ("boss@example.com",)),
        (Message("carl@example.com; nobody@example.com", "Hello", "**Dear** all"), ("carl@example.com",)),
        (Message("ann@example.com", "Lost", documents=[TABLE]), ("ann@example.com",)),
    ):
        found = search.sent_before(message, settings)
        assert found is not None
        assert (found.people, found.same) == (people, True)
    for other in (
        Message("x@example.com", "100 % Q3", documents=[TABLE]),
        Message("ben@example.com", "100 % Q4", documents=[TABLE]),
        Message("ben@example.com", "100 % Q3"),
        Message("ben@example.com", "100 % Q3", documents=[TABLE, Document.of(b"2", name="b.csv")]),
        Message("carl@example.com", "Hello", "Another text"),
        Message("nobody@example.com", "Hello", "**Dear** all"),
        Message("nobody@example.com", "To nobody"),
    ):
        assert search.sent_before(other, settings) is None


def test_a_document_made_again_under_its_name_is_taken_for_the_same_for_a_day(
    settings: docmail.Settings, store: History
) -> None:
    again = Message("ben@example.com", "100 % Q3", documents=[Document.of(b"a,b\n1,3\n", name=TABLE.name)])
    found = search.sent_before(again, settings)
    assert found is not None
    assert not found.same
    with store.journal.file.transaction() as connection:
        connection.execute("UPDATE mail SET created = created - 90000")
    assert search.sent_before(again, settings) is None, "next month's statement is another one"
    assert search.sent_before(replace(again, documents=(TABLE,)), settings)


def test_earlier_recipients_are_offered_with_their_names_the_latest_first(settings: docmail.Settings) -> None:
    assert search.earlier_recipients("ann", settings) == ["ann@example.com", "anna@example.com"]
    docmail.send((), to='"Smith, Anna" <ANNA@example.com>', subject="Again", settings=settings)
    assert search.earlier_recipients("anna", settings) == ['"Smith, Anna" <ANNA@example.com>']
    assert search.earlier_recipients("_", settings) == []
    assert len(search.earlier_recipients("", settings, limit=3)) == 3


def test_the_recipients_of_another_sender_are_not_offered(settings: docmail.Settings) -> None:
    other = docmail.Settings("Other <other@example.com>", settings.server, home=settings.home)
    assert search.earlier_recipients("ann", other) == []


def test_the_archive_is_no_earlier_recipient(settings: docmail.Settings) -> None:
    docmail.send((), to="arc@example.com", subject="S", settings=replace(settings, copy_to="archive@example.com"))
    assert search.earlier_recipients("arc", settings) == ["arc@example.com"]


# --- bringing a mail back ---


def number(store: History, subject: str) -> int:
    (found,) = store.page(Wanted(what=subject)).rows
    return found.id


def test_the_documents_of_a_mail_are_documents_again(store: History) -> None:
    (document,) = store.documents(number(store, "Q3"))
    assert (document.name, document.media_type, document.read()) == ("table_1.csv", "text/csv", TABLE.read())
    assert store.documents(number(store, "Hello")) == ()


def test_a_mail_is_saved_as_it_went_out_and_without_bcc(store: History) -> None:
    content = store.eml(number(store, "Q3"))
    mail = message_from_bytes(content, policy=policy.default)
    assert mail["Subject"] == "100 % Q3"
    assert mail["Cc"] == "anna@example.com"
    assert [part.get_filename() for part in mail.iter_attachments()] == ["table_1.csv"]
    assert b"boss@" not in content


def test_a_copy_says_the_same_to_the_same_people_as_a_mail_of_its_own(
    store: History, settings: docmail.Settings
) -> None:
    row = number(store, "Q3")
    again, before = resending.copy(store, row), store.journal.mail(row)
    assert [str(address) for address in again.to] == ["ben@example.com"]
    assert [str(address) for address in again.cc] == ["anna@example.com"]
    assert [str(address) for address in again.bcc] == ["boss@example.com"]
    assert [document.name for document in again.documents] == ["table_1.csv"]
    mail = again.render(settings)
    assert mail.recipients == ("ben@example.com", "anna@example.com", "boss@example.com")
    assert mail.parsed()["Message-ID"] == mail.message_id != before.message_id
    assert mail.parsed()["Date"].datetime >= before.parsed()["Date"].datetime
    changed = [line for line in mail.head.split(b"\r\n") if line not in before.head.split(b"\r\n")]
    assert len(changed) <= 2
    assert all(line.startswith((b"Message-ID: ", b"Date: ")) for line in changed)


def test_a_copy_keeps_the_text_and_the_names_and_leaves_the_key_to_the_first(store: History) -> None:
    hello = resending.copy(store, number(store, "Hello")).render(docmail.Settings.load())
    html = hello.parsed().get_body(("html",))
    assert html
    assert "<strong>Dear</strong> all" in html.get_content()
    first = resending.copy(store, number(store, "Invoice"))
    assert [str(address) for address in first.to] == ["Anna <anna@example.com>"]
    assert first.key is None


def test_what_is_no_longer_kept_is_said_in_a_sentence(store: History) -> None:
    row = number(store, "Q3")
    Changes(store.journal).expire(-1)
    for bring in (History.documents, History.eml, resending.copy):
        with pytest.raises(MessageError, match="no longer kept"):
            bring(store, row)
    with pytest.raises(MessageError, match="no mail 999"):
        store.journal.row(999)


def test_a_document_in_whose_place_is_another_content_is_not_brought_back(store: History, folder: Path) -> None:
    for path in (folder / "spool").iterdir():
        path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(MessageError, match=r"table_1\.csv is no longer in the outbox"):
        store.documents(number(store, "Q3"))


def test_a_document_whose_file_is_gone_is_named(store: History, folder: Path) -> None:
    for path in (folder / "spool").iterdir():
        path.unlink()
    with pytest.raises(MessageError, match=r"table_1\.csv"):
        store.documents(number(store, "Q3"))


# --- sending again ---


def test_a_mail_that_was_sent_goes_out_again_as_a_mail_of_its_own(
    folder: Path, store: History, settings: docmail.Settings, box: docmail.Sandbox
) -> None:
    before = len(box.inbox)
    result = resending.send_again(folder, number(store, "Invoice"), settings)
    assert result.accepted == ("anna@example.com",)
    assert not result.repeated
    assert len(box.inbox) == before + 1
    assert box.inbox[-1]["Message-ID"] != store.journal.row(number(store, "Hello") - 2).message_id
    assert subjects(store, Wanted(what="invoice", state="sent")) == ["Invoice 1", "Invoice 1"]


def test_a_mail_nobody_knows_of_stays_the_same_mail_when_it_is_sent_again(
    folder: Path, store: History, settings: docmail.Settings, box: docmail.Sandbox
) -> None:
    row = number(store, "Lost")
    resending.send_again(folder, row, settings)
    found = store.journal.row(row)
    assert found.state == "sent"
    assert box.inbox[-1]["Message-ID"] == found.message_id
    assert {each.state for each in found.recipients.values()} == {"sent"}


def test_a_mail_that_was_refused_stays_the_same_mail_and_keeps_its_key(
    folder: Path, store: History, settings: docmail.Settings, box: docmail.Sandbox
) -> None:
    box.answer("rcpt", "550 5.1.1 Unknown", times=1)
    with pytest.raises(docmail.errors.Refused):
        docmail.send((), to="late@example.com", subject="Late", key="late", settings=settings)
    row, before = number(store, "Late"), len(box.inbox)
    assert resending.send_again(folder, row, settings).accepted == ("late@example.com",)
    assert store.journal.row(row).state == "sent"
    assert docmail.send((), to="late@example.com", subject="Late", key="late", settings=settings).repeated
    assert len(box.inbox) == before + 1


def test_a_mail_that_cannot_be_sent_again_stays_in_doubt(
    folder: Path, store: History, settings: docmail.Settings, box: docmail.Sandbox
) -> None:
    row = number(store, "Lost")
    box.answer("auth", "535 5.7.8 No", times=1)
    with pytest.raises(AuthenticationError):
        resending.send_again(folder, row, settings)
    assert store.journal.row(row).state == "unknown"


def test_a_mail_is_not_sent_again_as_somebody_else(
    folder: Path, store: History, settings: docmail.Settings, box: docmail.Sandbox
) -> None:
    other = docmail.Settings("Other <other@example.com>", settings.server)
    before, row = len(box.inbox), number(store, "Lost")
    with pytest.raises(MessageError, match=r"accounts@example\.com"):
        resending.send_again(folder, row, other)
    assert store.journal.row(row).state == "unknown"
    assert len(box.inbox) == before


def test_the_repr_of_a_closed_outbox_says_so(folder: Path) -> None:
    outbox = Outbox(folder)
    assert repr(outbox) == "<Outbox 1 refused, 3 sent, 1 unknown>"
    outbox.close()
    assert repr(outbox) == "<Outbox, closed>"
    with pytest.raises(DocmailError), closing(outbox):
        len(outbox)
