"""Says what a server's negative reply means: the kind of failure, a sentence, what to do, the field and the guide.

What is known about providers comes first (`docmail.replies.known`), then what code and step say about any server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from docmail import presets
from docmail.errors import TREATMENT, Kind, SendError
from docmail.language import _
from docmail.replies.known import REPLIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docmail.presets import Preset
    from docmail.reply import Reply


class Cause(NamedTuple):
    """What a reply means: the kind of failure, a sentence, what to do, the field to change and the guide."""

    kind: Kind
    message: str
    hint: str
    field: str | None = None
    guide: str | None = None


_RELAY = re.compile(
    r"[45]5\d .*(relay(ing)? (access )?(denied|prohibited)|(unable|not (allowed|permitted)) to relay)", re.IGNORECASE
)


def cause(reply: Reply, phase: str, host: str, *, signed_in: bool = False) -> Cause:
    """Say what a negative reply means, at this phase (as in `Diagnosis`) and from this server."""
    line = str(reply)
    for known in REPLIES:
        if known.fits(line, host):
            message, hint = known.say()
            return Cause(known.kind, message, hint, known.field, known.guide)
    if _RELAY.search(line):
        return _relay_cause(signed_in=signed_in)
    if phase == "auth":
        return _sign_in_cause(reply, host)
    return _transient_cause(phase) if _transient(reply) else _general(reply, phase)


def refusal(
    reply: Reply, phase: str, host: str, refused: Mapping[str, Reply] | None = None, *, signed_in: bool = False
) -> SendError:
    """Return the exception for a negative reply, with the server's own words in its sentence."""
    found = cause(reply, phase, host, signed_in=signed_in)
    what = found.message
    if refused and found.kind is Kind.RECIPIENT:
        what = f"{what.rstrip('.')}: {', '.join(refused)}."
    message = _("{what} It said: {reply}").format(what=what, reply=sentence(str(reply)))
    return TREATMENT[found.kind].error(
        message,
        kind=found.kind,
        phase=phase,
        reply=reply,
        refused=refused,
        hint=found.hint,
        field=found.field,
        guide=found.guide,
    )


def sentence(text: str) -> str:
    """Return a server's words with a full stop, unless they end a sentence already."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _transient(reply: Reply) -> bool:
    return 400 <= reply.code < 500  # noqa: PLR2004 - RFC 5321 4.2.1


# --- any server -------------------------------------------------------------------------------------------------------


def _relay_cause(*, signed_in: bool) -> Cause:
    if signed_in:
        # Whoever is let in and still may not send there is told about that recipient, not about the settings.
        return Cause(
            Kind.RECIPIENT,
            _("The server does not pass mail from your account on to this recipient."),
            _("Check the recipient's address; if it is right, ask the server's administrator where you may send to."),
            None,
            "Sending",
        )
    return Cause(
        Kind.CONFIG,
        _("The server delivers no mail to other places for somebody who has not signed in."),
        _("Fill in Username and Password."),
        "username",
        "Passwords",
    )


def _sign_in_cause(reply: Reply, host: str) -> Cause:
    if _transient(reply):
        return Cause(
            Kind.TEMPORARY,
            _("The server cannot check the password at the moment."),
            _("Try again in a few minutes."),
            None,
            "Sending",
        )
    provider = presets.by_host(host)
    if reply.code in {500, 502, 503, 504}:  # RFC 4954 4 and 6: the command, or this way of signing in, is unknown
        return Cause(
            Kind.CONFIG,
            _("The server does not let anybody sign in with a password in this way."),
            _("Check the port (587 or 465); if it is right, ask the provider which sign-in it wants."),
            "port",
            provider.guide if provider else "Ports",
        )
    return Cause(
        Kind.AUTH,
        _("The server does not accept this username and password."),
        _wanted(provider),
        "password",
        provider.guide if provider else "Passwords",
    )


def _wanted(provider: Preset | None) -> str:
    """Return what to enter at this provider."""
    if provider is None:
        return _("Check Username and Password; many providers want an app password made for this purpose.")
    if provider.id == "amazon-ses":
        return _(
            "Enter an SMTP password made for this region, not an IAM key; a new one works only after some minutes."
        )
    if provider.username.startswith("fixed:"):
        return _("Username must be {word}, and Password the key that {name} made.").format(
            word=provider.username.removeprefix("fixed:"), name=provider.name
        )
    if provider.username == "local-part":
        return _("Username is the part before the @. Check also whether {name} lets mail programs in.").format(
            name=provider.name
        )
    sentences = {
        "app-password": _("Make an app password at {name} and paste it into Password; Username is the whole address."),
        "api-key": _("Enter the key that {name} made for sending as Password, and check Username."),
        "account": _("Check both, and whether {name} lets mail programs in: its mailbox has a switch for that."),
        "bridge": _("Copy Username and Password from {name}; they are not those of your account."),
        "oauth": _("{name} takes no password any more: choose Microsoft in the row “Sign in with”."),
    }
    return sentences[provider.password].format(name=provider.name)


def _transient_cause(phase: str) -> Cause:
    message = _("The server does not take mail at the moment.")
    if phase == "greeting":
        message = _("The server is busy, or has enough connections from here; it takes none at the moment.")
    elif phase == "rcpt":
        message = _("The server does not take mail for this recipient at the moment.")
    return Cause(Kind.TEMPORARY, message, _("Try again in a few minutes."), None, "Sending")


def _general(reply: Reply, phase: str) -> Cause:
    if phase == "rcpt":
        return Cause(
            Kind.RECIPIENT,
            _("The server refuses this recipient."),
            _("Check the recipient's address."),
            None,
            "Sending",
        )
    if phase == "mail":
        return Cause(
            Kind.CONFIG,
            _("The server refuses this sender."),
            _("Check the sender's address."),
            "email_address",
            "Addresses",
        )
    if phase == "data":
        return Cause(
            Kind.MESSAGE,
            _("The server refuses this message."),
            _("Read what the server said; size, links and kinds of attachment are common reasons."),
            None,
            "Sending",
        )
    if phase == "ehlo" and reply.code in {500, 501, 502, 504}:
        return Cause(
            Kind.CONFIG,
            _("The server does not understand how mail programs introduce themselves (EHLO)."),
            _("Check the server's name and the port; something in between may be altering the conversation."),
            "host",
            "Ports",
        )
    return Cause(
        Kind.CONFIG,
        _("The server does not want to talk to this computer."),
        _("Check the server's name and the port, or ask its administrator."),
        "host",
        "Ports",
    )
