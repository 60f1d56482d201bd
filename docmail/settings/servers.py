"""The two kinds of servers that take mail, as frozen values, and what can be wrong with each of their fields."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from docmail import presets
from docmail.addresses import ascii_host, first_control, is_loopback, trimmed
from docmail.errors import Field, Problem
from docmail.language import _
from docmail.presets import services

if TYPE_CHECKING:
    from collections.abc import Iterator


MAX_VALUE = 1000
"""Characters of a field; more is a document pasted into it."""

_MAX_PORT = 65535


class Security(StrEnum):
    """How the connection is encrypted (RFC 8314 calls TLS "implicit TLS").

    >>> docmail.SmtpServer("mail.example.com", security="none").effective_security is docmail.settings.Security.NONE
    True
    """

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class SignIn(StrEnum):
    """With what an account lets one in: a password, or a sign-in at its owner in a browser (OAuth 2.0).

    >>> docmail.SmtpServer("smtp.gmail.com", sign_in="google").sign_in
    <SignIn.GOOGLE: 'google'>
    """

    PASSWORD = "password"  # noqa: S105 - a word, and no password
    MICROSOFT = "microsoft"
    GOOGLE = "google"


def implied(port: int) -> Security:
    """Return the security that a port implies: 465 TLS from the first byte, otherwise STARTTLS (RFC 8314)."""
    return Security.TLS if port == 465 else Security.STARTTLS  # noqa: PLR2004


@dataclass(frozen=True)
class SmtpServer:
    """A submission server (RFC 6409) and the account that signs in there; an empty `username` signs in nowhere.

    `host` is its name. `security` None follows the port: 465 TLS, otherwise STARTTLS, which is then required.
    `fingerprint`, the SHA-256 of a server's certificate, replaces the checks of its chain, name and dates: for a server
    of one's own. `ca_file` adds an organisation's own certification authority (PEM) to the system's.

    `sign_in` says with what one signs in. With Microsoft or Google, `client_id` names the application that was
    registered there for docmail; `tenant` is the organisation at Microsoft (its domain or ID; empty: any). `authority`
    is the URL of another sign-in server than the provider's usual one, with the organisation in it: that of another
    cloud, or of a sandbox; `tenant` then says nothing.

    >>> docmail.SmtpServer("mail.example.com", 465, username="accounts@example.com").effective_security
    <Security.TLS: 'tls'>
    """

    host: str
    port: int = 587
    security: Security | None = None
    username: str = ""
    fingerprint: str | None = None
    ca_file: str | None = None
    sign_in: SignIn = SignIn.PASSWORD
    client_id: str = ""
    tenant: str = ""
    authority: str = ""

    def __post_init__(self) -> None:
        trim(self, "host", "username", "fingerprint", "ca_file", "client_id", "tenant", "authority")
        _as_sign_in(self)
        for name in ("fingerprint", "ca_file"):
            if getattr(self, name) == "":
                object.__setattr__(self, name, None)
        if isinstance(self.security, str) and self.security.lower() in list(Security):
            object.__setattr__(self, "security", Security(self.security.lower()))

    @property
    def effective_security(self) -> Security:
        """The security in force: as chosen, or as the port implies."""
        return self.security or implied(self.port)


@dataclass(frozen=True)
class HttpServer:
    """A server that takes mail over HTTP; `https://` is assumed.

    With `api="form"` it takes a form and sends from an address of its own. Otherwise `api` names a mail service
    ("graph", "gmail", "mailgun", "postmark", "resend", "brevo", "sendgrid"), whose address may be left out: `url=""`.
    `username` is the mailbox at Microsoft and Google; the other services know an account by its key. `sign_in`,
    `client_id`, `tenant` and `authority` are those of `SmtpServer`.

    >>> docmail.HttpServer("forms.example.com/send").full_url
    'https://forms.example.com/send'
    >>> docmail.HttpServer("", api="postmark").full_url
    'https://api.postmarkapp.com/email'
    """

    url: str
    api: str = services.FORM
    username: str = ""
    sign_in: SignIn = SignIn.PASSWORD
    client_id: str = ""
    tenant: str = ""
    authority: str = ""

    def __post_init__(self) -> None:
        trim(self, "url", "username", "client_id", "tenant", "authority")
        _as_sign_in(self)

    @property
    def full_url(self) -> str:
        """The URL with its scheme, and for a service with the host and path where mail is posted to."""
        return services.full_url(self.api if isinstance(self.api, str) else services.FORM, self.url)

    @property
    def service(self) -> services.Service | None:
        """The mail service; None for a server that takes forms."""
        return services.by_api(self.api) if isinstance(self.api, str) else None

    @property
    def signs_in_as(self) -> str:
        """Whose password or key it is: the username, or what stands for it where a service knows only keys."""
        return self.username or (self.service.username if self.service else "")


# --- what is wrong with them ------------------------------------------------------------------------------------------


def text_problem(value: object, field_name: str, *, optional: bool = False) -> Problem | None:
    """Return what is wrong with a value that must be a short text in one line."""
    if value is None and optional:
        return None
    if not isinstance(value, str):
        return Problem(field_name, _("This must be text, not {type}.").format(type=type(value).__name__))
    if len(value) > MAX_VALUE:
        return Problem(field_name, _("This is longer than {limit} characters.").format(limit=MAX_VALUE))
    if control := first_control(value):
        return Problem(
            field_name, _("This contains the invisible character {code}; type it again.").format(code=control)
        )
    return None


def read_host(given: Any, field_name: Field, missing: str) -> tuple[str | None, Problem | None]:
    """Return a server's name as servers write it, or what is wrong with it; of an empty one, `missing` is said."""
    if problem := text_problem(given, field_name):
        return None, problem
    if not given:
        return None, Problem(field_name, missing)
    try:
        return ascii_host(given), None
    except ValueError as exc:
        return None, Problem(field_name, str(exc))


def is_port(given: Any) -> bool:
    """Say whether a value is the number of a port."""
    return type(given) is int and 0 < given <= _MAX_PORT  # True and False are ints in Python, but no ports


def smtp_problems(server: SmtpServer) -> Iterator[Problem]:
    """Yield what is wrong with the fields of an SMTP server."""
    host, problem = read_host(server.host, Field.HOST, _("Give the SMTP server's name, such as smtp.example.com."))
    if problem:
        yield problem
    if not is_port(server.port):
        yield Problem(Field.PORT, _("The port is a number from 1 to 65535; most servers use 587 or 465."))
    yield from _security_problems(server, host)
    if problem := text_problem(server.username, Field.USERNAME):
        yield problem
    yield from trust_problems(server.fingerprint, server.ca_file, host)


def trust_problems(fingerprint: Any, ca_file: Any, host: str | None) -> Iterator[Problem]:
    """Yield what is wrong with the fields that say which certificate is trusted; `host` is the name, if it is one."""
    if problem := text_problem(fingerprint, Field.FINGERPRINT, optional=True):
        yield problem
    elif fingerprint is not None and fingerprint_bytes(fingerprint) is None:
        yield Problem(
            Field.FINGERPRINT, _("A SHA-256 fingerprint has 64 digits (0 to 9, A to F), perhaps with colons.")
        )
    elif fingerprint is not None and host and (preset := presets.established(host)):
        yield Problem(
            Field.FINGERPRINT,
            _(
                "{provider} never shows a self-signed certificate: a server that shows one does not "
                "belong to {provider}."
            ).format(provider=_(preset.name)),
        )
    if problem := text_problem(ca_file, Field.CA_FILE, optional=True):
        yield problem
    # Unlike Path's, these functions raise for no text at all: an unknown ~user, a path that is too long.
    elif ca_file is not None and not os.path.isfile(os.path.expanduser(ca_file)):  # noqa: PTH111, PTH113
        yield Problem(Field.CA_FILE, _("There is no file {path}.").format(path=ca_file))


def _security_problems(server: SmtpServer, host: str | None) -> Iterator[Problem]:
    security: Any = server.security
    if security is not None and not isinstance(security, Security):
        yield Problem(Field.SECURITY, _("Choose how the connection is encrypted: TLS, STARTTLS or none."))
    elif security is Security.NONE and server.username and host and not is_loopback(host):
        yield Problem(
            Field.SECURITY,
            _("A password is never sent unencrypted. Choose STARTTLS or TLS, or leave Username empty."),
        )


def http_problems(server: HttpServer) -> Iterator[Problem]:
    """Yield what is wrong with the fields of a server that takes mail over HTTP."""
    if problem := text_problem(server.url, Field.URL):
        yield problem
    else:
        try:
            _check_url(server)
        except ValueError as exc:
            yield Problem(Field.URL, str(exc))
    if problem := text_problem(server.api, Field.PROTOCOL):
        yield problem
    elif server.api not in services.names():
        yield Problem(Field.PROTOCOL, _("“{api}” is not a service that docmail knows.").format(api=server.api[:40]))
    if problem := text_problem(server.username, Field.USERNAME):
        yield problem
    elif server.service is not None and server.service.has_mailbox and "@" not in server.username:
        yield Problem(
            Field.USERNAME, _("Give the address of the mailbox that you send from, such as accounts@example.com.")
        )


def _check_url(server: HttpServer) -> None:
    """Raise `ValueError` with a sentence that says what is wrong with the address."""
    if not server.url and server.service is None:
        raise ValueError(_("Give the HTTP server's address, such as mail.example.com."))
    no_address = _("“{url}” is not a web address.").format(url=server.url[:100])
    try:
        split = urlsplit(server.full_url)
        port = split.port
    except ValueError:
        raise ValueError(no_address) from None
    host = split.hostname or ""
    if split.scheme not in {"http", "https"} or host in {"http", "https"}:  # the latter is "https:/example.com"
        raise ValueError(_("The address must begin with https:// (or nothing, which means the same)."))
    if split.username is not None or split.password is not None:
        raise ValueError(_("Leave out the name and password before the @ sign; they do not belong in an address."))
    if port == 0 or split.fragment or "\\" in server.url or any(character.isspace() for character in server.url):
        raise ValueError(no_address)
    host = ascii_host(host)
    if split.scheme == "http" and server.signs_in_as and not is_loopback(host):
        raise ValueError(_("A password is never sent unencrypted. Begin the address with https://."))
    if server.api == "mailgun" and not re.search(r"/v\d+/[^/]+\.[^/]+/", split.path):
        raise ValueError(_("Write your domain at Mailgun into the address: api.mailgun.net/v3/mg.example.com"))


def sign_in_problems(server: SmtpServer | HttpServer) -> Iterator[Problem]:
    """Yield what is wrong with the fields that say how one signs in."""
    sign_in: Any = server.sign_in
    if not isinstance(sign_in, SignIn):
        yield Problem(Field.SIGN_IN, _("Choose how you sign in: with a password, with Microsoft or with Google."))
        return
    # The form shows another sign-in server's address in the field of the organisation.
    for name, field in (("client_id", Field.CLIENT_ID), ("tenant", Field.TENANT), ("authority", Field.TENANT)):
        if problem := text_problem(getattr(server, name), field):
            yield problem
            return
    if sign_in is SignIn.PASSWORD:
        return
    if isinstance(server, HttpServer) and (server.service is None or SignIn(server.service.sign_in) is not sign_in):
        yield Problem(Field.SIGN_IN, _("This server does not support that way of signing in: choose the password."))
        return
    if not isinstance(server.username, str) or "@" not in server.username:
        yield Problem(Field.USERNAME, _("Give the address of the account that you sign in with."))
    if not server.client_id:
        yield Problem(
            Field.CLIENT_ID, _("Give the ID of the application that was registered for docmail; the guide shows how.")
        )
    known = re.fullmatch(r"[A-Za-z0-9][\w.-]*", server.tenant) if sign_in is SignIn.MICROSOFT else None
    if (server.tenant and not known) or (server.authority and not _is_safe(server.authority)):
        yield Problem(
            Field.TENANT,
            _("Give the organisation's domain, such as example.com, or its ID; or leave this empty.")
            if sign_in is SignIn.MICROSOFT
            else _("Google needs no organisation: leave it empty."),
        )


def _is_safe(url: str) -> bool:
    """Say whether secrets may go to this URL: it is encrypted, or on this computer."""
    try:
        split = urlsplit(url)
        return bool(split.hostname) and (split.scheme == "https" or is_loopback(split.hostname or ""))
    except ValueError:
        return False


def fingerprint_bytes(text: str) -> bytes | None:
    """Return the 32 bytes of a SHA-256 fingerprint in hexadecimal, with or without colons; None for other text."""
    digits = re.sub(r"(?i)^sha-?256[:=]?|[\s:]", "", text)
    return bytes.fromhex(digits) if re.fullmatch(r"[0-9A-Fa-f]{64}", digits) else None


def trim(owner: object, *names: str) -> None:
    """Strip the blanks around these fields of a frozen value, and turn paths into text."""
    for name in names:
        value = getattr(owner, name)
        if isinstance(value, Path):
            value = str(value)
        if isinstance(value, str):
            object.__setattr__(owner, name, trimmed(value))


def _as_sign_in(server: object) -> None:
    value: Any = vars(server)["sign_in"]
    if isinstance(value, str) and value in list(SignIn):
        object.__setattr__(server, "sign_in", SignIn(value))
    tenant: Any = vars(server)["tenant"]
    if isinstance(tenant, str) and "://" in tenant:  # where 0.1.0 kept the URL, and where a person enters it
        object.__setattr__(server, "authority", tenant)
        object.__setattr__(server, "tenant", "")
