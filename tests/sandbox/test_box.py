"""The sandbox behaves like a provider's server, fails on order, and leaves nothing behind."""

from __future__ import annotations

import errno
import gc
import http.client
import logging
import os
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import warnings
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

import docmail
from docmail import Sandbox, Settings, credentials
from docmail import home as homes
from docmail.errors import CredentialError, Deferred, MessageError, SettingsError
from docmail.oauth.loopback import Loopback
from docmail.sandbox import SANDBOX_PASSWORD, server_file
from docmail.sandbox import inbox as inbox_module
from docmail.sandbox import server as server_module
from docmail.sandbox.rehearsal import Rehearsal
from docmail.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USERNAME = "accounts@example.com"
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n"
)


def trusting(box: Sandbox) -> ssl.SSLContext:
    """Return a context that checks everything, as strictly as Python 3.13 does by default."""
    context = ssl.create_default_context(cafile=box.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def port_of(box: Sandbox, way: str) -> int:
    return box.settings_for(way).account.port


@contextmanager
def connected(
    box: Sandbox, *, host: str = "127.0.0.1", password: str | None = SANDBOX_PASSWORD
) -> Iterator[smtplib.SMTP]:
    client = smtplib.SMTP(host, box.port, timeout=10)
    try:
        client.starttls(context=trusting(box))
        if password is not None:
            client.login(USERNAME, password)
        yield client
    finally:
        client.close()


def mail(subject: str = "Q3", body: str = "Attached.\n", content: bytes = PDF) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = USERNAME, "cfo@example.com", subject
    message.set_content(body)
    message.add_attachment(content, maintype="application", subtype="pdf", filename="Q3 · März.pdf")
    return message


def as_sent(message: EmailMessage) -> bytes:
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


def send(client: smtplib.SMTP, *to: str, message: EmailMessage | None = None) -> dict[str, tuple[int, bytes]]:
    return client.sendmail(USERNAME, to or ("cfo@example.com",), as_sent(message or mail()))


# --- a server like a provider's ---------------------------------------------------------------------------------------


def test_a_mail_arrives_as_it_was_sent(box: Sandbox) -> None:
    message = mail("Grüße", "Häuser\n.\n..zwei\n")
    with connected(box) as client:
        send(client, "cfo@example.com", "archive@example.com", message=message)
    received = box.inbox[0]
    assert received.raw == as_sent(message)
    assert received.sender == USERNAME
    assert received.recipients == ("cfo@example.com", "archive@example.com")
    assert (received.subject, received["Subject"]) == ("Grüße", "Grüße")
    assert received.text == "Häuser\n.\n..zwei\n"
    assert received.html == ""
    (attachment,) = received.attachments
    assert (attachment.name, attachment.media_type) == ("Q3 · März.pdf", "application/pdf")
    assert (attachment.content, attachment.size, attachment.pages) == (PDF, len(PDF), 1)


def test_sign_in_is_offered_only_after_starttls(box: Sandbox) -> None:
    with smtplib.SMTP("127.0.0.1", box.port, timeout=10) as client:
        client.ehlo()
        assert client.has_extn("STARTTLS")
        assert not client.has_extn("AUTH")
        assert client.docmd("AUTH", "PLAIN AGEAYg==")[0] == 530
        assert client.docmd("MAIL", "FROM:<a@example.com>")[0] == 530
        client.starttls(context=trusting(box))
        client.ehlo()
        assert set(client.esmtp_features["auth"].split()) == {"PLAIN", "LOGIN"}
        assert int(client.esmtp_features["size"]) >= 40_000_000
        assert client.has_extn("SMTPUTF8")
        assert client.has_extn("8BITMIME")


def test_mail_is_taken_only_after_sign_in(box: Sandbox) -> None:
    with connected(box, password=None) as client:
        client.ehlo()
        assert client.mail(USERNAME)[0] == 530


def test_the_other_port_is_encrypted_from_the_first_byte(box: Sandbox) -> None:
    with smtplib.SMTP_SSL("127.0.0.1", port_of(box, "tls"), timeout=10, context=trusting(box)) as client:
        client.login(USERNAME, SANDBOX_PASSWORD)
        send(client)
    assert len(box.inbox) == 1


@pytest.mark.parametrize("mechanism", ["auth_plain", "auth_login"])
def test_a_wrong_password_is_refused_and_the_right_one_accepted(box: Sandbox, mechanism: str) -> None:
    with connected(box, password=None) as client:
        client.ehlo()
        client.user, client.password = USERNAME, "wrong"
        name = mechanism.removeprefix("auth_").upper()
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.auth(name, getattr(client, mechanism))
        assert caught.value.smtp_code == 535
        client.password = SANDBOX_PASSWORD
        assert client.auth(name, getattr(client, mechanism))[0] == 235


def test_a_password_of_any_letters_works() -> None:
    import base64

    with Sandbox(password=Secret("Schlüssel·1 " + "x" * 600)) as box, connected(box, password=None) as client:
        client.ehlo()
        token = base64.b64encode(f"\0{USERNAME}\0Schlüssel·1 {'x' * 600}".encode()).decode()
        assert client.docmd("AUTH", f"PLAIN {token}")[0] == 235


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_certificate_holds_for_this_computer_and_is_checked(box: Sandbox, name: str) -> None:
    with connected(box, host=name):
        pass
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        socket.create_connection(("127.0.0.1", port_of(box, "tls"))) as sock,
    ):
        ssl.create_default_context().wrap_socket(sock, server_hostname=name)
    with smtplib.SMTP(name, box.port) as client, pytest.raises(ssl.SSLCertVerificationError):
        client.starttls(context=ssl.create_default_context())
    with connected(box):  # a client that does not trust it does no harm
        pass


def test_addresses_beyond_ascii_arrive(box: Sandbox) -> None:
    content = "To: Jörg <jörg@example.com>\r\nSubject: Für Jörg\r\n\r\nHallo\r\n".encode()
    with connected(box) as client:
        client.ehlo()
        assert client.docmd("MAIL", f"FROM:<{USERNAME}> BODY=8BITMIME SMTPUTF8")[0] == 250
        client.send("RCPT TO:<jörg@example.com>\r\n".encode())
        assert client.getreply()[0] == 250
        assert client.data(content)[0] == 250
    assert box.inbox[0].recipients == ("jörg@example.com",)
    assert box.inbox[0].raw == content
    assert box.inbox[0].subject == "Für Jörg"
    assert box.inbox[0]["To"].addresses[0].display_name == "Jörg"


def test_a_mail_of_20_mb_arrives_intact_and_soon(box: Sandbox) -> None:
    message = mail(content=os.urandom(20_000_000))
    raw = as_sent(message)
    with connected(box) as client:
        started = time.monotonic()
        client.sendmail(USERNAME, "cfo@example.com", raw)
        taken = time.monotonic() - started
    assert box.inbox[0].raw == raw
    assert taken < 10  # 0.3 to 0.9 s on an ordinary machine; reading line by line takes several times that


def test_a_mail_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rehearsal, "size_limit", 5000)
    with Sandbox() as small, connected(small) as client:
        client.ehlo()
        assert client.docmd("MAIL", f"FROM:<{USERNAME}> SIZE=5001")[0] == 552
        assert client.mail(USERNAME)[0] == 250
        assert client.rcpt("cfo@example.com")[0] == 250
        assert client.data(b"x" * 70 + b"\r\n" + b"y" * 6000 + b"\r\n")[0] == 552
        assert len(small.inbox) == 0
        send(client)
        assert len(small.inbox) == 1


def test_commands_may_follow_the_final_dot_at_once(box: Sandbox) -> None:
    with connected(box) as client:
        client.ehlo()
        client.mail(USERNAME)
        client.rcpt("cfo@example.com")
        client.docmd("DATA")
        client.send(b".\r\nNOOP\r\n")
        assert (client.getreply()[0], client.getreply()[0]) == (250, 250)
    assert box.inbox[0].raw == b""


def test_only_crlf_ends_a_mail(box: Sandbox) -> None:
    """SMTP smuggling: a bare line feed before or after the dot is content."""
    with connected(box) as client:
        client.ehlo()
        client.mail(USERNAME)
        client.rcpt("cfo@example.com")
        client.docmd("DATA")
        client.send(b"a\n.\nMAIL FROM:<x@example.com>\n.\r\nb\r\n.\n\r\n.\r\n")
        assert client.getreply()[0] == 250
    assert box.inbox[0].raw == b"a\n.\nMAIL FROM:<x@example.com>\n.\r\nb\r\n\n\r\n"


# --- the inbox --------------------------------------------------------------------------------------------------------


def test_the_inbox_is_a_sequence_newest_last(box: Sandbox) -> None:
    with connected(box) as client:
        for number in range(12):
            send(client, message=mail(f"Mail {number}"))
    assert len(box.inbox) == 12
    assert [received.subject for received in box.inbox] == [f"Mail {number}" for number in range(12)]
    assert box.inbox[-1].subject == "Mail 11"
    assert [received.subject for received in box.inbox[1:3]] == ["Mail 1", "Mail 2"]
    assert [received.subject for received in box.inbox.after(box.inbox[9].number)] == ["Mail 10", "Mail 11"]
    with pytest.raises(IndexError, match="12 mails"):
        box.inbox[12]
    assert repr(box) == f"<Sandbox 127.0.0.1:{box.port}, 12 mails>"
    box.inbox.clear()
    assert (len(box.inbox), repr(box.inbox)) == (0, "<Inbox, 0 mails>")


def test_a_mail_has_a_short_repr(box: Sandbox) -> None:
    with connected(box) as client:
        send(client)
        client.sendmail(USERNAME, ["a@example.com", "b@example.com", "c@example.com"], b"Subject: Hi\r\n\r\nx\r\n")
    assert repr(box.inbox[0]) == "<ReceivedMail 'Q3' to cfo@example.com, 1 attachment>"
    assert repr(box.inbox[1]) == "<ReceivedMail 'Hi' to a@example.com, b@example.com and 1 more>"
    assert repr(box.inbox[0].attachments[0]) == "Attachment(name='Q3 · März.pdf', media_type='application/pdf')"


def test_an_attached_mail_is_an_attachment(box: Sandbox) -> None:
    outer = mail()
    outer.add_attachment(mail("inner"))
    with connected(box) as client:
        send(client, message=outer)
    pdf, inner = box.inbox[0].attachments
    assert pdf.content == PDF
    assert inner.media_type == "message/rfc822"
    assert b"Subject: inner" in inner.content
    assert inner.pages is None


def test_waiting_ends_when_the_mails_are_there_or_time_is_up(box: Sandbox) -> None:
    def later() -> None:
        time.sleep(0.1)
        with connected(box) as client:
            send(client)

    thread = threading.Thread(target=later)
    thread.start()
    (received,) = box.inbox.wait(timeout=10)
    thread.join()
    assert received.subject == "Q3"
    with pytest.raises(TimeoutError, match="1 mails in the inbox, not 2"):
        box.inbox.wait(2, timeout=0.05)


# --- failures on order ------------------------------------------------------------------------------------------------


def test_nobody_is_refused_and_later_deferred_at_any_domain(box: Sandbox) -> None:
    with connected(box) as client:
        refused = send(client, "cfo@example.com", "Nobody@example.net", "later@example.org")
    assert refused["Nobody@example.net"] == (550, b"5.1.1 <Nobody@example.net> No such mailbox here")
    assert refused["later@example.org"][0] == 451
    assert box.inbox[0].recipients == ("cfo@example.com",)


def _converse(box: Sandbox) -> tuple[str, int, bytes]:
    """Send one mail; return the step of the first negative reply, or of the cut, and the reply."""
    client = smtplib.SMTP(timeout=10)
    client._host = "127.0.0.1"  # type: ignore[attr-defined]  # connect() forgets it, and TLS checks it
    step = ""
    steps: list[tuple[str, Callable[[], tuple[int, bytes]]]] = [
        ("connect", lambda: client.connect("127.0.0.1", box.port)),
        ("ehlo", client.ehlo),
        ("tls", lambda: client.starttls(context=trusting(box))),
        ("ehlo", client.ehlo),
        ("auth", lambda: _login(client)),
        ("mail", lambda: client.mail(USERNAME)),
        ("rcpt", lambda: client.rcpt("cfo@example.com")),
        ("data", lambda: client.docmd("DATA")),
        ("end", lambda: _body(client)),
    ]
    try:
        for name, command in steps:
            step = name
            code, text = command()
            if code >= 400:
                return step, code, text
    except (smtplib.SMTPServerDisconnected, OSError):
        return step, -1, b""
    finally:
        client.close()
    return "", code, text


def _body(client: smtplib.SMTP) -> tuple[int, bytes]:
    client.send(as_sent(mail()) + b".\r\n")
    return client.getreply()


def _login(client: smtplib.SMTP) -> tuple[int, bytes]:
    client.user, client.password = USERNAME, SANDBOX_PASSWORD
    try:
        return client.auth("PLAIN", client.auth_plain)  # login() would try the next mechanism
    except smtplib.SMTPAuthenticationError as exc:
        return exc.smtp_code, bytes(exc.smtp_error)  # type: ignore[arg-type]  # bytes where a server said it


@pytest.mark.parametrize("step", ["connect", "ehlo", "auth", "mail", "rcpt", "data", "end"])
def test_a_programmed_answer_comes_at_its_step_as_often_as_asked(box: Sandbox, step: Any) -> None:
    box.answer(step, "452 4.3.1 Not now\nCome back tomorrow", times=1)
    assert _converse(box) == (step, 452, b"4.3.1 Not now\nCome back tomorrow")
    assert len(box.inbox) == 0
    assert _converse(box)[0] == ""
    assert len(box.inbox) == 1


@pytest.mark.parametrize("step", ["connect", "ehlo", "auth", "mail", "rcpt", "data"])
def test_a_connection_is_cut_at_its_step(box: Sandbox, step: Any) -> None:
    box.drop(step)
    assert _converse(box) == (step, -1, b"")
    box.reset()
    assert _converse(box)[0] == ""


def test_a_connection_is_cut_in_the_middle_of_the_body(box: Sandbox) -> None:
    box.drop("body", after=100_000)
    with connected(box) as client:
        client.ehlo()
        client.mail(USERNAME)
        client.rcpt("cfo@example.com")
        client.docmd("DATA")
        assert client.sock is not None
        with pytest.raises(OSError):  # noqa: PT011 - reset, broken pipe or end of TLS: the system's choice
            client.sock.sendall(bytes(30_000_000))
    box.drop("body", after=100_000)  # and a shorter one before its end
    assert _converse(box)[0] == "end"
    assert len(box.inbox) == 0


@pytest.mark.parametrize("keep", [True, False])
def test_a_connection_is_cut_after_the_final_dot_with_or_without_the_mail(box: Sandbox, *, keep: bool) -> None:
    box.drop("end", keep=keep)
    assert _converse(box)[0] == "end"
    assert len(box.inbox) == keep


def test_a_positive_answer_changes_only_the_words(box: Sandbox) -> None:
    box.answer("rcpt", "250 2.1.5 Fine", recipient="nobody@example.com")
    box.answer("end", "250 2.0.0 Queued as 4711")
    box.answer("connect", "220 mail.example.net ESMTP Exim")
    with connected(box) as client:
        client.ehlo()
        client.mail(USERNAME)
        assert client.rcpt("nobody@example.com") == (250, b"2.1.5 Fine")
        assert client.data(as_sent(mail())) == (250, b"2.0.0 Queued as 4711")
    assert box.inbox[0].recipients == ("nobody@example.com",)
    with socket.create_connection(("127.0.0.1", box.port)) as sock:
        assert sock.recv(100) == b"220 mail.example.net ESMTP Exim\r\n"


def test_answers_for_some_times_come_first_and_the_latest_lasting_one_stays(box: Sandbox) -> None:
    box.answer("mail", "550 lasting")
    box.answer("mail", "451 lasting")
    box.answer("mail", "451 once", times=1)
    box.answer("mail", "452 twice", times=2)
    replies = [_converse(box)[1:] for _number in range(5)]
    assert replies == [(451, b"once"), (452, b"twice"), (452, b"twice"), (451, b"lasting"), (451, b"lasting")]


def test_a_failure_can_concern_one_recipient(box: Sandbox) -> None:
    box.answer("rcpt", "550 5.7.1 Not you", recipient="CFO@example.com")
    with connected(box) as client:
        assert set(send(client, "cfo@example.com", "a@example.com")) == {"cfo@example.com"}


def test_an_answer_421_ends_the_connection(box: Sandbox) -> None:
    box.answer("mail", "421 4.3.2 Shutting down")
    with connected(box) as client:
        client.ehlo()
        assert client.mail(USERNAME)[0] == 421
        with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
            client.docmd("NOOP")


def test_a_delay_delays_its_step_only(box: Sandbox) -> None:
    box.delay("mail", 0.3)
    with connected(box) as client:
        client.ehlo()
        started = time.monotonic()
        client.mail(USERNAME)
        assert time.monotonic() - started >= 0.3
        started = time.monotonic()
        client.rcpt("cfo@example.com")
        assert time.monotonic() - started < 0.3


def test_orders_that_make_no_sense_are_refused_in_a_sentence(box: Sandbox) -> None:
    for order, words in (
        (lambda: box.answer("helo", "550 x"), "“helo” is not a step"),  # type: ignore[arg-type]
        (lambda: box.answer("rcpt", "No such mailbox"), "not a server's reply"),
        (lambda: box.answer("rcpt", "5501 x"), "not a server's reply"),
        (lambda: box.answer("body", "550 x"), "body is not answered"),
        (lambda: box.drop("mail", recipient="a@example.com"), "no recipient is known"),
    ):
        with pytest.raises(MessageError, match=words):
            order()


# --- mail as an HTTP form ---------------------------------------------------------------------------------------------

FIELDS = {
    "from": "Müller & Co",
    "reply_to": "office@example.com",
    "to": "cfo@example.com; ceo@example.com",
    "subject": "Grüße · 50 %",
    "body": "<p>Häuser<br>\r\nzwei</p>",
}


def post(box: Sandbox, body: bytes, content_type: str, method: str = "POST", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(box, "form"), timeout=10)
    try:
        connection.request(method, "/any/path?x=1", body, {"Content-Type": content_type} | headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def multipart(fields: dict[str, str], *files: tuple[str, bytes], quote: str = '"') -> tuple[bytes, str]:
    parts = [f"Content-Disposition: form-data; name={quote}{k}{quote}\r\n\r\n{v}".encode() for k, v in fields.items()]
    for number, (name, content) in enumerate(files):
        head = f'Content-Disposition: form-data; name="f{number}"; filename="{name}"\r\nContent-Type: application/pdf'
        parts.append(f"{head}\r\n\r\n".encode() + content)
    body = b"".join(b"--cut\r\n" + part + b"\r\n" for part in parts) + b"--cut--\r\n"
    return body, "multipart/form-data; boundary=cut"


def test_a_form_becomes_a_mail(box: Sandbox) -> None:
    content = os.urandom(100_000) + b"\r\n--cu\r\n\r\n"
    body, kind = multipart(FIELDS, ("März %22a%22.pdf", content), ("b.pdf", PDF))
    assert post(box, body, kind) == (200, "Sent.")
    received = box.inbox[0]
    assert received.recipients == ("cfo@example.com", "ceo@example.com")
    assert received["From"].addresses[0].display_name == "Müller & Co"
    assert received["Reply-To"] == "office@example.com"
    assert received["To"] == "cfo@example.com, ceo@example.com"
    assert received.subject == "Grüße · 50 %"
    assert received.html == "<p>Häuser<br>\nzwei</p>\n"
    assert [(item.name, item.content) for item in received.attachments] == [('März "a".pdf', content), ("b.pdf", PDF)]


def test_a_form_without_files_may_be_urlencoded(box: Sandbox) -> None:
    assert post(box, urlencode(FIELDS).encode(), "application/x-www-form-urlencoded")[0] == 200
    assert (box.inbox[0].subject, box.inbox[0].attachments) == ("Grüße · 50 %", ())
    assert box.inbox[0].html == "<p>Häuser<br>\nzwei</p>\n"


def test_a_form_of_20_mb_arrives(box: Sandbox) -> None:
    content = os.urandom(20_000_000)
    assert post(box, *multipart(FIELDS, ("a.pdf", content)))[0] == 200
    assert box.inbox[0].attachments[0].content == content


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"", "application/json", 415, "application/json"),
        (urlencode(FIELDS | {"to": "nobody"}).encode(), "application/x-www-form-urlencoded", 400, "nobody"),
        (urlencode(FIELDS | {"to": " ; "}).encode(), "application/x-www-form-urlencoded", 400, "no recipient"),
        (urlencode(FIELDS | {"subject": "a\nBcc: x@y.z"}).encode(), "application/x-www-form-urlencoded", 400, ""),
        (b"from=x", "application/x-www-form-urlencoded", 400, "reply_to, to, subject, body"),
        (*multipart(FIELDS, quote=""), 400, "no quoted name"),
        (multipart(FIELDS)[0][:-8], multipart(FIELDS)[1], 400, "cut off"),
        (multipart(FIELDS)[0], "multipart/form-data", 400, "no boundary"),
    ],
)
def test_a_form_that_is_wrong_is_refused_with_a_reason(
    box: Sandbox, body: bytes, kind: str, status: int, words: str
) -> None:
    assert post(box, body, kind)[0] == status
    assert words in post(box, body, kind)[1]
    assert len(box.inbox) == 0


def test_a_web_page_cannot_fill_the_inbox_nor_program_failures(box: Sandbox) -> None:
    form = urlencode(FIELDS).encode()
    assert post(box, form, "application/x-www-form-urlencoded", Origin="https://example.com")[0] == 403
    assert post(box, b"null", "application/json", method="PUT")[0] == 403
    assert post(box, b"", "application/json", method="PUT", Authorization="Bearer \xe9")[0] == 403
    assert len(box.inbox) == 0


def test_an_http_answer_can_be_programmed(box: Sandbox) -> None:
    form = urlencode(FIELDS).encode(), "application/x-www-form-urlencoded"
    box.answer("http", "503 Busy", times=1)
    assert post(box, *form) == (503, "Busy")
    assert len(box.inbox) == 0
    box.drop("http", times=1)
    with pytest.raises(http.client.RemoteDisconnected):
        post(box, *form)
    assert len(box.inbox) == 1
    box.delay("http", 0.2, times=1)
    started = time.monotonic()
    assert post(box, *form)[0] == 200
    assert time.monotonic() - started >= 0.2


# --- a rehearsal, and nothing else ------------------------------------------------------------------------------------


def test_its_home_is_in_force_while_it_is_open(home: Path) -> None:
    with Sandbox() as outer:
        assert homes.current() == outer.settings.home
        assert homes.current().rehearsal
        with Sandbox() as inner:
            assert homes.current() == inner.settings.home
            inner.settings.save()
        assert homes.current() == outer.settings.home
        with pytest.raises(SettingsError):
            Settings.load()
    assert homes.current() == homes.user_home()
    assert not (home / "docmail").exists()


def test_it_lends_its_password_to_its_own_accounts_only() -> None:
    with Sandbox(password="another") as box, Sandbox() as other:
        for settings in (box.settings, box.settings_for("tls")):
            assert credentials.where(settings) == "session"
            assert credentials.get(settings) == Secret("another")
            assert settings.problems() == []
        assert credentials.get(other.settings) == Secret(SANDBOX_PASSWORD)
        assert credentials.get(box.settings_for("form")) is None
        assert box.settings_for("form").problems() == []
        settings = box.settings
    assert credentials.where(settings) is None


def test_two_sandboxes_keep_their_mails_apart() -> None:
    with Sandbox() as one, Sandbox() as two:
        assert one.port != two.port
        with connected(one) as client:
            send(client)
        with connected(two) as client:
            send(client)
            send(client)
        assert (len(one.inbox), len(two.inbox)) == (1, 2)


def test_the_password_is_in_no_repr_no_file_and_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    password = "Hunter2-geheim"
    with Sandbox(tmp_path / "box", password=password) as box:
        box.settings.save()
        with connected(box, password=password) as client:
            send(client)
        with connected(box, password=None) as client:
            client.ehlo()
            client.docmd("AUTH", "PLAIN")
            client.docmd("Hunter2-geheim")  # a client that forgets the base64
        shown = repr(box) + repr(box.settings) + repr(vars(box)) + repr(box.inbox[0])
    files = [path for path in (tmp_path / "box").rglob("*") if path.is_file()]
    assert len(files) > 4
    assert password not in shown
    assert not [path for path in files if password.encode() in path.read_bytes()]
    assert "mail.log" not in {record.name for record in caplog.records}
    assert password not in caplog.text


def test_a_username_need_not_be_an_address() -> None:
    with Sandbox(username="apikey") as box:
        assert box.settings.problems() == []
        assert box.settings.address.addr_spec == "accounts@example.com"
        assert box.settings_for("form").problems() == []


def test_what_it_keeps_is_for_its_owner_only(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "box") as box, connected(box) as client:
        send(client)
        modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "box").iterdir() if path.is_dir()}
        assert (tmp_path / "box").stat().st_mode & 0o077 == 0
        assert modes == {"inbox": 0, "mailbox": 0}


def test_a_folder_of_ones_own_keeps_mails_and_certificate(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "box") as box:
        with connected(box) as client:
            send(client)
        before = box.ca_file.read_bytes(), box.port
        with pytest.raises(SettingsError, match="Another sandbox"):
            Sandbox(tmp_path / "box").start()
    with Sandbox(tmp_path / "box") as box:
        assert (box.ca_file.read_bytes(), box.port) == before
        with connected(box) as client:
            send(client, message=mail("second"))
        assert [received.subject for received in box.inbox] == ["Q3", "second"]
    (tmp_path / "box" / "ca.pem").write_text("damaged")
    with Sandbox(tmp_path / "box") as box, connected(box):
        assert box.ca_file.read_bytes() != before[0]


# --- closing ----------------------------------------------------------------------------------------------------------


def test_closing_leaves_no_thread_no_port_and_no_file() -> None:
    threads = set(threading.enumerate())
    box = Sandbox().start()
    folder, ports = box.folder, (box.port, port_of(box, "tls"), port_of(box, "form"))
    # Clients that say nothing, one of them in the middle of a handshake, must not keep it open.
    idle = [socket.create_connection(("127.0.0.1", port)) for port in (*ports, box.port)]
    idle[3].sendall(b"EHLO x\r\nSTARTTLS\r\n")
    with connected(box) as client:
        client.ehlo()
        started = time.monotonic()
        box.close()
        box.close()
        assert time.monotonic() - started < 0.4
    assert set(threading.enumerate()) == threads
    assert not folder.exists()
    assert repr(box) == "<Sandbox, closed>"
    for sock in idle:
        sock.settimeout(5)
        try:
            while sock.recv(1000):
                pass
        except ConnectionResetError:
            pass
        sock.close()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    with pytest.raises(SettingsError, match="not open"):
        _ = box.inbox


def test_a_client_that_comes_while_it_closes_leaves_no_connection_open() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _time in range(20):
            box = Sandbox().start()
            clients = [socket.socket() for _port in range(2)]
            for client, port in zip(clients, (box.port, port_of(box, "tls")), strict=True):
                client.settimeout(0)
                client.connect_ex(("127.0.0.1", port))
            box.close()
            for client in clients:
                client.close()
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_a_port_that_fails_leaves_no_other_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listen = server_module._listen
    opened: list[socket.socket] = []

    def only_two(port: int) -> socket.socket:
        if len(opened) == 2:
            raise OSError(errno.EMFILE, "Too many open files")
        opened.append(listen(port))
        return opened[-1]

    monkeypatch.setattr(server_module, "_listen", only_two)
    with pytest.raises(SettingsError, match="Too many"):
        Sandbox(tmp_path).start()
    assert [sock.fileno() for sock in opened] == [-1, -1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on POSIX only")
def test_a_forked_child_that_ends_leaves_its_parents_sandbox_alone() -> None:
    code = """
        import os, sys
        import docmail
        from docmail.sandbox.server_file import take

        box = docmail.Sandbox().start()
        folder = box.folder
        if not (child := os.fork()):
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        assert folder.exists()
        assert take(folder) is None, "somebody else could run it now"
        docmail.send(b"%PDF-1.4\\n%%EOF", to="cfo@example.com", subject="Q3", settings=box.settings)
        assert len(box.inbox) == 1
        box.close()
        assert not folder.exists()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


def test_it_starts_at_once() -> None:
    with Sandbox():
        pass  # loads what it needs
    started = time.monotonic()
    with Sandbox():
        assert time.monotonic() - started < 0.3


def test_it_can_be_opened_again() -> None:
    box = Sandbox()
    for _time in range(2):
        with box, connected(box) as client:
            assert box.start() is box
            send(client)
            assert len(box.inbox) == 1


def test_many_clients_at_once_are_served(box: Sandbox) -> None:
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            with connected(box) as client:
                send(client, message=mail(f"Mail {number}"))
        except Exception as exc:  # noqa: BLE001 - shown below
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {received.subject for received in box.inbox} == {f"Mail {number}" for number in range(20)}


# --- places that do not serve ---


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "box", Path("/proc/box")):
        with pytest.raises(SettingsError, match=rf"No sandbox can be opened in {folder}: .*use another folder"):
            Sandbox(folder).start()


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_details: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(server_file, "write_whole", full)
    with pytest.raises(SettingsError, match=r"No space left on device\. Make room on the disk"):
        Sandbox(tmp_path).start()
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(SettingsError, match="TMPDIR"):
        Sandbox().start()


def test_a_mail_that_does_not_fit_on_the_disk_is_deferred(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_details: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(inbox_module, "write_whole", full)
    with pytest.raises(Deferred, match="Insufficient system storage"):
        docmail.send(b"%PDF-1.4\n%%EOF", to="c@example.com", subject="x", settings=box.settings)


def test_a_computer_without_the_ipv4_loopback_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_details: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "bind", none)
    with pytest.raises(SettingsError, match=r"listen at 127\.0\.0\.1 .*Cannot assign.*“lo”"):
        Sandbox().start()
    with pytest.raises(CredentialError, match=r"listen at 127\.0\.0\.1"):
        Loopback()


def test_what_a_killed_sandbox_left_is_tidied_up_and_what_runs_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import docmail, os; print(docmail.Sandbox().start().folder, flush=True); os._exit(9)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, check=False
    )
    left = Path(done.stdout.decode().strip())
    assert (left.parent, left.is_dir()) == (tmp_path, True)
    (tmp_path / "docmail-sandbox-opening").mkdir()  # one that has not written its ports yet
    (tmp_path / "docmail-sandbox-link").symlink_to(left)
    with Sandbox() as first, Sandbox() as second:
        assert not left.exists()
        assert first.folder.is_dir()
        assert second.folder.is_dir()
        assert (tmp_path / "docmail-sandbox-opening").is_dir()
        os.utime(tmp_path / "docmail-sandbox-opening", (0, 0))
        Sandbox().start().close()
        assert not (tmp_path / "docmail-sandbox-opening").exists()
