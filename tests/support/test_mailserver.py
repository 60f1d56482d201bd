"""The real mail server behaves as the other tests take for granted."""

from __future__ import annotations

import base64
import email
import email.policy
import os
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.mailserver import MESSAGE_SIZE_LIMIT, USERS, RealMailServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.mailserver

SENDER = "accounts@example.com"
MAIL = "From: accounts@example.com\r\nTo: other@example.com\r\nSubject: Q3\r\n\r\nAttached.\r\n"


@contextmanager
def connected(server: RealMailServer, how: str) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context(cafile=server.ca_file)
    client: smtplib.SMTP
    if how == "tls":
        client = smtplib.SMTP_SSL("localhost", server.ports.tls, context=context, timeout=10)
    else:
        client = smtplib.SMTP("localhost", getattr(server.ports, how), timeout=10)
    with client:
        if how == "starttls":
            client.starttls(context=context)
        client.ehlo()
        yield client


@contextmanager
def signed_in(server: RealMailServer, how: str = "starttls", user: str = SENDER) -> Iterator[smtplib.SMTP]:
    with connected(server, how) as client:
        client.login(user, USERS[user])
        yield client


@pytest.mark.parametrize("how", ["starttls", "tls", "plain"])
def test_mail_of_a_signed_in_user_arrives(mailserver: RealMailServer, how: str) -> None:
    with signed_in(mailserver, how) as client:
        assert client.sendmail(SENDER, ["other@example.com"], MAIL) == {}
    (raw,) = mailserver.wait_for_mail("other@example.com")
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail["Subject"] == "Q3"
    assert mail["Return-Path"] == f"<{SENDER}>"
    assert mail["Delivered-To"] == "other@example.com"
    assert mail.get_content() == "Attached.\n"
    assert mailserver.mails(SENDER) == []


def test_several_mails_come_in_the_order_they_were_sent(mailserver: RealMailServer) -> None:
    with signed_in(mailserver) as client:
        for number in range(3):
            client.sendmail(SENDER, ["other@example.com"], MAIL.replace("Q3", f"Q{number}"))
            mailserver.wait_for_mail("other@example.com", number + 1)
    subjects = [email.message_from_bytes(raw)["Subject"] for raw in mailserver.mails("other@example.com")]
    assert subjects == ["Q0", "Q1", "Q2"]


def test_clear_waits_for_mail_on_its_way(mailserver: RealMailServer) -> None:
    with signed_in(mailserver) as client:
        client.sendmail(SENDER, ["other@example.com"], MAIL)
    mailserver.clear()
    assert mailserver.mails("other@example.com") == []
    with pytest.raises(TimeoutError, match=r"other@example\.com has not received 1"):
        mailserver.wait_for_mail("other@example.com", timeout=0.3)


def test_the_certificate_is_verified_and_from_an_unknown_authority(mailserver: RealMailServer) -> None:
    default = ssl.create_default_context()
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        smtplib.SMTP("localhost", mailserver.ports.starttls) as client,
    ):
        client.starttls(context=default)
    with pytest.raises(ssl.SSLCertVerificationError):
        smtplib.SMTP_SSL("localhost", mailserver.ports.tls, context=default)


def test_submission_demands_starttls_before_anything_else(mailserver: RealMailServer) -> None:
    with smtplib.SMTP("localhost", mailserver.ports.starttls) as client:
        client.ehlo()
        assert client.has_extn("starttls")
        assert not client.has_extn("auth")
        assert client.mail(SENDER) == (530, b"5.7.0 Must issue a STARTTLS command first")


def test_the_plain_port_offers_no_tls_and_asks_for_no_password(mailserver: RealMailServer) -> None:
    with connected(mailserver, "plain") as client:
        assert not client.has_extn("starttls")
        assert client.has_extn("auth")
        client.sendmail("scanner@elsewhere.example", ["other@example.com"], MAIL)
    assert len(mailserver.wait_for_mail("other@example.com")) == 1


@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_submission_without_signing_in_is_refused(mailserver: RealMailServer, how: str) -> None:
    with connected(mailserver, how) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            client.sendmail(SENDER, ["other@example.com"], MAIL)
        code, text = caught.value.recipients["other@example.com"]
        assert code == 554
        assert text.startswith(b"5.7.1 ")
        assert b"Access denied" in text


@pytest.mark.parametrize("how", ["starttls", "tls", "plain"])
def test_a_wrong_password_is_refused(mailserver: RealMailServer, how: str) -> None:
    with connected(mailserver, how) as client, pytest.raises(smtplib.SMTPAuthenticationError) as caught:
        client.login(SENDER, "wrong")
    assert caught.value.smtp_code == 535
    assert isinstance(caught.value.smtp_error, bytes)
    assert caught.value.smtp_error.startswith(b"5.7.8 ")


@pytest.mark.parametrize("user", ["utf8@example.com", "müller@example.com"])
def test_names_and_passwords_beyond_ascii_sign_in(mailserver: RealMailServer, user: str) -> None:
    # smtplib cannot send them; servers take UTF-8 (RFC 4616).
    credential = base64.b64encode(f"\0{user}\0{USERS[user]}".encode()).decode("ascii")
    with connected(mailserver, "starttls") as client:
        assert client.docmd("AUTH", f"PLAIN {credential}")[0] == 235


def test_an_unknown_recipient_is_refused_and_the_others_get_the_mail(mailserver: RealMailServer) -> None:
    with signed_in(mailserver) as client:
        refused = client.sendmail(SENDER, ["nobody@example.com", "other@example.com"], MAIL)
    assert list(refused) == ["nobody@example.com"]
    code, text = refused["nobody@example.com"]
    assert code == 550
    assert text.startswith(b"5.1.1 <nobody@example.com>: Recipient address rejected: User unknown")
    mailserver.wait_for_mail("other@example.com")


@pytest.mark.parametrize("how", ["starttls", "tls", "plain"])
def test_other_domains_are_refused_even_to_signed_in_users(mailserver: RealMailServer, how: str) -> None:
    with signed_in(mailserver, how) as client:
        client.mail(SENDER)
        code, text = client.rcpt("cfo@elsewhere.example")
    assert code == 554
    assert text.startswith(b"5.7.1 <cfo@elsewhere.example>: Relay access denied")


def test_sending_in_the_name_of_another_user_is_refused(mailserver: RealMailServer) -> None:
    with signed_in(mailserver) as client:
        client.mail("other@example.com")
        code, text = client.rcpt("other@example.com")
    assert code == 553
    assert text.startswith(b"5.7.1 <other@example.com>: Sender address rejected: not owned by user")


def test_a_message_over_the_size_limit_is_refused_before_it_is_sent(mailserver: RealMailServer) -> None:
    with signed_in(mailserver) as client:
        assert client.esmtp_features["size"] == str(MESSAGE_SIZE_LIMIT)
        code, text = client.mail(SENDER, [f"SIZE={MESSAGE_SIZE_LIMIT + 1}"])
    assert code == 552
    assert text.startswith(b"5.3.4 ")


def test_a_large_message_arrives_whole(mailserver: RealMailServer) -> None:
    body = ("x" * 76 + "\r\n") * (20 * 1024 * 1024 // 78)
    with signed_in(mailserver) as client:
        client.sendmail(SENDER, ["other@example.com"], MAIL + body)
    (raw,) = mailserver.wait_for_mail("other@example.com")
    assert raw.endswith(body.replace("\r\n", "\n").encode())


def test_an_address_beyond_ascii_is_reached_with_smtputf8(mailserver: RealMailServer) -> None:
    with signed_in(mailserver) as client:
        client.ehlo()
        client.command_encoding = "utf-8"
        assert client.mail(SENDER, ["SMTPUTF8", "BODY=8BITMIME"])[0] == 250
        assert client.docmd("RCPT", "TO:<müller@example.com>")[0] == 250
        assert client.data("To: müller@example.com\r\n\r\nGrüße\r\n".encode())[0] == 250
    (raw,) = mailserver.wait_for_mail("müller@example.com")
    assert "Grüße".encode() in raw


@pytest.mark.parametrize("how", ["starttls", "tls", "plain"])
def test_the_extensions_that_matter_are_offered(mailserver: RealMailServer, how: str) -> None:
    with connected(mailserver, how) as client:
        offered = set(client.esmtp_features)
        assert {
            "pipelining",
            "chunking",
            "8bitmime",
            "smtputf8",
            "enhancedstatuscodes",
            "size",
            "auth",
        } <= offered
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]


def test_settings_of_postfix_can_be_added() -> None:
    with (
        RealMailServer({"smtpd_discard_ehlo_keywords": "chunking, pipelining"}) as server,
        connected(server, "plain") as client,
    ):
        assert not client.has_extn("pipelining")
        assert not client.has_extn("chunking")
        assert client.has_extn("8bitmime")


def test_stopping_leaves_no_process_file_or_port_behind() -> None:
    with RealMailServer() as server:
        folder = server.ca_file.parent.parent
        ports = server.ports
        with signed_in(server) as client:
            client.sendmail(SENDER, ["other@example.com"], MAIL)
        server.wait_for_mail("other@example.com")
        assert processes_of(folder)
        assert "status=sent (delivered to maildir)" in server.log()
    assert processes_of(folder) == []
    assert not folder.exists()
    for port in (ports.starttls, ports.tls, ports.plain):
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
            pass


def test_a_killed_test_run_leaves_no_mail_server_behind(tmp_path: Path) -> None:
    script = (
        "import os, signal; from tests.support.mailserver import RealMailServer;"
        "server = RealMailServer().start();"
        "print(server.ca_file.parent.parent, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    folder = Path(done.stdout.strip())
    assert folder.name.startswith("docmail-mx-"), done.stderr
    deadline = time.monotonic() + 10
    while (processes_of(folder) or folder.exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(folder) == []
    assert not folder.exists()


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that were started with, or stand in, this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                where = str((entry / "cwd").readlink())
            except OSError:
                continue  # it ended meanwhile
            if str(folder) in command or where.startswith(str(folder)):
                found.append(command)
    return found
