"""What the servers of mailboxes say, as people have reported it in public, and what docmail makes of it."""

# ruff: noqa: E501 - replies are as long as they are

from __future__ import annotations

import pytest

from docmail import presets
from docmail.errors import Kind
from docmail.replies import mailbox_refusal

# The server, the phase, and the reply.
REPORTED = [
    (
        Kind.AUTH,
        "mailbox_password",
        "Gmail",
        "imap.gmail.com auth NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)",
    ),
    (
        Kind.AUTH,
        "mailbox_password",
        "Gmail",
        "imap.gmail.com auth NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
    ),
    (
        Kind.AUTH,
        "mailbox_host",
        "Google Workspace",
        "imap.gmail.com auth NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and enable your account for IMAP access. (Failure)",
    ),
    (
        Kind.AUTH,
        "mailbox_host",
        "Google Workspace",
        "imap.gmail.com auth NO [ALERT] IMAP access is disabled for your domain. Please contact your domain administrator for questions about this feature. (Failure)",
    ),
    (
        Kind.AUTH,
        "mailbox_password",
        "Gmail",
        "imap.gmail.com auth NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 (Failure)",
    ),
    (Kind.TEMPORARY, None, None, "imap.gmail.com auth NO [ALERT] Too many simultaneous connections. (Failure)"),
    (Kind.TEMPORARY, None, None, "mail.example.com auth NO [LIMIT] Too many simultaneous connections. (Failure)"),
    (Kind.TEMPORARY, None, None, "mail.example.com auth NO [LIMIT] Please wait"),
    (Kind.MESSAGE, None, None, "mail.example.com folders NO [LIMIT] Message is too large"),
    (Kind.LIMIT, None, None, "imap.gmail.com folders BYE [OVERQUOTA] Account exceeded command or bandwidth limits."),
    (Kind.AUTH, "mailbox_password", "Microsoft 365", "outlook.office365.com auth NO AUTHENTICATE failed."),
    (Kind.AUTH, "mailbox_password", "Microsoft 365", "outlook.office365.com auth NO LOGIN failed."),
    (
        Kind.AUTH,
        "mailbox_username",
        "Microsoft 365",
        "outlook.office365.com folders BAD User is authenticated but not connected.",
    ),
    (
        Kind.AUTH,
        "mailbox_password",
        "Yahoo Mail",
        "imap.mail.yahoo.com auth NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials",
    ),
    (
        Kind.TEMPORARY,
        None,
        None,
        "imap.mail.yahoo.com folders NO [UNAVAILABLE] UID FETCH Service is temporarily not available",
    ),
    (
        Kind.TEMPORARY,
        None,
        None,
        "imap.mail.yahoo.com folders NO [SERVERBUG] UID SEARCH Server error - Please try again later",
    ),
    (
        Kind.AUTH,
        "mailbox_password",
        "iCloud Mail",
        "imap.mail.me.com auth NO [AUTHENTICATIONFAILED] Authentication failed",
    ),
    (
        Kind.AUTH,
        "mailbox_host",
        None,
        "imap.yandex.com auth NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials or IMAP is disabled sc=ebI8JB0ug4Y1_290737_53p",
    ),
    (Kind.AUTH, "mailbox_host", None, "imap.zoho.com auth NO [ALERT] You are yet to enable IMAP for your account."),
    (Kind.AUTH, "mailbox_password", None, "mail.example.com auth NO [AUTHENTICATIONFAILED] Authentication failed."),
    (Kind.AUTH, "mailbox_password", None, "mail.example.com auth NO [EXPIRED] Password expired"),
    (
        Kind.AUTH,
        "mailbox_security",
        None,
        "mail.example.com auth NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
    ),
    (Kind.TEMPORARY, None, None, "mail.example.com auth NO [UNAVAILABLE] Temporary authentication failure."),
    (
        Kind.TEMPORARY,
        None,
        None,
        "mail.example.com greeting BYE Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
    ),
    (Kind.LIMIT, None, None, "mail.example.com folders NO [OVERQUOTA] Quota exceeded (mailbox for user is full)"),
    (Kind.MESSAGE, None, None, "mail.example.com folders NO [TOOBIG] Message too large."),
    (Kind.CONFIG, "mailbox_username", None, "mail.example.com folders NO Permission denied"),
    (Kind.TEMPORARY, None, None, "mail.example.com folders NO what"),
    (Kind.TEMPORARY, None, None, "mail.example.com folders BAD what"),
]


@pytest.mark.parametrize(("kind", "field", "guide", "said"), REPORTED)
def test_a_reply_that_people_have_reported_is_understood(
    kind: Kind, field: str | None, guide: str | None, said: str
) -> None:
    host, phase, line = said.split(" ", 2)
    error = mailbox_refusal(line, phase, host)
    assert (error.kind, error.field) == (kind, field)
    assert guide is None or error.guide == guide
    assert line.rstrip(".") in error.message
    assert error.hint
    assert error.guide
    assert presets.guide(error.guide)
