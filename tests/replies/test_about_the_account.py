"""A reply about the account stops a batch, one about a recipient does not; the wordings stem from public reports."""

# ruff: noqa: E501 - replies are as long as they are

from __future__ import annotations

import re

import pytest

from docmail.errors import TREATMENT, Action, Kind
from docmail.replies import meaning_of
from docmail.reply import Reply

REPORTED = {
    Kind.CONFIG: [
        "data 550 Sender address is not allowed.",
        "data 550 Requested action not taken: Sender address is not allowed. For explanation visit https://postmaster.gmx.net/en/case?c=r0601&i=ip&v=1.2.3.4&r=xyz",
        "mail 553 Mail from must equal authorized user",
        "mail 501 mail from address must be same as authorization user",
        "data 501 mail from address must be same as authorization user",
        "data 550 Your FROM address ( x@domain.com ,  ) must match your authenticated email user ( x@domain.com ).",
        "rcpt 554 5.7.1 <a@example.com>: Sender address rejected: Access denied",
        "data 550 5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.",
        "data 550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy.",
        "data 550 5.7.515 Access denied, sending domain EXAMPLE.COM does not meet the required authentication level.",
        "data 501 5.1.7 Bad sender address syntax",
        "rcpt 550 Sender verify failed",
        "data 550 The example.com domain is not verified. Please, add and verify your domain on https://resend.com/domains",
        "data 550 5.7.1 Header From address not allowed for this user",
        "data 550 5.7.1 From header sender address mismatch",
        "data 554 5.7.1 Sender is not authorized",
        "data 550 5.1.0 sender rejected",
        "data 550 From address is not owned by the authenticated user",
        "rcpt 550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains.",
        "data 553 5.1.8 <x@example.com>... Domain of sender address x@example.com does not exist",
    ],
    Kind.AUTH: [
        "data 550 5.7.30 Basic authentication is not supported for Client Submission.",
    ],
    Kind.LIMIT: [
        "data 554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message due to a permanent exception with message [BeginDiagnosticData]WASCL UserAction verdict is not None. Actual verdict is Suspend, ShowTierUpgrade. OutboundSpamException: WASCL UserAction verdict is not None.[EndDiagnosticData] size",
        "data 554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a permanent exception with message The message can't be submitted because the sender's submission quota was exceeded.",
        "data 550 5.1.8 Access denied, bad outbound sender",
        "mail 550 5.7.705 Access denied, tenant has exceeded threshold",
        "rcpt 550 5.7.236 Tenant exceeded outbound external recipients for onmicrosoft.com",
        "rcpt 550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit",
        'data 550 Outgoing mail from "info@example.com" has been suspended.',
        "data 552 Your account has been suspended. Please contact us to reactivate",
        "data 550 send spam mail rejected: exceeded hour limit",
        "rcpt 550 User me@site.com has exceeded its 24-hour sending limit. Messages to 25 recipients out of 25 allowed have been sent. Relay quota will reset in 1.51 hours.",
        "data 550 sorry, too many emails (#5.7.1)",
        "data 550 5.7.1 Your mailbox exceeded the sending limit",
        "data 550 Sender rate overlimit - 10.1 / 1h",
        "rcpt 550 Domain example.com has exceeded the max emails per hour (100/100 (100%)) allowed. Message discarded.",
        "data 550 5.4.5 Daily user sending limit exceeded",
        "data 554 5.7.1 <DATA>: Data command rejected: only 10 messages per day",
        "data 554 Email rejected because sender is temporarily over quota",
        "mail 421 4.7.0 Sender quota exceeded, try later",
        "mail 554 5.7.0 Your message could not be sent. The limit on the number of allowed outgoing messages was exceeded.",
        "data 552 5.7.0 Number of messages exceeded maximum for your account",
        "mail 451 4.7.1 Sorry, you have sent too many messages this hour",
        "data 554 5.7.1 Account locked",
    ],
    Kind.RECIPIENT: [
        "data 554 5.5.1 No valid recipients",
        "data 554 5.5.1 Error: no valid recipients",
        "data 503 valid RCPT command must precede DATA",
        "data 550 5.1.1 <a@b.c>: user unknown",
        "data 550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        "data 550 5.2.1 mailbox disabled",
        "data 550 Requested action not taken: mailbox unavailable",
        "data 550 No such user here",
        "rcpt 550 5.7.1 Recipient address rejected: sender not allowed to write to this list",
        "rcpt 550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check failed because the sender was not authenticated when sending to this group",
        "rcpt 550 5.2.1 The email account that you tried to reach is disabled",
        "rcpt 552 5.2.2 mailbox full",
    ],
    Kind.MESSAGE: [
        "data 554 5.7.1 Message content rejected",
        "data 554 5.7.1 spam",
        "data 550 5.7.1 Our system has detected that this message is likely unsolicited mail",
        "data 552 5.3.4 Header size exceeds fixed maximum size",
        "data 554 Transaction failed. Reject due to policy restrictions.",
        "data 550 5.7.1 sender IP has poor reputation",
        "data 554 5.7.1 Service unavailable; Client host [1.2.3.4] blocked using zen.spamhaus.org; sender rejected",
    ],
}


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, lines in REPORTED.items() for line in lines])
def test_a_reply_is_about_what_its_words_say(kind: Kind, line: str) -> None:
    phase, code, text = line.split(" ", 2)
    found = re.match(r"(\d\.\d+\.\d+) ?(.*)", text)
    reply = Reply(int(code), found[1] if found else "", found[2] if found else text)
    assert meaning_of(reply, phase, "mail.example.com", signed_in=True).kind is kind


def test_only_what_is_about_the_account_stops_a_batch() -> None:
    stopping = {kind for kind in REPORTED if TREATMENT[kind].action is Action.STOP}
    assert stopping == {Kind.CONFIG, Kind.AUTH, Kind.LIMIT}
