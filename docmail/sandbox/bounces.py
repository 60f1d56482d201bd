"""Writes the mail that comes back when another server does not take a mail after all (RFC 3464, RFC 6533).

It looks as Postfix's does: a sentence for people, the report for programs, and the headers of the mail itself.
"""

from __future__ import annotations

from email.utils import format_datetime, localtime
from secrets import token_hex
from typing import TYPE_CHECKING

from docmail.message import new_message_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.sandbox.failures import Failure

_SERVER, _REMOTE = "sandbox.example", "mx.recipient.example"


def report(sender: str, raw: bytes, troubles: Sequence[tuple[str, Failure]]) -> bytes:
    """Return the report on a mail for its sender: which recipients it did not reach, and what their server replied.

    The replies are all for good (5yz), or all for now (4yz): two kinds are two reports.
    """
    failed = troubles[0][1].is_for_good
    utf8 = not "".join([sender, *(recipient for recipient, _failure in troubles)]).isascii()
    kind = "global-delivery-status" if utf8 else "delivery-status"
    subject = "Undelivered Mail Returned to Sender" if failed else "Delayed Mail (still being retried)"
    boundary, now = f"=_{token_hex(16)}", format_datetime(localtime())
    head = raw.partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape").replace("\r\n", "\n") + "\n"
    # By hand, because the library would read what is within message/… and write it anew.
    parts = [
        ("text/plain; charset=utf-8", "Notification", _sentences(troubles, failed=failed)),
        (f"message/{kind}", "Delivery report", _status(troubles, now, failed=failed, utf8=utf8)),
        ("text/rfc822-headers" if head.isascii() else "message/global-headers", "Undelivered Message Headers", head),
    ]
    text = (
        f"Return-Path: <>\n"
        f"From: Mail Delivery System <MAILER-DAEMON@{_SERVER}>\nTo: {sender}\nSubject: {subject}\nDate: {now}\n"
        f"Message-ID: {new_message_id(_SERVER)}\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type={kind};\n\tboundary="{boundary}"\n\n'
    )
    for media_type, description, content in parts:
        encoding = "7bit" if content.isascii() else "8bit"
        text += (
            f"--{boundary}\nContent-Description: {description}\nContent-Type: {media_type}\n"
            f"Content-Transfer-Encoding: {encoding}\n\n{content}\n"
        )
    return f"{text}--{boundary}--\n".replace("\n", "\r\n").encode("utf-8", "surrogateescape")


def _sentences(troubles: Sequence[tuple[str, Failure]], *, failed: bool) -> str:
    first = (
        f"This is the mail system at host {_SERVER}.\n\n"
        + (
            "I'm sorry to have to inform you that your message could not\nbe delivered to one or more recipients."
            if failed
            else "Your message could not be delivered yet.\nIt will be retried; you do not need to resend it."
        )
        + "\n"
    )
    return first + "".join(
        f"\n<{recipient}>: host {_REMOTE} said: {' '.join(failure.reply.split())}\n" for recipient, failure in troubles
    )


def _status(troubles: Sequence[tuple[str, Failure]], now: str, *, failed: bool, utf8: bool) -> str:
    kind = "utf-8" if utf8 else "rfc822"
    text = f"Reporting-MTA: dns; {_SERVER}\nArrival-Date: {now}\n"
    for recipient, failure in troubles:
        text += (
            f"\nFinal-Recipient: {kind}; {recipient}\nOriginal-Recipient: {kind};{recipient}\n"
            f"Action: {'failed' if failed else 'delayed'}\nStatus: {failure.status}\nRemote-MTA: dns; {_REMOTE}\n"
            f"Diagnostic-Code: smtp; {' '.join(failure.reply.split())}\n"
        )
    return text
