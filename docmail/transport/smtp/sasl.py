"""Signs in at an SMTP server (AUTH, RFC 4954): every mechanism that docmail speaks.

With a password by PLAIN (RFC 4616) or LOGIN; with a token by OAUTHBEARER (RFC 7628), or XOAUTH2 before it.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from docmail import presets
from docmail.errors import AuthenticationError, Kind
from docmail.language import _
from docmail.replies import clean, sentence

if TYPE_CHECKING:
    from docmail.net import Deadline
    from docmail.reply import Reply
    from docmail.secret import Secret
    from docmail.transport.smtp.conversation import Conversation

_CONTINUE, _SIGNED_IN = 334, 235  # RFC 4954 6


def sign_in_with_password(talk: Conversation, host: str, username: str, secret: Secret, deadline: Deadline) -> str:
    """Say AUTH with a password, under encryption or to this computer itself; return the mechanism."""
    talk.require_encryption()
    offered = talk.extensions.get("AUTH", "").split()
    mechanism = next((known for known in ("PLAIN", "LOGIN") if known in offered), "")
    if mechanism == "PLAIN":
        # RFC 4616, with the initial response of RFC 4954
        reply = talk.say_secret(lambda: _line("PLAIN", f"\0{username}\0{secret.reveal()}"), deadline)
    elif mechanism == "LOGIN":
        reply = talk.say("AUTH LOGIN", "auth", deadline)
        if reply.code == _CONTINUE:
            reply = talk.say(_base64(username).decode(), "auth", deadline)
        if reply.code == _CONTINUE:
            reply = talk.say_secret(lambda: _base64(secret.reveal()), deadline)
    else:
        raise _no_password(talk, host, offered, secret)
    if reply.code != _SIGNED_IN:
        raise talk.refusal(reply, "auth")
    talk.signed_in = True
    return mechanism


def _no_password(talk: Conversation, host: str, offered: list[str], secret: Secret) -> AuthenticationError:
    """Return the error for a server that takes no password, here or at all."""
    place = {"host": host, "port": talk.connection.port}
    provider = presets.by_host(host)
    if offered:
        message = _("{host} lets nobody in with a password, only by {mechanisms}.")
        hint = _(
            "If it is Microsoft's or Google's, choose to sign in with them; otherwise ask the provider for a server"
            " or an account that takes a password, such as an app password."
        )
        field = "host"
    elif "STARTTLS" in talk.extensions:
        message = _("{host} offers a sign-in on port {port} only once the connection is encrypted.")
        hint, field = _("Choose STARTTLS."), "security"
    else:
        message = _("{host} offers no sign-in with a password on port {port}.")
        hint = _("Check the port (587 or 465); if it is right and the server wants no sign-in, empty Username.")
        field = "port"
    return AuthenticationError(
        message.format(**place, mechanisms=clean(", ".join(offered), secret)[:200]),
        kind=Kind.AUTH,
        phase="auth",
        hint=hint,
        field=field,
        guide=provider.guide if provider and offered else "Passwords",
    )


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
    return f"AUTH {mechanism} ".encode() + _base64(response)


def _base64(text: str) -> bytes:
    return base64.b64encode(text.encode())


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
