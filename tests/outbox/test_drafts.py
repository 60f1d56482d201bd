"""Drafts go into the mailbox of a real server: each once, as they were written, and nothing is sent."""

from __future__ import annotations

import email
import re
import threading
from email import policy
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.errors import BatchError, MessageError, SettingsError
from docmail.mailbox import open_mailbox
from docmail.outbox import Outbox
from docmail.widgets.mail.form import MailForm
from tests.support.imapserver import PASSWORD, ImapServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

ANN = "ann@example.com"
PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"

pytestmark = pytest.mark.mailserver


@pytest.fixture(scope="module")
def running() -> Iterator[ImapServer]:
    """Run one server for all tests of this file."""
    with ImapServer() as server:
        yield server


@pytest.fixture
def dovecot(running: ImapServer) -> ImapServer:
    """Return it with empty mailboxes."""
    running.clear()
    return running


def settings(server: ImapServer, user: str = ANN, **more: Any) -> docmail.Settings:
    """Return settings whose mailbox is there, and which could not send: nothing listens at their port."""
    mailbox = docmail.mailbox.Mailbox(
        "127.0.0.1", server.tls, docmail.settings.Security.TLS, user, None, str(server.ca_file)
    )
    made = docmail.Settings(f"Ann <{user}>", docmail.SmtpServer("127.0.0.1", 9, username=user), mailbox=mailbox, **more)
    docmail.credentials.set(made.for_mailbox, PASSWORD, remember=False)
    return made


def drafts(server: ImapServer, user: str = ANN) -> list[EmailMessage]:
    found = [path for path in server.files(user) if path.name.rpartition(",")[2].startswith("DS")]  # \\Draft \\Seen
    assert len(found) == len(server.files(user))
    return [email.message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(found)]


def message(number: int = 1, **more: Any) -> docmail.Message:
    return docmail.Message(
        f"c{number}@example.com",
        f"Invoice {number}",
        "Dear **all**,",
        PDF,
        bcc="boss@example.com",
        key=str(number),
        **more,
    )


def test_a_draft_is_what_would_be_sent_with_its_blind_copies(dovecot: ImapServer) -> None:
    outbox, mine = Outbox(), settings(dovecot, copy_to="archive@example.com")
    said = str(outbox.save_drafts(message(), settings=mine))
    assert re.fullmatch(r"1 draft was saved in the folder \S+ of the mailbox; nothing was sent\.", said)
    (draft,) = drafts(dovecot)
    assert (draft["To"], draft["Subject"], draft["From"]) == ("c1@example.com", "Invoice 1", f"Ann <{ANN}>")
    assert draft["Bcc"] == "boss@example.com, archive@example.com"
    assert draft["X-Unsent"] is None
    (attached,) = draft.iter_attachments()
    assert attached.get_content() == PDF
    with open_mailbox(mine) as box:
        folder = box.drafts_folder()
        assert folder is not None
        assert box.holds(draft["Message-ID"], folder)
    assert list(outbox) == []  # nothing is recorded as sent, or to be sent


def test_a_batch_is_saved_once_however_often_the_cell_runs(dovecot: ImapServer) -> None:
    rows = [{"no": each, "to": f"c{each}@example.com"} for each in range(3)]

    def saved(subject: str) -> tuple[int, int]:
        batch = docmail.merge(
            rows, key="no", to="{{ to }}", subject=subject, documents=lambda row: PDF + b"%%%d" % row["no"]
        )
        result = Outbox().save_drafts(batch, settings=settings(dovecot))
        return result.saved, result.found

    assert saved("Invoice {{ no }}") == (3, 0)
    assert saved("Invoice {{ no }}") == (0, 3)
    assert saved("Invoice No. {{ no }}") == (3, 0)  # another text is another draft
    assert len(drafts(dovecot)) == 6


def test_a_batch_with_a_bad_row_saves_nothing(dovecot: ImapServer) -> None:
    rows = [{"no": 1, "to": "c1@example.com"}, {"no": 2, "to": "nobody"}]
    with pytest.raises(BatchError, match="1 row cannot be a draft; nothing was saved") as caught:
        Outbox().save_drafts(docmail.merge(rows, key="no", to="{{ to }}", subject="S"), settings=settings(dovecot))
    assert [(problem.row, problem.field) for problem in caught.value.problems] == [(2, "to")]
    assert drafts(dovecot) == []


def test_two_programs_at_once_save_each_once(dovecot: ImapServer) -> None:
    mine, ended = settings(dovecot), list[str]()

    def save() -> None:
        try:
            ended.append(f"saved {Outbox().save_drafts([message(each) for each in range(3)], settings=mine).saved}")
        except MessageError as exc:
            ended.append(exc.message)

    threads = [threading.Thread(target=save) for _each in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert "saved 3" in ended
    assert {*ended} <= {"saved 3", "saved 0", "Another program is saving drafts for this account."}
    assert len(drafts(dovecot)) == 3


def test_a_time_and_a_conversation_are_not_lost_without_a_word(dovecot: ImapServer) -> None:
    found = Outbox().save_drafts(
        message(send_at="2036-12-07 07:00", in_reply_to="<1@example.com>"), settings=settings(dovecot)
    )
    assert str(found).endswith("A draft goes when somebody sends it; its send_at was left out.")
    (draft,) = drafts(dovecot)
    assert draft["In-Reply-To"] == "<1@example.com>"


def test_without_a_mailbox_it_says_where_to_enter_one() -> None:
    for server in (docmail.SmtpServer("smtp.example.com"), docmail.HttpServer("", api="postmark")):
        with pytest.raises(SettingsError) as caught:
            Outbox().save_drafts(message(), settings=docmail.Settings(f"Ann <{ANN}>", server))
        assert caught.value.field == "mailbox_host"
        assert caught.value.message.endswith("these settings have none.")


def test_the_mail_form_saves_a_draft_beside_the_file(dovecot: ImapServer) -> None:
    def form() -> MailForm:
        made = MailForm(
            [docmail.Document.of(PDF, name="Q3.pdf")], "cfo@example.com", "Q3", "Attached.", open_settings=lambda: None
        )
        made.show_sender()
        return made

    def labels(made: MailForm) -> list[str]:
        return [label for _action, label in made.actions.actions]

    mine = settings(dovecot)
    assert labels(form()) == ["Send", "Save as .eml"]
    mine.save()
    made = form()
    assert labels(made) == ["Send", "Save as .eml", "Save to Drafts"]
    made._work.run(lambda: made._save_to_drafts(made.actions.current()))
    assert "nothing was sent" in made.report.value
    assert drafts(dovecot)[0]["To"] == "cfo@example.com"
    made._work.run(lambda: made._save_to_drafts(made.actions.current()))
    assert "is in the mailbox already" in made.report.value
    assert len(drafts(dovecot)) == 1
