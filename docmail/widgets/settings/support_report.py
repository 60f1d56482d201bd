"""What a failed test leaves for somebody else: a report for the administrator, and the same settings in Thunderbird.

The report is made to be handed on: no password, no address, no username; the server's replies are redacted already.
"""

from __future__ import annotations

import platform
import re
import ssl
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from docmail.language import _
from docmail.settings import Mailbox, Security, SmtpServer
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from markupsafe import Markup

    from docmail.diagnosis import Diagnosis
    from docmail.settings import Settings

_HIDDEN = "•••"


def report(diagnosis: Diagnosis, settings: Settings) -> str:
    """Return what an administrator needs to know about a test, as plain text."""
    server: Any = settings.server
    if isinstance(server, SmtpServer):
        where = f"SMTP {settings.account.host}:{server.port}, {server.effective_security.upper()}"
    else:
        where = f"{settings.account.protocol.partition('(')[0].upper()} {settings.account.host}:{settings.account.port}"
    title = _("docmail: report of a test email, {time}")
    if isinstance(server, Mailbox):
        title = _("docmail: report of a test of the mailbox, {time}")
        where = f"IMAP {server.host}:{server.port}, {server.effective_security.upper()}"
    signs_in = _("signs in") if settings.account.username else _("no sign-in")
    openssl = " ".join(ssl.OPENSSL_VERSION.split()[:2])
    lines = [
        title.format(time=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        f"docmail {version('docmail')}, Python {platform.python_version()}, {openssl}, {platform.system()}",
        f"{where}, {signs_in}",
        *(
            f"{_('ok') if check.ok else _('FAILED'):<7}{markup.phase(check.phase):<18}"
            f"{markup.seconds(check.seconds):>8}  {check.text}"
            for check in diagnosis.checks
        ),
    ]
    if (failed := diagnosis.failed) is not None:
        if failed.hint:
            lines.append(_("What docmail advises: {hint}").format(hint=failed.hint))
        if failed.reply is not None and str(failed.reply) not in failed.text:
            lines.append(_("What the server said: {reply}").format(reply=failed.reply))
        if failed.fingerprint and failed.fingerprint not in failed.text:
            lines.append(_("Certificate's SHA-256: {fingerprint}").format(fingerprint=failed.fingerprint))
    return _redacted("\n".join(lines), settings.account.username)


def thunderbird(settings: Settings) -> list[tuple[str, str]]:
    """Return the labels and values of Thunderbird's screen for an outgoing server; empty for HTTP."""
    server = settings.server
    if not isinstance(server, SmtpServer):
        return []
    security = {Security.TLS: "SSL/TLS", Security.STARTTLS: "STARTTLS", Security.NONE: _("None")}
    method = _("Normal password") if server.username else _("No authentication")
    values = [
        (_("Server Name"), server.host),
        (_("Port"), str(server.port)),
        (_("Connection security"), security[server.effective_security]),
        (_("Authentication method"), method),
    ]
    return [*values, (_("User Name"), server.username)] if server.username else values


def section(diagnosis: Diagnosis, settings: Settings) -> Markup:
    """Return both as HTML, folded."""
    text = markup.tag("pre", report(diagnosis, settings), class_="dm-said dm-copied", tabindex=0)
    parts = [
        markup.folded(
            _("Report for your administrator, without addresses and password"),
            markup.copy_button(_("Copy report"), _("Press Ctrl+C to copy")) + text,
        )
    ]
    if rows := thunderbird(settings):
        advice = _(
            "In Thunderbird: Account Settings → Outgoing Server (SMTP) → Add. If it cannot send either, the settings "
            "or the network are at fault; if it can, please report it to docmail."
        )
        parts.append(
            markup.folded(_("Try the same settings in Thunderbird"), markup.paragraph(advice) + markup.facts(rows))
        )
    return markup.tag("div", markup.joined(parts), class_="dm-support-report")


def _redacted(text: str, username: str) -> str:
    """Return a text without addresses, and without the username where it stands alone.

    Within a host it stays: Resend's username is "resend", and smtp.resend.com is what an administrator looks for.
    """
    hidden = markup.without_addresses(text)
    if not username:
        return hidden
    return re.sub(rf"(?<![\w.-]){re.escape(username)}(?![\w-]|\.\w)", _HIDDEN, hidden, flags=re.IGNORECASE)
