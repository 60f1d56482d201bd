"""Signs in at an SMTP server (AUTH, RFC 4954): every mechanism that docmail speaks.

With a password by PLAIN (RFC 4616) or LOGIN; with a token by XOAUTH2, or OAUTHBEARER (RFC 7628). What a mechanism sends
is a function of its name, which connects to nothing.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from docmail import presets
from docmail.errors import AuthenticationError, Field, Guide, Kind, Phase
from docmail.language import _
from docmail.net import sasl
from docmail.replies import clean, sentence

if TYPE_CHECKING:
    from docmail.net import Deadline
    from docmail.reply import Reply
    from docmail.secret import Secret
    from docmail.transport.smtp.conversation import Conversation

_CONTINUE, _SIGNED_IN = 334, 235  # RFC 4954 6


def plain(username: str, password: Secret) -> bytes:
    """Return the command of PLAIN, with its initial response (RFC 4954 4)."""
    return _initial("PLAIN", sasl.plain(username, password))


def xoauth2(username: str, token: Secret) -> bytes:
    """Return the command of XOAUTH2."""
    return _initial("XOAUTH2", sasl.xoauth2(username, token))


def oauthbearer(username: str, token: Secret, host: str, port: int) -> bytes:
    """Return the command of OAUTHBEARER."""
    return _initial("OAUTHBEARER", sasl.oauthbearer(username, token, host, port))


def _initial(mechanism: str, response: bytes) -> bytes:
    return f"AUTH {mechanism} ".encode() + base64.b64encode(response)


def _base64(text: str) -> bytes:
    return base64.b64encode(text.encode())


def sign_in_with_password(talk: Conversation, username: str, secret: Secret, deadline: Deadline) -> str:
    """Sign in with a password, under encryption or to this computer itself; return the mechanism."""
    talk.require_encryption()
    offered = talk.extensions.get("AUTH", "").split()
    if "PLAIN" in offered:
        reply = talk.secret_command(lambda: plain(username, secret), deadline)
    elif "LOGIN" in offered:
        reply = talk.command("AUTH LOGIN", Phase.AUTH, deadline)
        if reply.code == _CONTINUE:
            reply = talk.command(_base64(username).decode(), Phase.AUTH, deadline)
        if reply.code == _CONTINUE:
            reply = talk.secret_command(lambda: _base64(secret.reveal()), deadline)
    else:
        raise _no_password(talk, offered, secret)
    if reply.code != _SIGNED_IN:
        raise talk.refusal(reply, Phase.AUTH)
    talk.signed_in = True
    return "PLAIN" if "PLAIN" in offered else "LOGIN"


def sign_in_with_token(talk: Conversation, username: str, token: Secret, deadline: Deadline) -> str:
    """Sign in with a token, under encryption or to this computer itself; return the mechanism."""
    talk.require_encryption()
    offered = talk.extensions.get("AUTH", "").split()
    # XOAUTH2 first: it is what Microsoft and Google have had for longest, and describe.
    if "XOAUTH2" in offered:
        mechanism, last = "XOAUTH2", ""
        reply = talk.secret_command(lambda: xoauth2(username, token), deadline)
    elif "OAUTHBEARER" in offered:
        mechanism, last = "OAUTHBEARER", "AQ=="
        reply = talk.secret_command(lambda: oauthbearer(username, token, talk.host, talk.connection.port), deadline)
    else:
        raise AuthenticationError(
            _("{host} does not support signing in with Microsoft or Google.").format(host=talk.host),
            kind=Kind.AUTH,
            phase=Phase.AUTH,
            hint=_("Choose the password as the way to sign in, or check the server's name."),
            field=Field.SIGN_IN,
            guide=Guide.PASSWORDS,
        )
    reason = ""
    if reply.code == _CONTINUE:
        # The server explains in a challenge, and refuses once that is answered with nothing (RFC 7628 3.2.3).
        reason = sasl.reason_of_refusal(reply.text, token)
        reply = talk.command(last, Phase.AUTH, deadline)
    if reply.code != _SIGNED_IN:
        raise _refused(talk, reply, reason)
    talk.signed_in = True
    return mechanism


def _no_password(talk: Conversation, offered: list[str], secret: Secret) -> AuthenticationError:
    """Return the error for a server that takes no password, here or at all."""
    provider = presets.by_host(talk.host)
    wrong_port = False
    if offered:
        message = _("{host} accepts no password, only {mechanisms}.")
        hint = _(
            "If the server is Microsoft's or Google's, choose to sign in with Microsoft or Google; "
            "otherwise ask the provider for a server or an account that accepts a password, such as "
            "an app password."
        )
        field = Field.HOST
    elif "STARTTLS" in talk.extensions:
        message = _("{host} offers a sign-in on port {port} only once the connection is encrypted.")
        hint, field = _("Choose STARTTLS."), Field.SECURITY
    else:
        message = _("{host} offers no sign-in with a password on port {port}.")
        hint = _("Check the port (587 or 465); if it is right and the server wants no sign-in, leave Username empty.")
        field, wrong_port = Field.PORT, True
    return AuthenticationError(
        message.format(host=talk.host, port=talk.connection.port, mechanisms=clean(", ".join(offered), secret)[:200]),
        kind=Kind.AUTH,
        phase=Phase.AUTH,
        hint=hint,
        field=field,
        guide=provider.guide if provider and offered else Guide.PASSWORDS,
        wrong_port=wrong_port,
    )


def _refused(talk: Conversation, reply: Reply, reason: str) -> Exception:
    """Return the error for a token that does not let one in."""
    error = talk.refusal(reply, Phase.AUTH)
    if error.kind is not Kind.AUTH:
        return error
    said = sentence(str(reply))
    hint, field = (
        _("Sign in again; if that does not help, check that the application may send mail by SMTP."),
        Field.SIGN_IN,
    )
    guide = error.guide
    if "SmtpClientAuthentication is disabled" in reply.text:
        # Nobody can send there by SMTP, so signing in again would change nothing.
        what = _("Microsoft 365 has switched off sending by SMTP for this mailbox, also for this sign-in.")
        message = _("{what} It said: {reply}").format(what=what, reply=said)
        hint = _("Ask your administrator to tick Authenticated SMTP for the mailbox, or choose Microsoft Graph.")
        field, guide = Field.PROTOCOL, Guide.MICROSOFT_365
    elif reason:
        message = _("The server does not accept this sign-in ({reason}). It said: {reply}")
        message = message.format(reason=reason, reply=said)
    else:
        message = _("The server does not accept this sign-in. It said: {reply}").format(reply=said)
    return AuthenticationError(
        message, kind=Kind.AUTH, phase=Phase.AUTH, reply=reply, hint=hint, field=field, guide=guide
    )
