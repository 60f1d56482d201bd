"""Writes bounces in the forms of many servers: their structure as documented and seen in bug reports, our own text.

`BOUNCES` are the corpus: each with what is to be read in it.
"""

from __future__ import annotations

import base64
import quopri
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MESSAGE_ID = "<q3-1@example.com>"
SENDER = "accounts@example.com"
GONE = "gone@example.org"
FULL = "full@example.org"

RETURNED = f"From: Accounts <{SENDER}>\nTo: {GONE}\nSubject: Q3\nMessage-ID: {MESSAGE_ID}\nMIME-Version: 1.0\n"


@dataclass(frozen=True)
class Case:
    """A bounce as octets, and what is in it: recipient, status, action; and what else must be found."""

    name: str
    raw: bytes
    expected: tuple[tuple[str, str, str], ...]
    message_id: str = MESSAGE_ID
    envelope_id: str | None = None


def group(  # noqa: PLR0913 - the fields
    recipient: str,
    status: str = "5.1.1",
    action: str = "failed",
    *,
    original: str = "",
    diagnostic: str = "",
    kind: str = "rfc822",
) -> str:
    """Return the fields about one recipient."""
    lines = [f"Original-Recipient: {original}"] if original else []
    lines += [f"Final-Recipient: {kind}; {recipient}", f"Action: {action}"]
    lines += [f"Status: {status}"] if status else []
    lines += [f"Diagnostic-Code: {diagnostic}"] if diagnostic else []
    return "\n".join(lines) + "\n"


def notification(  # noqa: PLR0913 - the parts of a report
    *groups: str,
    sender: str = "MAILER-DAEMON@mail.example.net (Mail Delivery System)",
    mail_fields: str = "Reporting-MTA: dns; mail.example.net\n",
    returned: str = RETURNED,
    returned_type: str = "text/rfc822-headers",
    head: str = "",
    human: str = "Your mail did not reach everybody.",
    status_type: str = "message/delivery-status",
    eol: str = "\r\n",
) -> bytes:
    """Return a report in the form of RFC 3464."""
    status = "\n".join([mail_fields, *groups])
    text = (
        f"Return-Path: <>\nFrom: {sender}\nTo: {SENDER}\nSubject: Undelivered\nMIME-Version: 1.0\n{head}"
        'Content-Type: multipart/report; report-type=delivery-status;\n boundary="=_b.1/x"\n\n'
        f"A report.\n--=_b.1/x\nContent-Type: text/plain; charset=us-ascii\n\n{human}\n\n"
        f"--=_b.1/x\nContent-Type: {status_type}\n\n{status}\n"
        f"--=_b.1/x\nContent-Type: {returned_type}\n\n{returned}\n"
        "--=_b.1/x--\n"
    )
    return text.replace("\n", eol).encode("utf-8", "surrogateescape")


def plain(sender: str, text: str, head: str = "", subject: str = "failure notice") -> bytes:
    """Return a report that is a plain text."""
    return (
        f"Return-Path: <>\nFrom: {sender}\nTo: {SENDER}\nSubject: {subject}\n{head}\n{text}".replace("\n", "\r\n")
    ).encode()


def mixed(sender: str, parts: Sequence[tuple[str, str]], head: str = "") -> bytes:
    """Return a report of several parts, each with its headers and its text, that follows no standard."""
    body = "".join(f"--mix\n{headers}\n\n{text}\n" for headers, text in parts)
    return (
        (
            f"Return-Path: <>\nFrom: {sender}\nTo: {SENDER}\nSubject: Undeliverable\nMIME-Version: 1.0\n{head}"
            f"Content-Type: multipart/mixed; boundary=mix\n\n{body}--mix--\n"
        )
        .replace("\n", "\r\n")
        .encode()
    )


_NO_USER = f"smtp; 550 5.1.1 <{GONE}>: Recipient address rejected: User unknown"
_TEXT = "Content-Type: text/plain"

BOUNCES = (
    Case(
        "postfix",
        notification(
            group(GONE, original=f"rfc822;{GONE}", diagnostic=_NO_USER),
            mail_fields=(
                "Reporting-MTA: dns; mail.example.com\nX-Postfix-Queue-ID: 4F3C2A\n"
                f"X-Postfix-Sender: rfc822; {SENDER}\nArrival-Date: Tue,  1 Dec 2026 09:00:00 +0000 (UTC)\n"
            ),
            head="Auto-Submitted: auto-replied\n",
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "postfix that still tries",
        notification(
            group(GONE, "4.4.1", "delayed", diagnostic="X-Postfix; connect to mx.example.org: Connection timed out")
            + "Will-Retry-Until: Sun,  6 Dec 2026 09:00:00 +0000 (UTC)\n",
            head="Auto-Submitted: auto-replied\n",
        ),
        ((GONE, "4.4.1", "delayed"),),
    ),
    Case(
        "exim, older than its delivery status",
        plain(
            "Mail Delivery System <Mailer-Daemon@mail.example.net>",
            "This message was created automatically by mail delivery software.\n\n"
            "A mail of yours could not be delivered to some of its recipients:\n\n"
            f"  {GONE}\n    host mx.example.org [192.0.2.1]\n"
            "    SMTP error from remote mail server after RCPT TO:\n    550 5.1.1 Unknown user\n\n"
            "------ This is a copy of the message, including all the headers. ------\n\n" + RETURNED + "\nHello\n",
            head=f"X-Failed-Recipients: {GONE}\nAuto-Submitted: auto-replied\n",
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "exim, which reports 5.0.0 and passes on what it was told",
        notification(
            group(GONE, "5.0.0", diagnostic="smtp; 550 5.2.1 This mailbox is switched off").replace(
                "Final-Recipient: rfc822; ", "Final-Recipient: rfc822;"
            ),
            sender="Mail Delivery System <Mailer-Daemon@mail.example.net>",
            returned=RETURNED + "\nHello\n",
            returned_type="message/rfc822",
            head=f"X-Failed-Recipients: {GONE}\nAuto-Submitted: auto-replied\n",
        ),
        ((GONE, "5.2.1", "failed"),),
    ),
    Case(
        "exim that still tries",
        plain(
            "Mail Delivery System <Mailer-Daemon@mail.example.net>",
            "This message was created automatically by mail delivery software.\n"
            "A message that you sent has not yet been delivered to one or more of its\n"
            "recipients after more than 24 hours on the queue on mail.example.net.\n\n"
            f"Message-ID: {MESSAGE_ID}\n\n"
            f"  {GONE}\n    host mx.example.org: 451 4.2.1 Try later\n\n"
            "No action is required on your part. Delivery attempts will continue for some time.\n",
            subject="Warning: message delayed 24 hours",
        ),
        ((GONE, "4.2.1", "delayed"),),
    ),
    Case(
        "sendmail, two recipients",
        notification(
            group(GONE, diagnostic="SMTP; 550 5.1.1 User unknown"),
            group(FULL, "5.2.2", diagnostic="SMTP; 552 5.2.2 Over quota"),
            sender="Mail Delivery Subsystem <MAILER-DAEMON@host.example.net>",
            returned=RETURNED + "\nHello\n",
            returned_type="message/rfc822",
        ),
        ((GONE, "5.1.1", "failed"), (FULL, "5.2.2", "failed")),
    ),
    Case(
        "microsoft 365",
        notification(
            group(
                GONE,
                "5.1.10",
                diagnostic="smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound;\n Recipient not found by look-up",
            ).replace("rfc822; ", "rfc822;"),
            sender="postmaster@example.org",
            mail_fields="Reporting-MTA: dns;AM0PR01.eurprd01.prod.example.net\nReceived-From-MTA: dns;a.example.net\n",
            head=f"In-Reply-To: {MESSAGE_ID}\nReferences: {MESSAGE_ID}\nX-MS-Exchange-Message-Is-Ndr:\n",
            returned=RETURNED.replace(MESSAGE_ID, "<another@prod.example.net>"),
            returned_type="message/rfc822",
            human=f"{GONE} was not found at example.org.",
        ),
        ((GONE, "5.1.10", "failed"),),
    ),
    Case(
        "exchange, refused by a rule",
        notification(
            group("/o=Org/ou=Site/cn=Gone", "5.7.1", kind="X400").replace("X400; ", "X400;")
            + f"X-Display-Name: Gone\nX-Actual-Recipient: rfc822; {GONE}\n",
            sender="System Administrator <postmaster@example.org>",
        ),
        ((GONE, "5.7.1", "failed"),),
    ),
    Case(
        "gmail",
        notification(
            group(
                GONE,
                diagnostic=(
                    "smtp; 550-5.1.1 The account that you tried to reach\n 550-5.1.1 is not there. For more, see\n"
                    " 550 5.1.1 https://support.example/mail x1si123.4 - gsmtp"
                ),
            )
            + "Last-Attempt-Date: Tue, 01 Dec 2026 01:00:00 -0800 (PST)\n",
            sender="Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
            mail_fields=(
                "Reporting-MTA: dns; googlemail.com\nReceived-From-MTA: dns; accounts@example.com\n"
                f"Arrival-Date: Tue, 01 Dec 2026 01:00:00 -0800 (PST)\nX-Original-Message-ID: {MESSAGE_ID}\n"
            ),
            head=f"X-Failed-Recipients: {GONE}\nIn-Reply-To: {MESSAGE_ID}\nReferences: {MESSAGE_ID}\n",
            returned_type="message/rfc822",
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "gmail as it was",
        plain(
            "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
            "Delivery to the following recipient failed permanently:\n\n"
            f"     {GONE}\n\nTechnical details of permanent failure:\nIt said:\n550 5.2.2 Mailbox full\n\n"
            "----- Original message -----\n\n" + RETURNED + "\nHello\n",
            head=f"X-Failed-Recipients: {GONE}\n",
        ),
        ((GONE, "5.2.2", "failed"),),
    ),
    Case(
        "yahoo",
        plain(
            "MAILER-DAEMON@yahoo.com",
            "Sorry, we were unable to deliver your message to the following address.\n\n"
            f"<{GONE}>:\n554: delivery error: dd This user doesn't have a yahoo.com account\n\n"
            "--- Below this line is a copy of the message.\n\n" + RETURNED + "\nHello\n",
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "qmail, two recipients",
        plain(
            "MAILER-DAEMON@mx.example.net",
            "Hi. This is the qmail-send program at mx.example.net.\n"
            "I could not deliver your mail to these addresses.\n\n"
            f"<{GONE}>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
            f"<{FULL}>:\n192.0.2.7 said:\nRemote host said: 552 5.2.2 Quota exceeded\n\n"
            "--- Below this line is a copy of the message.\n\nReturn-Path: <x@example.com>\n" + RETURNED + "\nHello\n",
        ),
        ((GONE, "5.1.1", "failed"), (FULL, "5.2.2", "failed")),
    ),
    Case(
        "amazon ses, which moves our Message-ID",
        notification(
            group(GONE, diagnostic="smtp; 550 5.1.1 user unknown").replace("Status", "X-Order: first\nStatus"),
            sender="MAILER-DAEMON@eu-west-1.amazonses.com",
            mail_fields="Reporting-MTA: dns; a4-2.smtp-out.eu-west-1.amazonses.com\n",
            returned=RETURNED.replace("Message-ID:", "In-Reply-To:")
            + "Message-ID: <0102018f-aaaa-000000@eu-west-1.amazonses.com>\n",
            returned_type="message/rfc822",
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "gmx and web.de",
        plain(
            '"GMX Mailer Daemon" <mailer-daemon@gmx.de>',
            "This message was created automatically by mail delivery software.\n\n"
            "A message that you sent could not be delivered to\none or more of its recipients.\n\n"
            f"The following address failed:\n\n{GONE}:\nSMTP error from remote server for RCPT TO command, "
            "host: mx.example.org (192.0.2.1) reason: 550 5.7.1 Refused by our rules\n\n"
            "--- The header of the original message is following. ---\n\nReceived: from x by y\n" + RETURNED,
        ),
        ((GONE, "5.7.1", "failed"),),
    ),
    Case(
        "icloud",
        notification(
            f"Original-recipient: rfc822;{GONE}\nFinal-recipient: rfc822;{GONE}\nAction: failed\n"
            "Status: 5.1.1 (Remote SMTP server has rejected address)\nRemote-MTA: dns;mx.example.org (TCP|192.0.2.1)\n"
            "Diagnostic-code: smtp;550 5.1.1 unknown\n",
            sender="Internet Mail Delivery <postmaster@mac.com>",
            mail_fields="Reporting-MTA: dns;st11.mac.com (tcp-daemon)\n",
            human=f"This report relates to a mail with\n\n  Message-id: {MESSAGE_ID}\n",
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "zoho",
        mixed(
            "mailer-daemon@mail.zoho.com",
            [
                (
                    f"{_TEXT}; charset=UTF-8\nContent-Transfer-Encoding: quoted-printable",
                    quopri.encodestring(
                        b"This message was created automatically by mail delivery software.\n A message that you sent "
                        b"could not be delivered to one or more of its recipients. This is a permanent error. \n\n"
                        + f"{GONE} Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 <{GONE}>... Unknown\n".encode()
                    ).decode(),
                ),
                ("Content-Type: message/rfc822", RETURNED + "\nHello"),
            ],
            head="X-ZohoMail: x\nX-Mailer: Zoho Mail\n",
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "zoho, given up",
        mixed(
            "mailer-daemon@mail.zoho.com",
            [
                (
                    _TEXT,
                    "This message was created automatically by mail delivery software.\n\n"
                    f"[Status: Error, Address: <{GONE}>, ResponseCode 421, , Host not reachable.]\n\n"
                    "Received: from mail.zoho.com by mx.zohomail.com\n" + RETURNED,
                ),
            ],
        ),
        ((GONE, "", "failed"),),
    ),
    Case(
        "proton, a recipient in utf-8 (RFC 6533)",
        notification(
            group("j\\x{00F6}rg@example.org", kind="utf-8", original="utf-8;jörg@example.org"),
            status_type="message/global-delivery-status",
            returned_type="message/global-headers",
            returned=RETURNED.replace(GONE, "jörg@example.org"),
        ),
        (("jörg@example.org", "5.1.1", "failed"),),
    ),
    Case(
        "a recipient who was forwarded",
        notification(group("elsewhere@example.net", original=f"rfc822;{GONE}", diagnostic=_NO_USER)),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "an envelope identifier, and nothing of the mail",
        notification(
            group(GONE),
            mail_fields="Original-Envelope-Id: q3-1@example.com\nReporting-MTA: dns; mail.example.net\n",
            returned="Subject: Q3\n",
        ),
        ((GONE, "5.1.1", "failed"),),
        message_id="",
        envelope_id="q3-1@example.com",
    ),
    Case(
        "a report in a mail that something has put a footer under",
        mixed(
            "MAILER-DAEMON@mail.example.net",
            [
                (
                    "Content-Type: multipart/report; report-type=delivery-status; boundary=inner",
                    (
                        "--inner\nContent-Type: text/plain\n\nNot delivered.\n--inner\n"
                        f"Content-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\n{group(GONE)}\n"
                        f"--inner\nContent-Type: message/rfc822\n\n{RETURNED}\nHello\n--inner--"
                    ),
                ),
                (_TEXT, "Checked by a gateway."),
            ],
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "a report that was passed on whole",
        mixed(
            "postmaster@example.com",
            [(_TEXT, "See below."), ("Content-Type: message/rfc822", notification(group(GONE), eol="\n").decode())],
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "parts in base64",
        mixed(
            "MAILER-DAEMON@mail.example.net",
            [
                (
                    "Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64",
                    base64.encodebytes(f"Reporting-MTA: dns; a\r\n\r\n{group(GONE)}".encode()).decode(),
                ),
                (
                    "Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: base64",
                    base64.encodebytes(RETURNED.encode()).decode(),
                ),
            ],
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "an empty line in the middle of a group, and no action",
        notification(f"Final-Recipient: rfc822; <{GONE}>\n\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 full\n"),
        ((GONE, "5.2.2", "failed"),),
    ),
    Case(
        "opensmtpd's own action, and one who got it",
        notification(group(FULL, "2.0.0", "relayed"), group(GONE, action="error"), group(SENDER, "2.1.5", "delivered")),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "given up after days",
        notification(group(GONE, "4.4.7", diagnostic="smtp; 421 4.4.7 Delivery time expired")),
        ((GONE, "4.4.7", "failed"),),
    ),
    Case(
        "a spam filter that has blocked it",
        plain(
            "postmaster@filter.example.org",
            f"Your message to: {GONE}\nwas blocked by our Spam Firewall. The email you sent with the following subject "
            f"has NOT BEEN DELIVERED:\n\nSubject: Q3\n\n{RETURNED}",
            subject="**Message you sent blocked by our bulk email filter**",
        ),
        ((GONE, "", "failed"),),
    ),
    *(
        Case(
            f"a sentence in another language, {place} the address: {sentence}",
            plain(
                "Mail Delivery System <MAILER-DAEMON@mail.example.net>",
                f"{text}\n\n--- Header of the original\n\nMIME-Version: 1.0\n{RETURNED}",
                head="MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n",
            ),
            ((GONE, "", "failed"),),
        )
        for sentence in (
            "Die Nachricht konnte nicht zugestellt werden",
            "Boîte aux lettres inexistante",
            "El usuario no existe",
            "La casella non esiste",
            "宛先が見つかりません",
            "用户不存在",
        )
        for place, text in (("behind", f"<{GONE}>: {sentence}"), ("before", f"{sentence}:\n\n  {GONE}"))
    ),
    Case(
        "one in German that still tries",
        plain(
            "Mail Delivery System <MAILER-DAEMON@mail.example.net>",
            f"Ihre Nachricht konnte noch nicht zugestellt werden.\n\n{GONE}: Verbindung abgelehnt\n\n{RETURNED}",
        ),
        ((GONE, "", "delayed"),),
    ),
    Case(
        "html alone, of Domino",
        mixed(
            "postmaster@mail.example.net",
            [
                (
                    "Content-Type: text/html",
                    (
                        f"<p>Your message</p><p>Subject: Q3</p><p>was not delivered to:</p><p>{GONE}</p>"
                        "<p>because:</p><p>gone is not listed in the directory</p>"
                    ),
                ),
                ("Content-Type: message/rfc822", RETURNED + "\nHello"),
            ],
        ),
        ((GONE, "", "failed"),),
    ),
    Case(
        "sendmail of old, which begins with the mail's date",
        plain(
            "Mail Delivery Subsystem <MAILER-DAEMON@mail.example.net>",
            "The original message was received at Mon, 30 Nov 2026 09:00:00 +0200\n\n"
            f"   ----- The following addresses had permanent fatal errors -----\n<{GONE}>\n\n"
            "   ----- Transcript of session follows -----\n... while talking to mx.example.org.:\n>>> RCPT To\n"
            f"<<< 550 MAILBOX NOT FOUND\n550 <{GONE}>... User unknown\n\n"
            f"   ----- Original message follows -----\n{RETURNED}",
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
    Case(
        "a local part with a space",
        notification(group('"gone q3"@example.org')),
        (('"gone q3"@example.org', "5.1.1", "failed"),),
    ),
    Case(
        "html alone",
        mixed(
            "Mail Delivery System <mailer-daemon@host.example.cn>",
            [
                (
                    "Content-Type: text/html; charset=gb18030\nContent-Transfer-Encoding: base64",
                    base64.encodebytes(
                        f"<p>退信</p><p>收件人 &lt;{GONE}&gt;</p><p>550 Mailbox not found</p>".encode("gb18030")
                    ).decode(),
                ),
                ("Content-Type: message/rfc822", RETURNED + "\nHello"),
            ],
        ),
        ((GONE, "5.1.1", "failed"),),
    ),
)

_IN_OTHER_LANGUAGES = {
    "Afrikaans": ("kon nie afgelewer word nie", "gebruiker bestaan nie", "is nog nie afgelewer nie"),
    "Danish": ("Beskeden kunne ikke leveres", "ukendt modtager", "er endnu ikke leveret"),
    "Swedish": ("Meddelandet kunde inte levereras", "okänd mottagare", "har ännu inte levererats"),
    "Polish": ("Wiadomość nie mogła zostać dostarczona", "nieznany odbiorca", "nie została jeszcze (opóźnienie)"),
    "Czech": ("Zprávu nelze doručit", "adresa neexistuje", "zatím nebyla doručena"),
    "Hungarian": ("Az üzenet nem kézbesíthető", "ismeretlen címzett", "még nem sikerült kézbesíteni"),
    "Romanian": ("Mesajul nu a putut fi livrat", "destinatar necunoscut", "a fost întârziat"),
    "Russian": ("Сообщение не может быть доставлено", "пользователь не найден", "ещё не доставлено"),
    "Turkish": ("İletiniz teslim edilemedi", "adres reddedildi", "iletiniz gecikti"),
}
BOUNCES += tuple(
    Case(
        f"{language}, {action}",
        mixed(
            "MAILER-DAEMON@mail.example.net",
            [
                (
                    "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit",
                    f"{said}\n\n{GONE}: {why}\n",
                ),
                ("Content-Type: message/rfc822", RETURNED + "\nHello"),
            ],
        ),
        ((GONE, "", action),),
    )
    for language, (gone, unknown, late) in _IN_OTHER_LANGUAGES.items()
    for action, said, why in (("failed", gone, unknown), ("delayed", late, ""))
)

_VACATION = "I am out of office until Monday. In urgent cases write to deputy@example.org, who does not exist yet.\n"
NO_BOUNCES = {
    "out of office": plain(
        "Ann <ann@example.org>",
        _VACATION,
        head=f"Auto-Submitted: auto-replied\nIn-Reply-To: {MESSAGE_ID}\nX-Autoreply: yes\n",
        subject="Automatic reply: Q3",
    ),
    "out of office with an empty return path": plain(
        "Ann <ann@example.org>", _VACATION, head=f"Precedence: bulk\nReferences: {MESSAGE_ID}\n"
    ),
    "a postmaster on holiday": plain(
        "Postmaster <postmaster@example.org>", _VACATION, head="Auto-Submitted: auto-replied (vacation)\n"
    ),
    "the postmaster answers": plain(
        "Ann <postmaster@example.org>",
        f"The payment failed, the account is unknown. Send it to {GONE}, please.\n\n> Message-ID: {MESSAGE_ID}\n",
        head=f"In-Reply-To: {MESSAGE_ID}\n",
        subject="AW: Q3",
    ),
    "somebody answers, and tells of a bounce": plain(
        "Ann <ann@example.org>",
        f"My mail to {GONE} came back: 550 5.1.1 User unknown\n",
        head=f"In-Reply-To: {MESSAGE_ID}\n",
    ),
    "a read receipt": notification("Disposition: manual-action/MDN-sent-manually; displayed\n").replace(
        b"message/delivery-status", b"message/disposition-notification"
    ),
    "a complaint": notification("Feedback-Type: abuse\n").replace(
        b"message/delivery-status", b"message/feedback-report"
    ),
    "that all is well": notification(group(GONE, "2.1.5", "delivered")),
    "a report on DMARC": plain(
        "postmaster@example.org",
        "3 mails of example.com failed and were rejected. Questions: help@example.org\n",
        subject="Report Domain: example.com Submitter: example.org Report-ID: <7@example.org>",
    ),
    "a report on TLS": notification("", status_type="application/tlsrpt+json")
    .replace(b"report-type=delivery-status", b"report-type=tlsrpt")
    .replace(b"Your mail did not reach everybody.", b"3 connections failed. Questions: help@example.org"),
    "an invoice": plain("billing@example.net", "Attached.\n", subject="Invoice 550"),
    "nothing": b"",
}
"""Mails that are no bounces."""
