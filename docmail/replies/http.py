"""Says what the response of a server or mail service over HTTP means, and reads the JSON of services."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from docmail.errors import Field, Guide, Kind
from docmail.language import _
from docmail.replies.known import Meaning, first_match, table
from docmail.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docmail.presets import Service

DOUBTFUL = {502, 504, 520, 524}
"""A gateway lost the server behind it, which may have sent the mail by then (52x: Cloudflare)."""


def meaning_of_response(
    reply: Reply, service: Service | None, *, whole: bool, signed_in: bool, may_be_sent: bool = True
) -> Meaning:
    """Return the meaning of a refusal; `whole` says whether the server had the whole request.

    Without `may_be_sent`, the request was one that sends no mail, so that no doubt about a mail remains. The sentence
    may hold the fields `{host}` and `{place}` (where a redirection leads to).
    """
    found = _meaning(reply, service, whole=whole, signed_in=signed_in)
    if found.kind is not Kind.UNKNOWN or may_be_sent:
        return found
    message = _("{host} does not take mail at the moment.")
    return Meaning(Kind.TEMPORARY, message, _("Try again in a few minutes."), None, Guide.SENDING)


def _meaning(reply: Reply, service: Service | None, *, whole: bool, signed_in: bool) -> Meaning:
    if service is not None and reply.code < 300 and whole:  # noqa: PLR2004 - Postmark says so in its JSON
        reply = Reply(422, "", reply.text)
    if service is not None and reply.code >= 400:  # noqa: PLR2004 - a redirection is the same anywhere
        found = first_match(table("http"), str(reply), service.api, guide=service.guide)
        if found is not None:
            message, hint = (text.replace("{service}", service.name) for text in (found.message, found.hint))
            return replace(found, message=message, hint=hint)
    return _of_status(reply.code, whole=whole, signed_in=signed_in)


def _of_status(code: int, *, whole: bool, signed_in: bool) -> Meaning:  # noqa: C901, PLR0911 - one table, read downwards
    """Return what a status means at any server."""
    if whole and code in DOUBTFUL:
        message = _("The mail may have arrived: the server behind {host} did not answer in time.")
        return Meaning(Kind.UNKNOWN, message, look_first(), None, Guide.SENDING)
    if code in DOUBTFUL | {408, 425, 503, 507, 521, 522, 523}:
        message = _("{host} does not take mail at the moment.")
        return Meaning(Kind.TEMPORARY, message, _("Try again in a few minutes."), None, Guide.SENDING)
    if code < 300:  # noqa: PLR2004 - success, but of what?
        message = _("The mail may have arrived: {host} confirmed it before it had the whole message.")
        return Meaning(Kind.UNKNOWN, message, look_first(), None, Guide.SENDING)
    if code < 400:  # noqa: PLR2004
        message = _("{host} points to {place}; docmail sends nothing to an address that you did not enter.")
        return Meaning(Kind.CONFIG, message, _("Enter that address, if you trust it."), Field.URL, Guide.SENDING)
    if code in {401, 403} and signed_in:
        message = _("{host} does not accept this username and password.")
        return Meaning(Kind.AUTH, message, _("Check Username and Password."), Field.PASSWORD, Guide.PASSWORDS)
    if code in {401, 403}:
        hint = _("Check the address, and ask the server's administrator who may send through it.")
        return Meaning(Kind.AUTH, _("{host} does not accept mail from you."), hint, Field.URL, Guide.SENDING)
    if code == 407:  # noqa: PLR2004
        hint = _("Put a name and a password into the variable HTTP_PROXY.")
        return Meaning(Kind.NETWORK, _("The proxy wants a sign-in; nothing was sent."), hint)
    if code == 413:  # noqa: PLR2004
        message = _("This message is too large for {host}.")
        return Meaning(Kind.MESSAGE, message, _("Send a smaller document."), None, Guide.SENDING)
    if code == 429:  # noqa: PLR2004
        message = _("You have reached the sending limit of {host}.")
        return Meaning(Kind.LIMIT, message, _("Send the rest later."), None, Guide.SENDING)
    # 500 too: it is how a form's script refuses, with the reason as its text. One that died may have mailed before, but
    # nothing distinguishes the two, and doubt about every refusal would help nobody.
    if code in {400, 422} or (code >= 500 and code != 501):  # noqa: PLR2004
        hint = _("Read what the server said; recipients, size and kinds of attachment are common reasons.")
        return Meaning(Kind.MESSAGE, _("{host} does not take this message."), hint, None, Guide.SENDING)
    hint = _("Check the address: it is the one that your mail service names for its HTTP form.")
    return Meaning(Kind.CONFIG, _("{host} does not accept mail at this address."), hint, Field.URL, Guide.SENDING)


def look_first() -> str:
    """Say what to do about a mail that may have arrived."""
    return _("Ask the recipient, or look for the copy, before you send it again.")


_MAX_DEPTH = 32  # of lists and objects in each other in the JSON of a reply

_TEN_YEARS = 10 * 366 * 86400.0  # what is added to it stays a date


def seconds_of(value: str) -> float | None:
    """Read Retry-After: seconds, or a date (RFC 9110 10.2.3); ten years at most, None for anything else."""
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), _TEN_YEARS)
    try:
        return min(max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0), _TEN_YEARS)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def said(text: str) -> str:
    """Return a service's reply text as a person reads it: "code: message", wherever they are in its JSON."""
    content = _json(text)
    if not isinstance(content, dict):
        return text
    inner = content.get("error")
    if isinstance(inner, dict):
        return _code_and_message(inner)
    if isinstance(content.get("errors"), list) and content["errors"] and isinstance(content["errors"][0], dict):
        first = content["errors"][0]
        return _code_and_message({"code": first.get("field"), "message": first.get("message")})
    return _code_and_message(content) or text


def _code_and_message(content: dict[str, Any]) -> str:
    details = content.get("errors")
    reason = details[0].get("reason") if isinstance(details, list) and details and isinstance(details[0], dict) else ""
    named = (content.get(name) for name in ("ErrorCode", "status", "name", "code"))
    code = _word(reason) or next(
        (_word(each) for each in named if _word(each) and (isinstance(each, str) or "ErrorCode" in content)), ""
    )
    message = _word(content.get("Message")) or _word(content.get("message"))
    identity = next(filter(None, (_word(content.get(name)) for name in ("MessageID", "messageId", "id"))), "")
    if not message and identity:
        return f"id {identity}"
    return f"{code}: {message}" if code and message else message or code


def _word(value: object) -> str:
    """Return a text or a number as text; anything else, which may be nested without end, is no word of a reply."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and value and not isinstance(value, bool) else ""


def object_of(text: str) -> dict[str, Any]:
    """Return the JSON object that a text is; an empty one for anything else."""
    content = _json(text)
    return content if isinstance(content, dict) else {}


def refusal_in_success(text: str) -> bool:
    """Say whether a service refuses in the text of a reply whose status says success (Postmark can)."""
    content = _json(text)
    return isinstance(content, dict) and bool(content.get("ErrorCode"))


def left_out(text: str, recipients: tuple[str, ...]) -> list[str]:
    """Return the recipients whom a service says it leaves out of a mail that it takes (Postmark's inactive ones)."""
    content = _json(text)
    message = content.get("Message") if isinstance(content, dict) else None
    if not isinstance(message, str) or "will not deliver" not in message:
        return []
    named = {part.rstrip(".") for part in re.split(r"[\s,;<>]+", message.lower())}
    return [address for address in recipients if address.lower() in named]


def _json(text: str) -> Any:
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    level = [content]
    for _depth in range(_MAX_DEPTH):
        level = [child for each in level for child in _children(each)]
        if not level:
            return content
    return None  # what is nested that deep is no reply, and whatever looks at it may fail


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
