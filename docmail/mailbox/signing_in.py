"""Signs in at a mailbox: with a password by AUTHENTICATE PLAIN or LOGIN, with a token by XOAUTH2 or OAUTHBEARER."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docmail import presets
from docmail.errors import AuthenticationError, Field, Guide, Kind, Phase, TLSError
from docmail.language import _
from docmail.net import sasl
from docmail.replies import clean, mailbox_refusal
from docmail.secret import unseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.mailbox.protocol import Imap
    from docmail.secret import Secret

PASSWORD_MECHANISMS = ("PLAIN", "LOGIN")


def require_encryption(imap: Imap) -> None:
    """Raise `TLSError` where a secret would go out in clear, except to this computer itself."""
    if not imap.connection.encrypted and not imap.connection.peer_is_loopback:
        raise TLSError(
            _("The password or sign-in was not sent: the connection to {host} is not encrypted.").format(
                host=imap.host
            ),
            kind=Kind.CONFIG,
            phase=Phase.AUTH,
            hint=_("Choose STARTTLS or TLS for the mailbox."),
            field=Field.MAILBOX_SECURITY,
            guide=Guide.PORTS,
        )


def sign_in_with_password(imap: Imap, username: str, secret: Secret) -> str:
    """Sign in with a password; return the mechanism. Raises `imaplib.IMAP4.error` for a refusal."""
    require_encryption(imap)
    offered = _offered(imap)
    if "AUTH=PLAIN" in offered:
        _authenticate(imap, "PLAIN", lambda _challenge: sasl.plain(username, secret))
        return "PLAIN"
    if "LOGINDISABLED" in offered:
        raise _no_password(imap, offered, secret)
    _login(imap, username, secret)
    return "LOGIN"


def sign_in_with_token(imap: Imap, username: str, token: Secret) -> str:
    """Sign in with a token; return the mechanism."""
    require_encryption(imap)
    offered = _offered(imap)
    challenges: list[bytes] = []
    # XOAUTH2 first: it is what Microsoft and Google have had for longest, and describe.
    if "AUTH=XOAUTH2" in offered:
        mechanism, end = "XOAUTH2", b""
        response: Callable[[], bytes] = lambda: sasl.xoauth2(username, token)  # noqa: E731
    elif "AUTH=OAUTHBEARER" in offered:
        mechanism, end = "OAUTHBEARER", sasl.OAUTHBEARER_END
        response = lambda: sasl.oauthbearer(username, token, imap.host, imap.port)  # noqa: E731
    else:
        raise AuthenticationError(
            _("{host} does not support signing in with Microsoft or Google.").format(host=imap.host),
            kind=Kind.AUTH,
            phase=Phase.AUTH,
            hint=_("Check the mailbox's server, or give the mailbox a username and password of its own."),
            field=Field.MAILBOX_HOST,
            guide=Guide.PASSWORDS,
        )

    def respond(challenge: bytes) -> bytes:
        challenges.append(challenge)
        # The server explains in a challenge, and refuses once that is answered with nothing (RFC 7628 3.2.3).
        return response() if len(challenges) == 1 else end

    try:
        _authenticate(imap, mechanism, respond)
    except imap.error:
        if imap.final[0] == "NO" and not imap.goodbye:
            raise _token_refused(imap, challenges[1:], token) from None
        raise
    return mechanism


def _offered(imap: Imap) -> tuple[str, ...]:
    offered: tuple[str, ...] = imap.capabilities
    return offered


@unseen
def _authenticate(imap: Imap, mechanism: str, respond: Callable[[bytes], bytes]) -> None:
    """Say AUTHENTICATE; what the response is made of stands in no frame that a traceback shows."""
    imap.authenticate(mechanism, respond)


@unseen
def _login(imap: Imap, username: str, secret: Secret) -> None:
    """Say LOGIN, for servers that offer no AUTHENTICATE PLAIN.

    A text beyond ASCII is quoted all the same: servers read UTF-8 there, and a literal would need one more step.
    """
    login: Any = imap.ask
    login("LOGIN", _quoted(username.encode()), _quoted(secret.octets()))
    imap.state = "AUTH"


def _quoted(octets: bytes) -> bytes:
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _token_refused(imap: Imap, challenges: list[bytes], token: Secret) -> Exception:
    import base64

    text = clean(imap.final[1], token)
    reason = sasl.reason_of_refusal(base64.b64encode(challenges[0]).decode(), token) if challenges else ""
    refused = mailbox_refusal(f"NO {text}", Phase.AUTH, imap.host)
    if refused.kind is not Kind.AUTH or refused.field != Field.MAILBOX_PASSWORD:
        return refused
    message = _("The mailbox does not accept this sign-in. It said: {reply}")
    if reason:
        message = _("The mailbox does not accept this sign-in ({reason}). It said: {reply}")
    return AuthenticationError(
        message.format(reply=text or "NO", reason=reason),
        kind=Kind.AUTH,
        phase=Phase.AUTH,
        reply=refused.reply,
        hint=_("Sign in again, and allow docmail to read the mailbox; an administrator may have to allow IMAP first."),
        field=Field.SIGN_IN,
        guide=refused.guide,
    )


def _no_password(imap: Imap, offered: tuple[str, ...], secret: Secret) -> AuthenticationError:
    """Return the error for a server that takes no password, here or at all."""
    mechanisms = [each.removeprefix("AUTH=") for each in offered if each.startswith("AUTH=")]
    provider = presets.by_host(imap.host)
    if "STARTTLS" in offered and not imap.connection.encrypted:
        message = _("{host} offers a sign-in on port {port} only once the connection is encrypted.")
        hint, field = _("Choose STARTTLS for the mailbox."), Field.MAILBOX_SECURITY
    else:
        message = _("{host} lets nobody into a mailbox with a password; it offers {mechanisms}.")
        hint = _("Sign in with Microsoft or Google, or ask the provider for an app password and for IMAP.")
        field = Field.MAILBOX_HOST
    return AuthenticationError(
        message.format(host=imap.host, port=imap.port, mechanisms=clean(", ".join(mechanisms) or "-", secret)[:200]),
        kind=Kind.AUTH,
        phase=Phase.AUTH,
        hint=hint,
        field=field,
        guide=provider.guide if provider else Guide.PASSWORDS,
    )
