"""Says what an HTTP status means for a mail: the kind of failure, a sentence, what to do."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from docmail.errors import Kind
from docmail.language import _
from docmail.replies.meaning import Cause


def look_first() -> str:
    """Say what to do about a mail that may have arrived."""
    return _("Ask the recipient, or look for the copy, before you send it again.")


DOUBTFUL = {502, 504, 520, 524}
"""A gateway lost the server behind it, which may have sent the mail by then (52x: Cloudflare)."""


def cause(code: int, *, whole: bool, signed_in: bool) -> Cause:  # noqa: C901, PLR0911 - one table, read downwards
    """Say what a status means; `whole` says whether the server had the whole form."""
    if whole and code in DOUBTFUL:
        message = _("The mail may have arrived: the server behind {host} did not answer in time.")
        return Cause(Kind.UNKNOWN, message, look_first(), None, "Sending")
    if code in DOUBTFUL | {408, 425, 503, 507, 521, 522, 523}:
        message = _("{host} does not take mail at the moment.")
        return Cause(Kind.TEMPORARY, message, _("Try again in a few minutes."), None, "Sending")
    if code < 300:  # noqa: PLR2004 - success, but of what?
        message = _("The mail may have arrived: {host} was content before it had the whole message.")
        return Cause(Kind.UNKNOWN, message, look_first(), None, "Sending")
    if code < 400:  # noqa: PLR2004
        message = _("{host} points to {place}; docmail sends nothing to an address that you did not enter.")
        return Cause(Kind.CONFIG, message, _("Enter that address, if you trust it."), "url", "Sending")
    if code in {401, 403} and signed_in:
        message = _("{host} does not accept this username and password.")
        return Cause(Kind.AUTH, message, _("Check Username and Password."), "password", "Passwords")
    if code in {401, 403}:
        hint = _("Check the address, and ask the server's administrator who may send through it.")
        return Cause(Kind.AUTH, _("{host} takes no mail from you."), hint, "url", "Sending")
    if code == 407:  # noqa: PLR2004
        hint = _("Put a name and a password into the variable HTTP_PROXY.")
        return Cause(Kind.NETWORK, _("The proxy wants a sign-in; nothing was sent."), hint)
    if code == 413:  # noqa: PLR2004
        message = _("{host} finds this message too large.")
        return Cause(Kind.MESSAGE, message, _("Send a smaller document."), None, "Sending")
    if code == 429:  # noqa: PLR2004
        message = _("The limit of {host} on how much you may send is reached.")
        return Cause(Kind.LIMIT, message, _("Send the rest later."), None, "Sending")
    # 500 too: it is how a form's script refuses, with the reason as its text. One that died may have mailed before, but
    # nothing tells the two apart, and doubt about every refusal would help nobody.
    if code in {400, 422} or (code >= 500 and code != 501):  # noqa: PLR2004
        hint = _("Read what the server said; recipients, size and kinds of attachment are common reasons.")
        return Cause(Kind.MESSAGE, _("{host} does not take this message."), hint, None, "Sending")
    hint = _("Check the address: it is the one that your mail service names for its HTTP form.")
    return Cause(Kind.CONFIG, _("{host} takes no mail at this address."), hint, "url", "Sending")


def seconds_of(value: str) -> float | None:
    """Read Retry-After: seconds, or a date (RFC 9110 10.2.3)."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None
