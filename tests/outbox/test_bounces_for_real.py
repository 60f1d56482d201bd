"""A real Postfix sends bounces into a real Dovecot, where they are found."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

import docmail
from docmail import credentials
from docmail.mailbox import Mailbox
from docmail.outbox import Outbox
from docmail.secret import Secret
from docmail.settings import Settings, SmtpServer
from tests.support.imapserver import PASSWORD, ImapServer
from tests.support.mailserver import RealMailServer

if TYPE_CHECKING:
    from collections.abc import Iterator

US = "accounts@example.com"
ANN = "ann@example.com"  # whose mailbox it is


@pytest.fixture(scope="module")
def dovecot() -> Iterator[ImapServer]:
    with ImapServer() as server:
        yield server


@pytest.fixture(scope="module")
def postfix(dovecot: ImapServer) -> Iterator[RealMailServer]:
    """Return a Postfix that takes mail for anybody, and delivers what is for us into a mailbox at Dovecot."""
    settings = {
        "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
        "smtpd_reject_unlisted_recipient": "no",
    }
    with RealMailServer(settings) as server:
        place = server.maildir(US)
        shutil.rmtree(place)
        place.symlink_to(dovecot.maildir(ANN))
        yield server


@pytest.mark.mailserver
def test_a_batch_with_bounces_of_a_real_server(postfix: RealMailServer, dovecot: ImapServer) -> None:
    mailbox = Mailbox("localhost", dovecot.tls, "tls", username=ANN, ca_file=str(dovecot.ca_file))  # type: ignore[arg-type]
    server = SmtpServer("127.0.0.1", postfix.ports.plain, "none")  # type: ignore[arg-type]
    settings = Settings(US, server, mailbox=mailbox)
    credentials.set(settings.for_mailbox, Secret(PASSWORD), remember=False)
    outbox = Outbox()
    people = [US, "nobody@example.com", "gone@elsewhere.example", f"{US}, nobody@example.com"]
    messages = [docmail.Message(to, f"No. {key}", "Hello", key=str(key)) for key, to in enumerate(people)]
    outbox.add_all(messages, batch="b", settings=settings)
    outbox.run(settings=settings)

    bounced = 0
    end = time.monotonic() + 30
    while bounced < 3 and time.monotonic() < end:  # the run itself may have found the first of them
        outbox.find_bounces(settings=settings)
        bounced = sum(len(row.bounced) for row in outbox)
    found = {(row.key, address): row.recipients[address] for row in outbox for address in row.bounced}
    assert {name: each.status for name, each in found.items()} == {
        ("1", "nobody@example.com"): "5.1.1",
        ("2", "gone@elsewhere.example"): "5.7.1",
        ("3", "nobody@example.com"): "5.1.1",
    }, postfix.log()
    assert found["1", "nobody@example.com"].reason == "There is no such mailbox; check the address."
    assert [str(row.state) for row in outbox] == ["sent", "bounced", "bounced", "sent"]
    assert all(row.filed for row in outbox)
    assert outbox.retry() == 0
