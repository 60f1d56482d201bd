"""Which phase, field and hint an error of a connection names: those of the settings that the connection serves.

Both the connection and TLS raise such errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from docmail.errors import Field, Phase
from docmail.language import _
from docmail.settings import MAILBOX_FIELDS


@dataclass(frozen=True)
class Advice:
    """What a person can change; by default the fields of an SMTP server."""

    url: bool = False
    """Whether the settings have the one field `url` for the place."""
    proxied: bool = False
    """Whether an HTTP proxy is on the way."""
    phase: Phase | None = None
    """The phase in the place of the connection's own, for a server that has no field in the settings."""

    mailbox: bool = False
    """Whether the server is that of the mailbox (IMAP)."""

    def of(self, phase: Phase, field: Field | None, hint: str) -> dict[str, Any]:
        """Return phase, field and hint as keywords for an error, of those that would fit an SMTP server."""
        if self.mailbox:
            return {
                "phase": phase,
                "field": MAILBOX_FIELDS.get(field) if field else None,
                "hint": _for(phase, field, hint),
            }
        if self.url and self.proxied and phase is not Phase.TLS:
            field, hint = None, _("Check the variables HTTPS_PROXY and HTTP_PROXY.")
        elif self.url and phase is Phase.CONNECT and field is Field.PORT:
            hint = _("Check the address; if it is right, ask whether a firewall blocks it.")
        elif self.url and field is Field.SECURITY:
            hint = _("Check the server's name and the port in the address.")
        elif self.url and field in {Field.CA_FILE, Field.FINGERPRINT}:
            hint = _("Have the issuer's CA certificate installed on this computer, or set SSL_CERT_FILE to its file.")
        if field and (self.url or self.phase):
            field = None if self.phase else Field.URL
        return {"phase": self.phase or phase, "field": field, "hint": hint}


FOR_SMTP, FOR_URL, FOR_MAILBOX = Advice(), Advice(url=True), Advice(mailbox=True)


def _for(phase: Phase, field: Field | None, hint: str) -> str:
    """Return what to do about a mailbox's server in the place of what would fit an SMTP server."""
    if phase is Phase.CONNECT and field is Field.PORT:
        return _("Check the mailbox's port: 993 with TLS, or 143 with STARTTLS; a firewall may also block it.")
    if phase is Phase.TLS and field is Field.SECURITY:
        return _("Check the mailbox's port: 993 expects TLS at once, 143 STARTTLS.")
    if phase is Phase.TLS and field is Field.PORT:
        return _("docmail cannot show one. Ask for a port of the mailbox at which none is needed, usually 993.")
    if field is Field.FINGERPRINT and phase is Phase.TLS:
        return _("If it is a server of your own, compare the fingerprint, and give it as that of the mailbox.")
    if field is Field.CA_FILE:
        return _("On a company network, give the company's CA file as that of the mailbox.")
    return hint
