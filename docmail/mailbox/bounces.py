"""Reads what servers report of mails that they could not deliver: delivery status notifications (RFC 3464, 6533).

What is no such notification is for `other_forms`. A report may be forged, and holds foreign text; whoever calls this
decides whether it is about a mail of theirs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docmail.mailbox.other_forms import Failure, failures_in
from docmail.mailbox.pieces import fields_of, read_mail
from docmail.replies import clean, status_by_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docmail.mailbox.pieces import Part

__all__ = ["Bounce", "read_bounces"]

_MOST = 2_000  # recipients of one report
_MOST_OCTETS = 600_000  # of a report
_MOST_IDS = 20
_MOST_DIAGNOSTIC = 500  # characters
_STATUS_PARTS = {"message/delivery-status", "message/global-delivery-status"}
_OTHER_REPORTS = {"message/disposition-notification", "message/global-disposition-notification"}
_OTHER_REPORTS |= {"message/feedback-report"}
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_ADDRESS = re.compile(r"(?:\"[^\"\r\n]{1,64}\"|[^\s<>(),;:\"]{1,64})@[^\s<>(),;:\"@]{1,255}")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,996}>")
# Some servers give a mail a Message-ID of their own, and keep ours in one of these, or as what it answers.
_ID_FIELDS = ("message-id", "x-microsoft-original-message-id", "x-google-original-message-id", "x-original-message-id")
_OF_AMAZON = re.compile(r"@[a-z0-9.-]*amazonses\.com>$", re.IGNORECASE)
_ID_IN_TEXT = re.compile(
    r"^[ \t>]*(?:X-[\w-]{1,40}-)?(?:Original-)?Message-ID[ \t]*:\s{0,4}(<[^<>\s]{1,996}>)", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True)
class Bounce:
    """What a server reported of one recipient of a mail.

    `recipient` is the address for which the mail was sent, as far as the report names it, `also` are further ones of
    the same recipient. `status` is the enhanced code (RFC 3463), or empty; `action` "failed" or "delayed". `diagnostic`
    is what the server said, cleaned. `message_ids` may be those of the mail, the likeliest first; `envelope_id` is what
    the mail was given for its way (RFC 3461 4.4).

    >>> box.bounce("left@example.com")
    >>> result = docmail.send(pdf, to="left@example.com", subject="Q3")
    >>> bounce = docmail.mailbox.read_bounces(box.mailbox["INBOX"][-1].raw)[0]
    >>> bounce.recipient, bounce.status, bounce.is_final
    ('left@example.com', '5.1.1', True)
    """

    recipient: str
    status: str
    action: str
    diagnostic: str
    message_ids: tuple[str, ...]
    envelope_id: str | None
    also: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether the server has given up; otherwise it still tries."""
        return self.action == "failed"


def read_bounces(raw: bytes) -> list[Bounce]:
    """Return what a mail (`raw`: its bytes) reports of recipients who have not got another one; none for others.

    It takes time and memory in proportion to the mail's size, and never raises.

    >>> docmail.mailbox.read_bounces(b"Lunch at twelve?")
    []
    """
    try:
        return _read(read_mail(raw))
    except Exception:  # noqa: BLE001 - foreign mail must not stop the reading of others, whatever is in it
        return []


def _read(mail: Part) -> list[Bounce]:
    parts = [*mail.walk()]
    reports = [part for part in parts if part.kind in _STATUS_PARTS]
    if not reports and (_is_another_report(mail) or any(part.kind in _OTHER_REPORTS for part in parts)):
        return []  # that somebody has read a mail, takes it for spam, or counts those of a domain
    if not reports:
        # One that was passed on whole, as by a rule of the postmaster's mailbox.
        for inner in [found for part in parts if (found := part.embedded) is not None]:
            if any(part.kind in _STATUS_PARTS for part in inner.walk()):
                return _read(inner)
    ids = tuple(_message_ids(mail, parts))
    if reports:
        return [bounce for report in reports for bounce in _bounces(report, ids)][:_MOST]
    return [_of_failure(failure, ids) for failure in failures_in(mail, parts)]


def _is_another_report(mail: Part) -> bool:
    """Say whether a mail is a report by its headers, and not on a delivery."""
    kind = mail.parameters.get("report-type", "").lower() if mail.kind == "multipart/report" else ""
    # Those on DMARC have no type of their own, but this subject (RFC 7489 7.2.1.1).
    return kind not in {"", "delivery-status"} or bool(re.match(r"\s*report domain\s*:", mail.first("subject").lower()))


def _of_failure(failure: Failure, ids: tuple[str, ...]) -> Bounce:
    said = _said(failure.text)
    return Bounce(
        failure.recipient,
        _status_in(said) or status_by_words(said),
        "delayed" if failure.is_delayed else "failed",
        said,
        ids,
        None,
    )


# --- delivery status ---


def _bounces(report: Part, ids: tuple[str, ...]) -> Iterator[Bounce]:
    groups = _groups(report.body)
    envelope = next((group["original-envelope-id"][0] for group in groups if "original-envelope-id" in group), None)
    for group in groups:
        addresses = _recipients(group)
        action = _action(group)
        if addresses and action:
            said = _said("\n".join(group.get("diagnostic-code", ())[:3]))
            yield Bounce(addresses[0], _status(group, said), action, said, ids, envelope, tuple(addresses[1:]))


def _groups(body: bytes) -> list[dict[str, list[str]]]:
    """Return the fields of each group: those about the mail, then those about each recipient."""
    groups: list[dict[str, list[str]]] = []
    for block in _blocks(body):
        fields = fields_of(block)
        names_somebody = "final-recipient" in fields or "original-recipient" in fields
        if not fields:
            continue
        # Some servers write an empty line into the middle of a group.
        if groups and not names_somebody and "action" not in groups[-1] and "final-recipient" in groups[-1]:
            groups[-1] = {**fields, **groups[-1]}
        else:
            groups.append(fields)
    return groups


def _blocks(body: bytes) -> Iterator[bytes]:
    """Yield what stands between empty lines."""
    lines: list[bytes] = []
    for line in [*body[:_MOST_OCTETS].splitlines(), b""]:
        if line.strip():
            lines.append(line)
        elif lines:
            yield b"\n".join(lines)
            lines = []


def _recipients(group: dict[str, list[str]]) -> list[str]:
    """Return the addresses of a recipient: the one that the mail was sent to, and what became of that on its way."""
    found: dict[str, str] = {}
    for name in ("original-recipient", "final-recipient", "x-actual-recipient", "x-original-to"):
        for value in group.get(name, ())[:2]:
            for address in _addresses(value):
                found.setdefault(address.lower(), address)
    return [*found.values()]


def _addresses(value: str) -> Iterator[str]:
    kind, semicolon, rest = value.partition(";")
    rest = rest if semicolon else kind
    if kind.strip().lower() == "utf-8":  # RFC 6533 3
        rest = re.sub(r"\\x\{([0-9A-Fa-f]{2,6})\}", lambda found: _character(found[1]), rest)
    if (found := _ADDRESS.search(rest)) is None:
        return
    yield found[0]
    # RFC 3461 4: as it stands in the command; some servers report it so.
    if re.search(r"\+[0-9A-F]{2}", found[0]):
        yield re.sub(r"\+([0-9A-F]{2})", lambda octet: _character(octet[1]), found[0])


def _character(digits: str) -> str:
    number = int(digits, 16)
    return chr(number) if 0x20 < number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else ""  # noqa: PLR2004 - Unicode


def _action(group: dict[str, list[str]]) -> str:
    """Return "failed" or "delayed"; an empty text for what is no trouble: delivered, relayed, expanded."""
    action = next(iter(group.get("action", ())), "").strip().lower()
    if action.startswith(("fail", "error", "undeliver")):
        return "failed"
    if action.startswith("delay"):
        return "delayed"
    status = _status_in(next(iter(group.get("status", ())), ""))
    if action or not status or status.startswith("2"):
        return ""
    return "failed" if status.startswith("5") else "delayed"


def _status(group: dict[str, list[str]], said: str) -> str:
    """Return the most exact status: some servers report 5.0.0, and pass on what another one said."""
    status = _status_in(" ".join(group.get("status", ())))
    if status and not re.fullmatch(r"[45]\.[01]\.0", status):
        return status
    other = _status_in(said) or status_by_words(said)
    return other if other and other[0] == (status or other)[0] and not other.endswith(".0.0") else status


def _status_in(text: str) -> str:
    """Return the most exact of the statuses in a text."""
    found = [each for each in _STATUS.findall(text[:2000]) if not each.startswith("2")]
    return next((each for each in found if not re.fullmatch(r".\.[01]\.0", each)), next(iter(found), ""))


def _said(text: str) -> str:
    """Return what a server said: cleaned, without the name of the protocol in front of it."""
    text = clean(re.sub(r"\A\s*[\w-]{1,40}\s*;\s*", "", text[: 4 * _MOST_DIAGNOSTIC]))
    return text if len(text) <= _MOST_DIAGNOSTIC else text[: _MOST_DIAGNOSTIC - 1] + "…"


# --- which mail ---


def _message_ids(mail: Part, parts: Iterable[Part]) -> Iterator[str]:
    """Yield what may be the Message-ID of the mail that is reported on, the likeliest first, each once."""
    seen: set[str] = set()
    for each in _all_ids(mail, [*parts]):
        if each not in seen:
            seen.add(each)
            yield each
        if len(seen) >= _MOST_IDS:
            return


def _all_ids(mail: Part, parts: list[Part]) -> Iterator[str]:
    returned = [found for part in parts if (found := part.embedded) is not None]
    own = [each for inner in returned for each in _ids(inner, *_ID_FIELDS)]
    yield from own
    for part in parts:
        if part.kind.startswith("text/"):
            yield from _ID_IN_TEXT.findall(part.text)[:_MOST_IDS]
    yield from _ids(mail, *_ID_FIELDS[1:])
    # Microsoft and Google answer the mail, and Amazon moves our Message-ID there. What any other returned mail answers
    # is not it, as in a thread that is gone on with in Outlook.
    is_moved = all(_OF_AMAZON.search(each) for each in own)
    answered = {found for inner in returned for found in _ids(inner, "in-reply-to", "references")}
    for each in (mail, *returned) if is_moved else (mail,):
        last = [*_ids(each, "in-reply-to")] or [*_ids(each, "references")][-1:]
        yield from (found for found in last if is_moved or found not in answered)


def _ids(part: Part, *names: str) -> Iterator[str]:
    for name in names:
        for value in part.fields.get(name, ())[:3]:
            yield from _MESSAGE_ID.findall(value)[-_MOST_IDS:]
