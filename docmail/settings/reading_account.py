"""The mailbox that is looked into after sending, as a frozen value, and what can be wrong with its fields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_type_hints

from docmail.addresses import is_loopback
from docmail.errors import Field, Problem
from docmail.language import _
from docmail.settings.servers import Security, is_port, read_host, text_problem, trim, trust_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docmail.presets import Preset

_IMAPS = 993  # RFC 8314 3.2

MAILBOX_FIELDS: dict[Field, Field] = {
    Field.HOST: Field.MAILBOX_HOST,
    Field.PORT: Field.MAILBOX_PORT,
    Field.SECURITY: Field.MAILBOX_SECURITY,
    Field.USERNAME: Field.MAILBOX_USERNAME,
    Field.PASSWORD: Field.MAILBOX_PASSWORD,
    Field.FINGERPRINT: Field.MAILBOX_FINGERPRINT,
    Field.CA_FILE: Field.MAILBOX_CA_FILE,
}
"""The mailbox's own field for each that a server for sending has as well."""


@dataclass(frozen=True)
class Mailbox:
    """The mailbox (IMAP) in which bounces arrive and copies are filed; nothing in it is deleted or marked as read.

    `host` is the server's name. `security` None follows the port: 993 TLS, otherwise STARTTLS, which is then required.
    `username` None is that for sending, with the same password or sign-in; a username of its own has a password of its
    own. `fingerprint` and `ca_file` are those of `SmtpServer`.

    >>> docmail.mailbox.Mailbox("imap.example.com").effective_security
    <Security.TLS: 'tls'>
    """

    host: str
    port: int = _IMAPS
    security: Security | None = None
    username: str | None = None
    fingerprint: str | None = None
    ca_file: str | None = None

    def __post_init__(self) -> None:
        trim(self, "host", "username", "fingerprint", "ca_file")
        for name in ("username", "fingerprint", "ca_file"):
            if getattr(self, name) == "":
                object.__setattr__(self, name, None)
        if isinstance(self.security, str) and self.security.lower() in list(Security):
            object.__setattr__(self, "security", Security(self.security.lower()))

    @property
    def effective_security(self) -> Security:
        """The security in force: as chosen, or as the port implies."""
        return self.security or (Security.TLS if self.port == _IMAPS else Security.STARTTLS)


def usual_mailbox(preset: Preset | None) -> Mailbox | None:
    """Return the mailbox that belongs to an account at this provider; None where that is not known."""
    if preset is None or not preset.imap_host:
        return None
    return Mailbox(preset.imap_host, preset.imap_port, ca_file=preset.imap_ca_file)


def mailbox_from_json(content: Mapping[str, Any] | None) -> Mailbox | None:
    """Return a mailbox as it was saved; raises `TypeError` for what is none."""
    if content is None:
        return None
    mailbox = Mailbox(**content)
    if not all(isinstance(getattr(mailbox, name), hint) for name, hint in get_type_hints(Mailbox).items()):
        raise TypeError(content)
    return mailbox


def mailbox_to_json(mailbox: Mailbox) -> dict[str, Any]:
    """Return what is saved of a mailbox; what it does not say is left out."""
    values = {each.name: getattr(mailbox, each.name) for each in fields(mailbox)}
    return {name: value for name, value in values.items() if value is not None}


def mailbox_problems(mailbox: Mailbox, username_for_sending: str) -> Iterator[Problem]:
    """Yield what is wrong with the fields of a mailbox."""
    missing = _("Give the name of the mailbox's server (IMAP), such as imap.example.com.")
    host, problem = read_host(mailbox.host, Field.MAILBOX_HOST, missing)
    if problem:
        yield problem
    if not is_port(mailbox.port):
        yield Problem(Field.MAILBOX_PORT, _("The port is a number from 1 to 65535; most mailboxes use 993 or 143."))
    security: Any = mailbox.security
    if security is not None and not isinstance(security, Security):
        yield Problem(Field.MAILBOX_SECURITY, _("Choose how the connection is encrypted: TLS, STARTTLS or none."))
    elif security is Security.NONE and host and not is_loopback(host):
        yield Problem(
            Field.MAILBOX_SECURITY, _("A password is never sent unencrypted. Choose STARTTLS or TLS for the mailbox.")
        )
    if problem := text_problem(mailbox.username, Field.MAILBOX_USERNAME, optional=True):
        yield problem
    elif mailbox.username is None and not username_for_sending:
        yield Problem(
            Field.MAILBOX_USERNAME, _("Give the username of the mailbox: there is none for sending that it could use.")
        )
    for problem in trust_problems(mailbox.fingerprint, mailbox.ca_file, host):
        yield Problem(MAILBOX_FIELDS[Field(problem.field)], problem.message)
