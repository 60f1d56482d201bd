"""Says what a negative SMTP reply means: the kind of failure, a sentence, what to do, the field and the guide.

What is known about providers comes first, then what code and phase say about any server.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docmail import presets
from docmail.errors import Guide, Kind, Phase, SendError
from docmail.language import _
from docmail.replies.known import Meaning, first_match, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docmail.presets import Preset
    from docmail.reply import Reply

_SHOWN_ADDRESSES = 5  # of the refused recipients, in one sentence


def meaning_of(reply: Reply, phase: str, host: str, *, signed_in: bool = False) -> Meaning:
    """Return the meaning of a negative reply of this server, at this phase (as in `Diagnosis`)."""
    line = str(reply)
    relay = table("smtp-relay-signed-in" if signed_in else "smtp-relay")
    if found := first_match((*table("smtp"), *relay), line, host, guide=Guide.SENDING):
        return found
    any_server = table("smtp-any")  # the last of it fits every reply
    found = first_match(any_server, f"{phase} {line}", guide=Guide.SENDING) or any_server[-1].meaning()
    provider = presets.by_host(host)
    if phase != Phase.AUTH or provider is None or found.kind is Kind.TEMPORARY:
        return found
    return replace(found, guide=provider.guide, hint=found.hint if found.kind is Kind.CONFIG else _wanted(provider))


def refusal(
    reply: Reply, phase: str, host: str, refused: Mapping[str, Reply] | None = None, *, signed_in: bool = False
) -> SendError:
    """Return the exception for a negative reply; `refused` holds the reply for each recipient whom it is about."""
    found = meaning_of(reply, phase, host, signed_in=signed_in)
    if refused and found.kind is Kind.RECIPIENT and phase == Phase.RCPT:
        shown = [*refused][:_SHOWN_ADDRESSES]
        more = [f"… ({len(refused):,})"] if len(refused) > len(shown) else []
        addresses = ", ".join(shown + more)
        found = replace(found, message=f"{found.message.rstrip('.')}: {addresses}.")
    return found.error(phase, reply, refused=refused)


def _wanted(provider: Preset) -> str:
    """Return what to enter at this provider."""
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
        "oauth": _("{name} no longer accepts passwords: choose Microsoft in the row “Sign in with”."),
    }
    return sentences[provider.password].format(name=provider.name)
