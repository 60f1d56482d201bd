"""Signs in at an SMTP server with a token instead of a password: OAUTHBEARER (RFC 7628), and XOAUTH2 before it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from docmail.errors import AuthenticationError, Kind
from docmail.language import _
from docmail.replies import clean, sentence

if TYPE_CHECKING:
    from docmail.credentials import Secret
    from docmail.replies import Reply
    from docmail.transport.base import Deadline
    from docmail.transport.smtp.conversation import Conversation

_CONTINUE, _SIGNED_IN = 334, 235  # RFC 4954 6


def sign_in_with_token(talk: Conversation, host: str, username: str, token: Secret, deadline: Deadline) -> str:
    """Say AUTH with a token, under encryption or to this computer itself; return the mechanism."""
    talk.require_encryption()
    offered = talk.extensions.get("AUTH", "").split()
    # XOAUTH2 first: it is what Microsoft and Google have had for longest, and describe.
    mechanism = next((known for known in ("XOAUTH2", "OAUTHBEARER") if known in offered), "")
    if mechanism == "XOAUTH2":
        said = talk.say_secret(lambda: _line("XOAUTH2", f"user={username}\1auth=Bearer {token.reveal()}\1\1"), deadline)
    elif mechanism:
        # RFC 5801 4: in a name these two signs are escaped.
        name = username.replace("=", "=3D").replace(",", "=2C")
        said = talk.say_secret(
            lambda: _line(
                "OAUTHBEARER",
                f"n,a={name},\1host={host}\1port={talk.connection.port}\1auth=Bearer {token.reveal()}\1\1",
            ),
            deadline,
        )
    else:
        raise AuthenticationError(
            _("{host} does not let anybody sign in with Microsoft or Google.").format(host=host),
            kind=Kind.AUTH,
            phase="auth",
            hint=_("Choose the password as the way to sign in, or check the server's name."),
            field="sign_in",
            guide="Passwords",
        )
    reason = ""
    if said.code == _CONTINUE:
        # The server explains in a challenge, and refuses once that is answered with nothing (RFC 7628 3.2.3).
        reason = _reason(said, token)
        said = talk.say("" if mechanism == "XOAUTH2" else "AQ==", "auth", deadline)
    if said.code != _SIGNED_IN:
        raise _refused(talk, said, reason)
    talk.signed_in = True
    return mechanism


def _line(mechanism: str, response: str) -> bytes:
    return f"AUTH {mechanism} ".encode() + base64.b64encode(response.encode())


def _reason(challenge: Reply, token: Secret) -> str:
    """Return what the JSON of a challenge says: a status, and the scope that the server wants."""
    try:
        content = json.loads(base64.b64decode(challenge.text + "=" * (-len(challenge.text) % 4)))
    except ValueError:
        return ""
    if not isinstance(content, dict):
        return ""
    found = [f"{name} {content[name]}" for name in ("status", "scope") if content.get(name)]
    return clean(", ".join(found), token)[:300]


def _refused(talk: Conversation, reply: Reply, reason: str) -> Exception:
    """Return the error for a token that does not let one in."""
    error = talk.refusal(reply, "auth")
    if error.kind is not Kind.AUTH:
        return error
    said = sentence(str(reply))
    if "SmtpClientAuthentication is disabled" in reply.text:
        # Nobody can send there by SMTP, so signing in again would change nothing.
        what = _("Microsoft 365 has switched off sending by SMTP for this mailbox, also for this sign-in.")
        return AuthenticationError(
            _("{what} It said: {reply}").format(what=what, reply=said),
            kind=Kind.AUTH,
            phase="auth",
            reply=reply,
            hint=_("Ask your administrator to tick Authenticated SMTP for the mailbox, or choose Microsoft Graph."),
            field="protocol",
            guide="Microsoft 365",
        )
    message = _("The server does not accept this sign-in. It said: {reply}").format(reply=said)
    if reason:
        message = _("The server does not accept this sign-in ({reason}). It said: {reply}").format(
            reason=reason, reply=said
        )
    return AuthenticationError(
        message,
        kind=Kind.AUTH,
        phase="auth",
        reply=reply,
        hint=_("Sign in again; if that does not help, check that the application may send mail by SMTP."),
        field="sign_in",
        guide=error.guide,
    )
