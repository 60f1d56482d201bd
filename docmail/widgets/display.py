"""Tells IPython how docmail's objects are shown; what that needs is loaded when one of them is shown.

What is shown here is stored in the notebook and handed on with it: it names servers and counts, but no addresses.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Any

from docmail.translation import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docmail.diagnosis import Diagnosis
    from docmail.documents import Document
    from docmail.outbox import Outbox
    from docmail.sandbox.inbox import Inbox, ReceivedMail
    from docmail.settings import Settings
    from docmail.transport import SendResult

    Bundle = dict[str, Any]


_NEWEST = 20


def register(shell: Any) -> None:
    """Register the displays with a running IPython; nothing is imported for it."""
    formatter = shell.display_formatter.mimebundle_formatter
    for module, name, show in (
        ("docmail.documents", "Document", _document),
        ("docmail.settings", "Settings", _settings),
        ("docmail.diagnosis", "Diagnosis", _diagnosis),
        ("docmail.transport.base", "SendResult", _send_result),
        ("docmail.outbox", "Outbox", _outbox),
        ("docmail.sandbox.inbox", "Inbox", _inbox),
        ("docmail.sandbox.inbox", "ReceivedMail", _received),
    ):
        formatter.for_type_by_name(module, name, show)


def _document(document: Document) -> Bundle:
    from docmail.widgets.document_view import document_mimebundle

    return document_mimebundle(document)


def _settings(settings: Settings) -> Bundle:
    from docmail.settings import HttpServer

    server = settings.server
    if isinstance(server, HttpServer):
        where = f"HTTP, {settings.account.host}"
    else:
        where = f"SMTP, {settings.account.host}:{server.port}, {server.effective_security.upper()}"
    number = len(settings.problems())
    state = ngettext("{number} problem", "{number} problems", number).format(number=number) if number else _("complete")
    return _bundle(
        f"<Settings {where}, {state}>", f"<b>{escape(_('Email settings'))}</b> {escape(f'{where} · {state}')}"
    )


def _diagnosis(diagnosis: Diagnosis) -> Bundle:
    from docmail.widgets import markup

    failed = diagnosis.failed
    lines = [
        [
            "✓" if check.ok else "✗",
            markup.phase(check.phase),
            markup.without_addresses(check.text if check.ok else f"{check.text} {check.hint}".strip()),
            markup.seconds(check.seconds),
        ]
        for check in diagnosis.checks
    ]
    verdict = _("The test email was sent.") if failed is None else _("The test email was not sent.")
    return _bundle(repr(diagnosis), f"<b>{escape(verdict)}</b>{_table(lines)}")


def _send_result(result: SendResult) -> Bundle:
    from docmail.widgets import markup

    number, refused = len(result.accepted), len(result.refused)
    sentences = [ngettext("Sent to {number} recipient.", "Sent to {number} recipients.", number).format(number=number)]
    if result.repeated:
        sentences = [_("Sent before; not sent again.")]
    text = f"<SendResult {number} accepted, {refused} refused{', repeated' if result.repeated else ''}>"
    lines = [["✗", _("refused"), markup.without_addresses(str(reply)), ""] for reply in result.refused.values()]
    note = f" {markup.without_addresses(result.note)}" if result.note else ""
    return _bundle(text, f"✓ {escape(' '.join(sentences) + note)}{_table(lines) if lines else ''}")


def _outbox(outbox: Outbox) -> Bundle:
    counts = Counter(row.state for row in outbox)
    words = {
        "queued": _("waiting"),
        "sending": _("being sent"),
        "sent": _("sent"),
        "refused": _("refused"),
        "failed": _("not sent"),
        "unknown": _("unknown"),
    }
    listed = " · ".join(f"{counts[state]} {word}" for state, word in words.items() if counts[state])
    return _bundle(repr(outbox), f"<b>{escape(_('Outbox'))}</b> {escape(listed or _('empty'))}")


def _inbox(inbox: Inbox) -> Bundle:
    newest = list(inbox)[-_NEWEST:]
    lines = [[mail.subject, *(attachment.name for attachment in mail.attachments)] for mail in newest]
    title = ngettext("Inbox: {number} mail", "Inbox: {number} mails", len(inbox)).format(number=len(inbox))
    return _bundle(repr(inbox), f"<b>{escape(title)}</b>{_table(lines)}")


def _received(mail: ReceivedMail) -> Bundle:
    """Show a mail of the sandbox whole, addresses included: nobody displays one without wanting to read it."""
    from docmail.widgets import markup

    headers = [[name, str(mail[name])] for name in ("From", "To", "Cc", "Reply-To") if mail[name]]
    attached = [f"{attachment.name} ({markup.size(attachment.size)})" for attachment in mail.attachments]
    if attached:
        headers.append([_("Attached"), ", ".join(attached)])
    text = f'<pre style="white-space: pre-wrap">{escape(mail.text)}</pre>'
    return _bundle(repr(mail), f"<b>{escape(mail.subject)}</b>{_table(headers)}{text}")


def _bundle(text: str, html: str) -> Bundle:
    return {"text/plain": text, "text/html": f"<div>{html}</div>"}


def _table(lines: Iterable[Iterable[str]]) -> str:
    rows = ("".join(f'<td style="text-align: left">{escape(cell)}</td>' for cell in line) for line in lines)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
