"""The sandbox's account has a mailbox that mail programs read, and mails that are taken can come back into it."""

from __future__ import annotations

import contextlib
import datetime as dt
import email
import imaplib
import itertools
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import termios
import textwrap
import time
from dataclasses import replace
from email import policy
from typing import TYPE_CHECKING, Any

import flufl.bounce
import imapclient  # type: ignore[import-untyped]
import pytest
from imapclient.exceptions import IMAPClientError, LoginError  # type: ignore[import-untyped]

import docmail
from docmail import Sandbox
from docmail.errors import MessageError
from docmail.oauth import DeviceSignIn
from docmail.sandbox import SANDBOX_PASSWORD, imap_server
from docmail.sandbox.imap_syntax import CommandError, chosen
from docmail.sandbox.server_file import Place
from tests.support.requires import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docmail.transport import SendResult

USER = "accounts@example.com"
MAIL = b"From: a@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <one@example.com>\r\n\r\nText.\r\n"


def trusting(box: Sandbox) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=box.ca_file)


@contextlib.contextmanager
def reading(box: Sandbox, *, sign_in: bool = True) -> Iterator[imapclient.IMAPClient]:
    client = imapclient.IMAPClient(box.host, box.imap_port, ssl_context=trusting(box), timeout=10)
    try:
        if sign_in:
            client.login(USER, SANDBOX_PASSWORD)
        yield client
    finally:
        with contextlib.suppress(IMAPClientError, OSError):
            client.logout()


def part(mail: Any, number: int) -> Any:
    return mail.get_payload()[number]


def send(box: Sandbox, *to: str, subject: str = "Q3", way: str = "starttls") -> SendResult:
    document = docmail.Document.of(b"%PDF-1.4\n%%EOF", name="Q3.pdf")
    return docmail.send(document, to=list(to), subject=subject, settings=box.settings_for(way))


# --- the mailbox ------------------------------------------------------------------------------------------------------


def test_a_mail_to_the_account_itself_arrives_in_its_mailbox_too(box: Sandbox) -> None:
    send(box, "cfo@example.com")
    send(box, "cfo@example.com", USER, subject="To both")
    assert [mail.subject for mail in box.inbox] == ["Q3", "To both"]
    (own,) = box.mailbox["INBOX"]
    assert (own.subject, own.recipients) == ("To both", (USER,))
    assert repr(box.mailbox) == "<Mailbox, INBOX: 1 mail, Drafts: 0 mails, Sent: 2 mails>"


def test_the_folders_say_what_they_are_for(box: Sandbox) -> None:
    with reading(box) as client:
        assert client.find_special_folder(b"\\Sent") == "Sent"
        assert client.find_special_folder(b"\\Drafts") == "Drafts"
        assert [name for _flags, _separator, name in client.list_folders()] == ["INBOX", "Drafts", "Sent"]
        assert client.folder_exists("inbox")
        assert not client.folder_exists("Trash")
        assert client.list_sub_folders("", "%")[0][2] == "INBOX"


def test_a_copy_that_is_filed_is_the_mail_byte_for_byte_with_its_flags_and_its_time(box: Sandbox) -> None:
    when = dt.datetime(2026, 11, 30, 10, 30, tzinfo=dt.UTC)
    # Python's client makes line ends of every CR and LF.
    octets = MAIL + bytes(set(range(256)) - {10, 13}) * 300 + b"\r\n)\r\nA1 LOGOUT\r\n{5}\r\n"
    with reading(box) as client:
        client.append("Sent", octets, flags=[b"\\Seen"], msg_time=when)
        client.select_folder("Sent")
        (found,) = client.fetch([1], ["BODY.PEEK[]", "FLAGS", "INTERNALDATE", "RFC822.SIZE"]).values()
    assert (found[b"BODY[]"], found[b"RFC822.SIZE"]) == (octets, len(octets))
    assert found[b"FLAGS"] == (b"\\Seen",)
    # imapclient gives local time without a zone.
    assert found[b"INTERNALDATE"].timestamp() == when.timestamp()
    (kept,) = box.mailbox["Sent"]
    assert (kept.raw, kept.flags, kept.received, kept.subject) == (octets, ("\\Seen",), when, "Grüße")


def test_a_copy_is_found_by_its_message_id(box: Sandbox) -> None:
    with reading(box) as client:
        client.append("Sent", MAIL)
        client.append("Sent", MAIL.replace(b"one@", b"two@"))
        client.select_folder("Sent", readonly=True)
        assert client.search(["HEADER", "Message-ID", "<two@example.com>"]) == [2]
        assert client.search(["HEADER", "MESSAGE-ID", "two@EXAMPLE.com"]) == [2]
        assert client.search(["HEADER", "Message-ID", "three@example.com"]) == []
        assert client.search(["SUBJECT", "grüße"], charset="UTF-8") == [1, 2]
        assert client.search(["OR", "UID", "1", ["NOT", ["UNSEEN"]]]) == [1]
        assert client.search(["SINCE", dt.date(2020, 1, 1), "LARGER", "10", "TEXT", "text."]) == [1, 2]
        assert client.search(["BEFORE", dt.date(2020, 1, 1)]) == []
        with pytest.raises(IMAPClientError, match="does not know this key"):
            client.search(["X-GM-RAW", "in:sent"])


def test_what_is_new_is_read_by_number_and_stays_unread(box: Sandbox) -> None:
    with reading(box) as client:
        validity = client.select_folder("INBOX")[b"UIDVALIDITY"]
        send(box, USER, subject="first")
        send(box, USER, subject="second")
        client.noop()
        assert client.search(["UID", "2:*"]) == [2]
        # RFC 3501 6.4.8: "*" is the last one, so a set that begins behind it has it all the same.
        assert client.search(["UID", "9:*"]) == [2]
        found = client.fetch([2], ["BODY.PEEK[]<0.20>", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "FLAGS"])[2]
        assert found[b"BODY[HEADER.FIELDS (SUBJECT)]"] == b"Subject: second\r\n\r\n"
        assert (len(found[b"BODY[]<0>"]), found[b"FLAGS"]) == (20, ())
        assert client.search("UNSEEN") == [1, 2]
        client.fetch([1], ["BODY[TEXT]"])
        assert client.search("UNSEEN") == [2]
        assert client.add_flags([2], [b"\\Flagged"])[2] == (b"\\Flagged",)
        client.select_folder("INBOX", readonly=True)
        assert client.folder_status("INBOX", ["UIDVALIDITY", "UIDNEXT", "UNSEEN", "MESSAGES"]) == {
            b"UIDVALIDITY": validity,
            b"UIDNEXT": 3,
            b"UNSEEN": 1,
            b"MESSAGES": 2,
        }
        with pytest.raises(IMAPClientError, match="READ-ONLY"):
            client.add_flags([2], [b"\\Seen"])


def test_numbers_hold_while_their_mails_do_and_begin_anew_under_another_validity(tmp_path: Path) -> None:
    def look() -> tuple[int, list[int]]:
        with reading(box) as client:
            return client.select_folder("INBOX")[b"UIDVALIDITY"], client.search("ALL")

    with Sandbox(tmp_path) as box:
        send(box, USER)
        first = look()
    with Sandbox(tmp_path) as box:
        assert look() == first
        box.mailbox["INBOX"].clear()
        send(box, USER)
        assert look() == (first[0], [2])
        box.mailbox["INBOX"].clear()
    while int(time.time()) == first[0]:  # a validity is a second
        time.sleep(0.01)
    with Sandbox(tmp_path) as box:
        send(box, USER)
        validity, numbers = look()
    assert numbers == [1]
    assert validity > first[0]


def test_a_mail_that_is_gone_is_told_where_numbers_may_change(box: Sandbox) -> None:
    for number in range(3):
        send(box, USER, subject=str(number))
    with reading(box) as client:
        client.use_uid = False
        client.select_folder("INBOX")
        (box.folder / "mailbox" / "inbox" / "000002.eml").unlink()
        assert list(client.fetch([1, 2, 3], ["FLAGS"])) == [1, 3]
        assert client.noop()[1] == [(2, b"EXPUNGE")]
        assert client.search("ALL") == [1, 2]


def test_nothing_is_deleted_moved_or_made(box: Sandbox) -> None:
    with reading(box) as client:
        client.append("Sent", MAIL)
        client.select_folder("Sent")
        with pytest.raises(IMAPClientError, match="deletes nothing"):
            client.expunge()
        with pytest.raises(IMAPClientError, match="stay as they are"):
            client.create_folder("Invoices")
        with pytest.raises(IMAPClientError, match="no such folder"):
            client.append("Invoices", MAIL)
        with pytest.raises(IMAPClientError, match="UID takes FETCH, SEARCH or STORE"):
            client.copy([1], "Drafts")
    assert len(box.mailbox["Sent"]) == 1


# --- signing in -------------------------------------------------------------------------------------------------------


def test_only_the_account_with_its_password_is_let_in(box: Sandbox) -> None:
    for user, password in ((USER, "wrong"), ("other@example.com", SANDBOX_PASSWORD), (USER, 'quo"te\\')):
        with reading(box, sign_in=False) as client, pytest.raises(LoginError, match="AUTHENTICATIONFAILED"):
            client.login(user, password)
    assert b"a BAD Sign in first" in talk(box, b"a SELECT INBOX\r\nb LOGOUT\r\n")
    with reading(box, sign_in=False) as client:
        client.plain_login(USER, SANDBOX_PASSWORD)
        assert client.list_folders()


def test_a_password_of_odd_characters_lets_in(tmp_path: Path) -> None:
    odd = 'pä"ss\\ w{3}[rd]'
    with Sandbox(tmp_path, password=odd) as box, reading(box, sign_in=False) as client:
        client.plain_login(USER, odd)
    with Sandbox(tmp_path, password='a"b\\c(d){5}') as box, reading(box, sign_in=False) as client:
        client.login(USER, 'a"b\\c(d){5}')


def test_a_token_lets_in_once_the_sign_in_server_was_used(box: Sandbox) -> None:
    with reading(box, sign_in=False) as client:
        assert not client.has_capability("AUTH=XOAUTH2")
    sign_in = DeviceSignIn(box.microsoft_settings)
    code = sign_in.begin()
    box.identity.agree()
    token = sign_in.wait(code, lambda: False).access.reveal()
    with reading(box, sign_in=False) as client:
        assert client.has_capability("AUTH=XOAUTH2")
        with pytest.raises(LoginError):
            client.oauth2_login(USER, "another")
        client.oauth2_login(USER, token)
        assert client.list_folders()
    with reading(box, sign_in=False) as client:
        client.oauthbearer_login(USER, token)
        assert client.list_folders()


def test_who_does_not_trust_the_certificate_is_let_go_quietly(box: Sandbox) -> None:
    with pytest.raises(ssl.SSLError), socket.create_connection((box.host, box.imap_port), 10) as sock:
        ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")
    with reading(box) as client:
        assert client.noop()


# --- clients of every kind --------------------------------------------------------------------------------------------


def test_python_s_own_client_is_served(box: Sandbox) -> None:
    with imaplib.IMAP4_SSL(box.host, box.imap_port, ssl_context=trusting(box), timeout=10) as client:
        client.login(USER, SANDBOX_PASSWORD)
        assert client.append("Sent", "(\\Seen)", '"30-Nov-2026 10:00:00 +0200"', MAIL)[0] == "OK"
        assert client.select("Sent")[1] == [b"1"]
        assert client.uid("SEARCH", "HEADER", "Message-ID", '"<one@example.com>"')[1] == [b"1"]
        answer = client.fetch("1", "(UID RFC822 INTERNALDATE)")[1]
    assert answer[0][1] == MAIL  # type: ignore[index]
    assert b'"30-Nov-2026 08:00:00 +0000"' in answer[1]  # type: ignore[operator]


@pytest.mark.timeout(40)
def test_mutt_shows_a_mail_that_came_back(box: Sandbox, tmp_path: Path) -> None:
    mutt, printed = require_program("mutt"), tmp_path / "printed"
    box.bounce("left@example.com")
    send(box, "left@example.com")
    settings = [
        f"set folder={tmp_path} charset=utf-8 wait_key=no print=yes print_decode=yes ssl_force_tls=yes",
        f"set imap_user={USER} imap_pass={SANDBOX_PASSWORD} certificate_file={box.ca_file}",
        f"set print_command='cat > {printed}'",
        "push <print-message><exit>",
    ]
    commands = [part for setting in settings for part in ("-e", setting)]
    environment = {"TERM": "xterm", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    ours, its = os.openpty()
    termios.tcsetwinsize(its, (24, 80))
    command = [mutt, "-n", "-F", "/dev/null", *commands, "-R", "-f", f"imaps://{box.host}:{box.imap_port}/INBOX"]
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment) as process:
        os.close(its)
        with contextlib.suppress(OSError):
            while os.read(ours, 65536):
                pass
        assert process.wait(30) == 0
    os.close(ours)
    shown = printed.read_text("utf-8")
    for words in ("Undelivered Mail Returned to Sender", "Recipient address rejected", "Action: failed"):
        assert words in shown


def talk(box: Sandbox, octets: bytes) -> bytes:
    """Return all that the server says to these octets, until it hangs up or says BYE."""
    said = b""
    raw = socket.create_connection((box.host, box.imap_port), 10)
    with trusting(box).wrap_socket(raw, server_hostname="localhost") as sock, contextlib.suppress(OSError):
        sock.sendall(octets)
        while piece := sock.recv(65536):
            said += piece
    return said


def test_commands_may_come_together_and_with_literals_unasked(box: Sandbox) -> None:
    said = talk(
        box,
        b"a LOGIN {20+}\r\naccounts@example.com {16+}\r\nsandbox-password\r\n"
        b"b APPEND Sent () {%d+}\r\n%s\r\nc EXAMINE Sent\r\nd SEARCH ALL\r\ne LOGOUT\r\n" % (len(MAIL), MAIL),
    )
    assert b"* SEARCH 1\r\n" in said
    assert [line.split()[:2] for line in said.splitlines() if line[:2] in {b"a ", b"b ", b"c ", b"d ", b"e "}] == [
        [tag, b"OK"] for tag in (b"a", b"b", b"c", b"d", b"e")
    ]


@pytest.mark.parametrize(
    "command",
    [
        "a", "", " ", "a (", "a )", 'a LIST "', "a FETCH 1 BODY[", "* OK", "a UID", "a UID COPY 1 x", "a " + "(" * 99,
        "a LOGIN x", "a LIST", "a STATUS INBOX (SIZE)", "a __init__", "a SEARCH", "a SELECT", "a SELECT ()",
        "a APPEND Sent", "a STORE 1 +FLAGS (x)", "a FETCH x FLAGS", "a FETCH 1 ENVELOPE", "a FETCH 1 BODY[1.MIME]",
        "a SEARCH UID x", "a SEARCH SINCE yesterday", "a SEARCH NOT", "a SEARCH LARGER", "a SEARCH LARGER x",
        "a AUTHENTICATE PLAIN ?", "a AUTHENTICATE NTLM", "a ID nil extra", "a FETCH 4294967296:* FLAGS",
        "a FETCH 1 BODY[]<9999999999.1>", "a \u00e9", "a NOOP\0", "a STORE 1 x", 'a APPEND Sent "x" {1+}\r\nx',
    ],
)  # fmt: skip
def test_a_command_that_is_none_is_answered_and_the_next_one_served(box: Sandbox, command: str) -> None:
    signs_in = f"s LOGIN {USER} {SANDBOX_PASSWORD}\r\nt SELECT INBOX\r\n".encode()
    said = talk(box, signs_in + command.encode() + b"\r\nz NOOP\r\ny LOGOUT\r\n")
    assert b"z OK" in said
    assert b"y OK" in said


def test_a_literal_that_is_too_large_is_not_taken(box: Sandbox) -> None:
    signs_in = f"s LOGIN {USER} {SANDBOX_PASSWORD}\r\n".encode()
    assert b"a NO [LIMIT]" in talk(box, signs_in + b"a APPEND Sent {99999999999}\r\ny LOGOUT\r\n")
    assert b"y OK" not in talk(box, signs_in + b"a APPEND Sent {99999999999+}\r\ny LOGOUT\r\n")
    assert not box.mailbox["Sent"]


def test_a_set_has_what_is_between_its_ends_in_either_order() -> None:
    present = [2, 3, 5, 9]
    for low, high in itertools.product(range(1, 12), repeat=2):
        between = [number for number in present if min(low, high) <= number <= max(low, high)]
        assert chosen(f"{low}:{high}".encode(), present) == between
    assert chosen(b"*", present) == chosen(b"12:*", present) == [9]
    assert chosen(b"1:*", present) == chosen(b"9,1:5", present) == present
    assert chosen(b"1:*", []) == []
    for wrong in (b"1:2:3", b"x", b"", b"1,", b"-1"):
        with pytest.raises(CommandError):
            chosen(wrong, present)


def test_the_settings_lead_to_it_with_the_password_for_sending(box: Sandbox) -> None:
    for settings in (box.settings, box.settings_for("tls")):
        assert not settings.problems()
        with docmail.mailbox.open_mailbox(settings) as mailbox:
            assert (mailbox.sent_folder(), mailbox.drafts_folder()) == ("Sent", "Drafts")
            assert list(map(mailbox.count, ("INBOX", "Sent", "Trash"))) == [0, 0, None]
    assert box.settings_for("form").mailbox is None


def test_a_batch_that_comes_back_in_part_is_found_corrected_and_sent(box: Sandbox) -> None:
    box.bounce("left@example.com")
    box.bounce("slow@example.com", status="4.4.1")
    outbox = docmail.Outbox()
    names = ("ann", "left", "slow")
    outbox.add_all(
        [docmail.Message(f"{name}@example.com", "Invoice", key=name) for name in names],
        batch="November",
        settings=box.settings,
    )
    assert dict(outbox.run(settings=box.settings, batch="November")) == {"sent": 2, "bounced": 1}
    row = next(row for row in outbox if row.state == "bounced")
    assert (row.key, row.recipients["left@example.com"].status) == ("left", "5.1.1")
    assert len(box.mailbox["Sent"]) == 3
    corrected = {"left@example.com": "found@example.com"}
    outbox.correct_and_send(row.id, corrected, settings=box.settings)
    assert [mail.recipients for mail in box.inbox] == [("ann@example.com",), ("found@example.com",)]
    assert {row.state for row in outbox} == {"sent"}


def test_copies_are_filed_without_reading_one_mail_twice(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    fetched = imap_server._fetched

    def noted(*arguments: Any) -> bytes:
        read.append(arguments[1])
        return fetched(*arguments)

    monkeypatch.setattr(imap_server, "_fetched", noted)
    with docmail.mailbox.open_mailbox(box.settings) as mailbox:
        for number in range(20):
            assert not mailbox.holds(f"<{number}@example.com>", "Sent")
            mailbox.append("Sent", MAIL.replace(b"one@", b"%d@" % number))
            assert mailbox.holds(f"<{number}@example.com>", "Sent")
    headers = len(read)
    assert headers <= 2 * 20, "its UID and its Message-ID, for each mail once"


# --- mails that come back ---------------------------------------------------------------------------------------------


def test_a_mail_that_comes_back_is_reported_to_the_sender_and_arrives_nowhere(box: Sandbox) -> None:
    box.bounce("left@example.com")
    result = send(box, "left@example.com", "cfo@example.com")
    assert result.accepted == ("left@example.com", "cfo@example.com")
    assert [mail.recipients for mail in box.inbox] == [("cfo@example.com",)]
    (report,) = box.mailbox["INBOX"]
    read: Any = email.message_from_bytes(report.raw, policy=policy.default)
    assert (read.get_content_type(), read["Content-Type"].params["report-type"]) == (
        "multipart/report",
        "delivery-status",
    )
    assert (read["Return-Path"], read["Auto-Submitted"]) == ("<>", "auto-replied")
    _text, status, headers = read.iter_parts()
    of_mail, of_recipient = status.get_payload()
    assert of_mail["Reporting-MTA"] == "dns; sandbox.example"
    assert of_recipient["Final-Recipient"] == "rfc822; left@example.com"
    assert (of_recipient["Action"], of_recipient["Status"]) == ("failed", "5.1.1")
    assert of_recipient["Diagnostic-Code"].startswith("smtp; 550 5.1.1 <left@example.com>: ")
    original = email.message_from_string(headers.get_content(), policy=policy.default)
    assert (original["Message-ID"], original["Subject"]) == (result.message_id, "Q3")
    assert "Bcc" not in original
    assert flufl.bounce.scan_message(report) == {b"left@example.com"}
    assert not read.defects


def test_a_delay_is_reported_as_one_and_not_together_with_what_came_back(box: Sandbox) -> None:
    box.bounce("slow@example.com", status="4.4.1")
    box.bounce("full@example.com", status="5.2.2", text="Quota exceeded")
    box.bounce("left@example.com")
    send(box, "slow@example.com", "full@example.com", "left@example.com")
    assert len(box.inbox) == 0
    failed, delayed = box.mailbox["INBOX"]
    assert part(failed, 1).as_string().count("Action: failed") == 2
    assert "said: 550 5.2.2 <full@example.com>: Quota exceeded" in part(failed, 0).get_content()
    assert delayed.subject == "Delayed Mail (still being retried)"
    assert part(part(delayed, 1), 1)["Action"] == "delayed"
    assert part(part(delayed, 1), 1)["Status"] == "4.4.1"


def test_an_address_beyond_ascii_is_reported_as_it_is(box: Sandbox) -> None:
    box.bounce("müller@example.com")
    send(box, "müller@example.com")
    (report,) = box.mailbox["INBOX"]
    assert b"message/global-delivery-status" in report.raw  # RFC 6533
    assert "\r\nFinal-Recipient: utf-8; müller@example.com\r\n" in report.raw.decode()


def test_an_address_that_is_refused_otherwise_is_taken_where_its_mail_is_to_come_back(box: Sandbox) -> None:
    with pytest.raises(docmail.errors.Refused):
        send(box, "nobody@example.com")
    box.bounce("nobody@example.com", times=1)
    assert send(box, "nobody@example.com", subject="once").accepted == ("nobody@example.com",)
    assert len(box.mailbox["INBOX"]) == 1
    with pytest.raises(docmail.errors.Refused):
        send(box, "nobody@example.com", subject="twice")


def test_resetting_lets_mails_arrive_again(box: Sandbox) -> None:
    box.bounce("left@example.com")
    box.reset()
    send(box, "left@example.com")
    assert (len(box.inbox), len(box.mailbox["INBOX"])) == (1, 0)


def test_a_status_that_no_mail_comes_back_with_is_a_sentence(box: Sandbox) -> None:
    for status in ("550", "2.0.0", "5.1", "gone", ""):
        with pytest.raises(MessageError, match="is not a status of mail that came back"):
            box.bounce("left@example.com", status=status)
    with pytest.raises(MessageError, match="What comes after a mail was taken is a reply"):
        box.drop("delivery")


def test_a_service_that_has_no_mailbox_reports_nothing_there(box: Sandbox) -> None:
    box.bounce("left@example.com")
    for way, reports in (("form", 0), ("postmark", 0), ("graph", 1)):
        send(box, "left@example.com", subject=way, way=way)
        assert (len(box.inbox), len(box.mailbox["INBOX"])) == (0, reports), way


def test_every_mail_comes_back_in_the_scenario_of_that_name() -> None:
    with Sandbox(failing="bounced") as box:
        send(box, "cfo@example.com", "ceo@example.com")
        (report,) = box.mailbox["INBOX"]
        assert flufl.bounce.scan_message(report) == {b"cfo@example.com", b"ceo@example.com"}
        assert len(box.inbox) == 0


def test_a_sandbox_without_the_extra_works_and_has_its_mailbox(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["imapclient"] = sys.modules["flufl"] = sys.modules["flufl.bounce"] = None
import docmail
with docmail.Sandbox() as box:
    box.bounce("left@example.com")
    pdf = docmail.Document.of(b"%PDF-1.4\\n%%EOF", name="Q3.pdf")
    result = docmail.send(pdf, to="left@example.com", subject="Q3", settings=box.settings)
    print(repr(result.note), box.mailbox["INBOX"][-1].subject)
    try:
        docmail.Outbox().find_bounces(settings=box.settings)
    except docmail.errors.SettingsError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    came_back, said = done.stdout.splitlines()
    assert came_back == "'' Undelivered Mail Returned to Sender"
    assert 'pip install "docmail[mailbox]"' in said


def test_the_shared_sandbox_of_an_earlier_docmail_has_no_mailbox(box: Sandbox) -> None:
    file = box.folder / "server.json"
    content = json.loads(file.read_text("utf-8"))
    del content["ports"]["imap"]
    file.write_text(json.dumps(content), "utf-8")
    place = Place.read(file)
    assert place is not None
    assert place.ports.imap == 0
    assert box._open is not None
    box._open = replace(box._open, place=place)
    assert box.settings.mailbox is None
    assert send(box, "cfo@example.com").accepted


def test_what_the_guide_says_to_try_shows_a_mail_that_came_back(capsys: pytest.CaptureFixture[str]) -> None:
    text = docmail.presets.guide("How do I try this out?").markdown
    exec(textwrap.dedent("\n".join(re.findall(r"(?m)^    .*$|^$", text))), {})  # noqa: S102 - our own
    assert capsys.readouterr().out == "Undelivered Mail Returned to Sender\n"
