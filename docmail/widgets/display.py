"""Tells IPython how docmail's objects are shown; what that needs is loaded when one of them is shown.

What is shown here is stored in the notebook and handed on with it: it names servers and counts, but no addresses.
"""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from docmail.language import _, ngettext
from docmail.outbox import makings, watchers
from docmail.widgets.outbox import bad_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from docmail.diagnosis import Diagnosis
    from docmail.documents import Document
    from docmail.outbox import Added, BatchProgress, Outbox, Preview, Run
    from docmail.reports import Report
    from docmail.sandbox import Inbox, ReceivedMail
    from docmail.settings import Settings
    from docmail.transport import SendResult

    Bundle = dict[str, Any]


_NEWEST = 20


_OURS = (
    ("docmail.documents.document", "Document"),
    ("docmail.reports.report", "Report"),
    ("docmail.outbox.outbox", "Outbox"),
)
_FOREIGN = ("fpdf.fpdf", "FPDF"), ("matplotlib.figure", "Figure")
"""What a document can be made of without a word more, and is shown as one after `%load_ext docmail`."""


def register(shell: Any) -> None:
    """Register the displays with a running IPython; nothing is imported for it."""
    formatter = shell.display_formatter.mimebundle_formatter
    for module, name, show in (
        ("docmail.settings.settings", "Settings", _settings),
        ("docmail.diagnosis.diagnosis", "Diagnosis", _diagnosis),
        ("docmail.transport.base", "SendResult", _send_result),
        ("docmail.outbox.batch", "Added", _added),
        ("docmail.outbox.preview", "Preview", _preview),
        ("docmail.sandbox.inbox", "Inbox", _inbox),
        ("docmail.sandbox.inbox", "ReceivedMail", _received),
    ):
        formatter.for_type_by_name(module, name, show)
    shell.display_formatter.ipython_display_formatter.for_type_by_name("docmail.outbox.run", "Run", _run)
    if getattr(shell, "kernel", None) is not None:
        # A terminal has the words alone.
        shell.display_formatter.ipython_display_formatter.for_type_by_name(
            "docmail.diagnosis.diagnosis", "Diagnosis", _show_diagnosis
        )
    if getattr(shell, "kernel", None) is not None and _show_run not in watchers:
        watchers.append(_show_run)
        makings.append(_show_making)
        bad_rows.register(shell)
    # These put two outputs under the cell; see markup.static.
    for (module, name), shows in zip(_OURS, (_document, _report, _outbox), strict=True):
        shell.display_formatter.ipython_display_formatter.for_type_by_name(module, name, shows)


def register_foreign(shell: Any) -> None:
    """Let FPDF objects and figures appear as documents do, with their Email button."""
    for module, name in _FOREIGN:
        shows = partial(_foreign, shell)
        shell.display_formatter.ipython_display_formatter.for_type_by_name(module, name, shows)


def unregister_foreign(shell: Any) -> None:
    """Leave FPDF objects and figures to themselves again."""
    for module, name in _FOREIGN:
        shell.display_formatter.ipython_display_formatter.pop(f"{module}.{name}", None)


def _document(document: Document) -> None:
    from docmail.widgets.document.view import show_document

    show_document(document)


def _report(report: Report) -> None:
    from docmail.documents import Document

    _document(Document.of(report))


def _outbox(outbox: Outbox) -> None:
    from docmail.widgets.outbox.history_view import show_outbox

    show_outbox(outbox)


def _foreign(shell: Any, source: Any) -> None:
    """Show an FPDF object or a figure as itself, if it has a picture, and what docmail can do with it."""
    from IPython.display import display

    from docmail.documents import Document
    from docmail.errors import DocmailError
    from docmail.widgets.document.view import view_of
    from docmail.widgets.parts import static_fallback

    formatters = shell.display_formatter.formatters
    own = {kind: data for kind in formatters if (data := formatters[kind](source)) is not None}
    pictured = any(kind.startswith("image/") for kind in own)
    try:
        document = Document.of(source)
    except DocmailError as exc:
        # Such as a PDF without a page: it is shown as it would be without docmail, and why it is no document.
        display({**own, "text/html": own.get("text/html", "") + f"<p>{escape(str(exc))}</p>"}, raw=True)
        return
    if pictured:
        display(own, raw=True)
    static_fallback.show(*view_of(document, pictured=not pictured))


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


def _show_diagnosis(diagnosis: Diagnosis) -> None:
    """Show the steps whole to the person in front of the screen, whose own address they name, and keep them without."""
    import ipywidgets
    from IPython.display import display

    from docmail.widgets.parts import static_fallback
    from docmail.widgets.parts.kernel_gone import Lifeline
    from docmail.widgets.parts.painted import Painted

    words, steps = _diagnosis(diagnosis), _steps(diagnosis, str)
    if steps in words["text/html"]:
        display(words, raw=True)  # they name nobody
        return
    painted = Painted(stored=f'<div data-zone="steps">{words["text/html"]}</div>')
    painted.draw(steps=steps)
    static_fallback.show(words, ipywidgets.VBox(Lifeline().around([painted]), _dom_classes=["docmail"]))


def _diagnosis(diagnosis: Diagnosis) -> Bundle:
    from docmail.privacy import without_addresses

    return _bundle(repr(diagnosis), _steps(diagnosis, without_addresses))


def _steps(diagnosis: Diagnosis, told: Callable[[str], str]) -> str:
    from docmail.widgets.parts import markup

    failed = diagnosis.failed
    lines = [
        [
            "✓" if check.ok else "✗",
            markup.phase(check.phase),
            told(check.text if check.ok else f"{check.text} {check.hint}".strip()),
            markup.seconds(check.seconds),
        ]
        for check in diagnosis.checks
    ]
    verdict = _("The test email was sent.") if failed is None else _("The test email was not sent.")
    return f"<b>{escape(verdict)}</b>{_table(lines)}"


def _send_result(result: SendResult) -> Bundle:
    from docmail.widgets.parts import markup

    number, refused = len(result.accepted), len(result.refused)
    sentences = [ngettext("Sent to {number} recipient.", "Sent to {number} recipients.", number).format(number=number)]
    if result.repeated:
        sentences = [_("Sent before; not sent again.")]
    text = f"<SendResult {number} accepted, {refused} refused{', repeated' if result.repeated else ''}>"
    lines = [["✗", _("refused"), markup.without_addresses(str(reply)), ""] for reply in result.refused.values()]
    note = f" {markup.without_addresses(result.note)}" if result.note else ""
    return _bundle(text, f"✓ {escape(' '.join(sentences) + note)}{_table(lines) if lines else ''}")


def _show_run(run: Run) -> bool:
    from docmail.widgets.outbox.run_view import show

    return show(run)


def _show_making(preparation: BatchProgress) -> AbstractContextManager[None]:
    from docmail.widgets.outbox.preparation_view import show

    return show(preparation)


def _run(run: Run) -> None:
    """Show a run, unless its own cell has shown it already when it began."""
    from docmail.widgets.outbox.run_view import show_again

    if run.shown:
        run.shown = False
    else:
        show_again(run)


def _added(added: Added) -> Bundle:
    table = bad_rows.table(added.problems) if added.problems else ""
    return _bundle(repr(added), f"{escape(repr(added))}{table}")


def _preview(preview: Preview) -> Bundle:
    """Show mails whole, addresses included, as a mail of the sandbox: nobody displays them for another reason."""
    from docmail.widgets.parts import markup

    shown = []
    for mail in preview:
        headers = [[name, value] for name, value in mail.headers.items()]
        attached = [f"{name} ({markup.size(size)})" for name, size in mail.attachments]
        if attached:
            headers.append([_("Attached"), ", ".join(attached)])
        text = f'<pre style="white-space: pre-wrap">{escape(mail.text)}</pre>'
        shown.append(f"<div>{_table(headers)}{text}</div>")
    return _bundle(repr(preview), f"<b>{escape(repr(preview))}</b>{''.join(shown)}")


def _inbox(inbox: Inbox) -> Bundle:
    newest = list(inbox)[-_NEWEST:]
    lines = [[mail.subject, *(attachment.name for attachment in mail.attachments)] for mail in newest]
    title = ngettext("Inbox: {number} mail", "Inbox: {number} mails", len(inbox)).format(number=len(inbox))
    return _bundle(repr(inbox), f"<b>{escape(title)}</b>{_table(lines)}")


def _received(mail: ReceivedMail) -> Bundle:
    """Show a mail of the sandbox whole, addresses included: nobody displays one without wanting to read it."""
    from docmail.widgets.parts import markup

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
