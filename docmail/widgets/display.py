"""Registers with IPython how docmail's objects are shown; what that needs is loaded when one of them is shown.

What is shown here is stored in the notebook and handed on with it: it names servers and counts, but no addresses.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from docmail.errors import Phase
from docmail.language import _, ngettext
from docmail.outbox import observers
from docmail.widgets.outbox import bad_rows
from docmail.widgets.parts import markup
from docmail.widgets.parts.markup import joined, paragraph, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from markupsafe import Markup

    from docmail.diagnosis import Diagnosis, DomainReport
    from docmail.documents import Document
    from docmail.outbox import Added, BatchProgress, Outbox, Preview, Run
    from docmail.reports import Report
    from docmail.sandbox import Inbox, ReceivedMail
    from docmail.settings import Settings
    from docmail.transport import SendResult

    Bundle = dict[str, Any]


_OURS = (
    ("docmail.documents.document", "Document"),
    ("docmail.reports.report", "Report"),
    ("docmail.outbox.outbox", "Outbox"),
)
_FOREIGN = ("fpdf.fpdf", "FPDF"), ("matplotlib.figure", "Figure")
"""What a document can be made of without a word more, and is shown as one after `%load_ext docmail`."""
_FRAMES = (
    *(("pandas", "DataFrame"), ("pandas", "Series")),  # as pandas 3 names them
    *(("pandas.core.frame", "DataFrame"), ("pandas.core.series", "Series")),
    *(("polars.dataframe.frame", "DataFrame"), ("polars.series.series", "Series")),
)
"""What keeps its own look after `%load_ext docmail`, and has an Email button below it."""


def register(shell: Any) -> None:
    """Register the displays with a running IPython; nothing is imported for it."""
    formatter = shell.display_formatter.mimebundle_formatter
    for module, name, show in (
        ("docmail.settings.settings", "Settings", _settings),
        ("docmail.diagnosis.checks", "Diagnosis", _diagnosis),
        ("docmail.transport.base", "SendResult", _send_result),
        ("docmail.outbox.batch", "Added", _added),
        ("docmail.outbox.preview", "Preview", _preview),
        ("docmail.sandbox.inbox", "Inbox", _inbox),
        ("docmail.sandbox.inbox", "ReceivedMail", _received),
    ):
        formatter.for_type_by_name(module, name, show)
    shell.display_formatter.ipython_display_formatter.for_type_by_name("docmail.outbox.run", "Run", _run)
    if getattr(shell, "kernel", None) is not None:
        # A terminal shows the text alone.
        for module, name, shows in (
            ("docmail.diagnosis.checks", "Diagnosis", _show_diagnosis),
            ("docmail.outbox.preview", "Preview", _show_preview),
            ("docmail.sandbox.inbox", "Inbox", _show_inbox),
            ("docmail.sandbox.inbox", "ReceivedMail", _show_received),
        ):
            shell.display_formatter.ipython_display_formatter.for_type_by_name(module, name, shows)
    if getattr(shell, "kernel", None) is not None and _show_run not in observers.runs:
        observers.runs.append(_show_run)
        observers.preparations.append(_show_preparation)
        bad_rows.register(shell)
    # These put two outputs under the cell; see markup.static.
    for (module, name), shows_whole in zip(_OURS, (_document, _report, _outbox), strict=True):
        shell.display_formatter.ipython_display_formatter.for_type_by_name(module, name, shows_whole)


def register_foreign(shell: Any) -> None:
    """Let FPDF objects and figures appear as documents do, and tables as themselves, each with an Email button."""
    formatter = shell.display_formatter.ipython_display_formatter
    for module, name in _FOREIGN:
        formatter.for_type_by_name(module, name, partial(_foreign, shell))
    if getattr(shell, "kernel", None) is not None:  # a terminal has no buttons
        for module, name in _FRAMES:
            formatter.for_type_by_name(module, name, partial(_frame, shell))


def unregister_foreign(shell: Any) -> None:
    """Leave FPDF objects, figures and tables to themselves again."""
    for module, name in (*_FOREIGN, *_FRAMES):
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
        display({**own, "text/html": own.get("text/html", "") + str(paragraph(str(exc)))}, raw=True)
        return
    if pictured:
        display(own, raw=True)
    static_fallback.show(*view_of(document, pictured=not pictured))


def _frame(shell: Any, frame: Any) -> None:
    """Show a table as without docmail, whoever draws it then, and an Email button below it."""
    from IPython.display import display

    from docmail.home import is_unattended

    if callable(own := getattr(type(frame), "_ipython_display_", None)):
        own(frame)
    else:
        formatter = shell.display_formatter
        formatter.ipython_display_formatter.enabled = False  # which would lead here again
        try:
            data, metadata = formatter.format(frame)
        finally:
            formatter.ipython_display_formatter.enabled = True
        display(data, metadata=metadata, raw=True)
    try:
        if is_unattended():
            return  # nobody presses it
        from docmail.widgets.document.email_button import EmailButton
        from docmail.widgets.mail.notebook_tables import Table
        from docmail.widgets.parts import static_fallback

        # Nothing is made of the table before the button is pressed; a notebook without a kernel shows nothing of it.
        static_fallback.show({"text/html": markup.NOTHING, "text/plain": ""}, EmailButton(Table.shown(frame)))
    except Exception as exc:  # noqa: BLE001 - IPython would show the table a second time
        display({"text/plain": str(exc), "text/html": paragraph(str(exc))}, raw=True)


def _settings(settings: Settings) -> Bundle:
    from docmail.settings import HttpServer

    server = settings.server
    if isinstance(server, HttpServer):
        where = f"HTTP, {settings.account.host}"
    else:
        where = f"SMTP, {settings.account.host}:{server.port}, {server.effective_security.upper()}"
    number = len(settings.problems())
    state = ngettext("{number} problem", "{number} problems", number).format(number=number) if number else _("complete")
    return _bundle(f"<Settings {where}, {state}>", _titled(_("Email settings")) + f" {where} · {state}")


def _show_diagnosis(diagnosis: Diagnosis) -> None:
    """Show the steps whole to the person in front of the screen, whose own address they name, and keep them without."""
    import ipywidgets
    from IPython.display import display

    from docmail.widgets.parts import static_fallback
    from docmail.widgets.parts.kernel_gone import Lifeline
    from docmail.widgets.parts.painted import Painted

    fallback, steps = _diagnosis(diagnosis), _steps(diagnosis, str)
    if steps in fallback["text/html"]:
        display(fallback, raw=True)  # they name nobody
        return
    painted = Painted(stored=tag("div", fallback["text/html"], data_zone="steps"))
    painted.draw(steps=steps)
    static_fallback.show(fallback, ipywidgets.VBox(Lifeline().around([painted]), _dom_classes=["docmail"]))


def _diagnosis(diagnosis: Diagnosis) -> Bundle:
    from docmail.privacy import without_addresses

    return _bundle(repr(diagnosis), _steps(diagnosis, without_addresses))


def _steps(diagnosis: Diagnosis, shown: Callable[[str], str]) -> Markup:
    failed = diagnosis.failed
    lines = [
        [
            "✓" if check.ok else "✗",
            markup.phase(check.phase),
            shown(check.text if check.ok else f"{check.text} {check.hint}".strip()),
            markup.seconds(check.seconds).replace(" ", "\N{NO-BREAK SPACE}"),  # a narrow window would break it
        ]
        for check in diagnosis.checks
    ]
    if any(check.phase == Phase.FOLDERS or (check.field or "").startswith("mailbox_") for check in diagnosis.checks):
        outcome = _("The mailbox was opened.") if failed is None else _("The mailbox was not opened.")
    else:
        outcome = _("The test email was sent.") if failed is None else _("The test email was not sent.")
    return _titled(outcome) + _table(lines) + _domain(diagnosis.domain, shown)


def _domain(report: DomainReport | None, shown: Callable[[str], str]) -> Markup:
    """Return what the DNS of the sender's domain says, below the steps."""
    if report is None:
        return markup.NOTHING
    signs = {"good": "✓", "advice": "⚠", "unknown": "?"}
    lines = [
        [signs[check.standing], _("domain") if check.subject == "domain" else check.subject, shown(check.text)]
        for check in report.checks
    ]
    return markup.paragraph(
        _("What the domain's DNS says about its mails; it changes nothing about the test:")
    ) + _table(lines)


def _send_result(result: SendResult) -> Bundle:
    number, refused = len(result.accepted), len(result.refused)
    sentences = [ngettext("Sent to {number} recipient.", "Sent to {number} recipients.", number).format(number=number)]
    if result.repeated:
        sentences = [_("Sent before; not sent again.")]
    text = f"<SendResult {number} accepted, {refused} refused{', repeated' if result.repeated else ''}>"
    lines = [["✗", _("refused"), markup.without_addresses(str(reply)), ""] for reply in result.refused.values()]
    lines += [["↩", _("bounced"), markup.without_addresses(str(reply)), ""] for reply in result.bounced.values()]
    if result.note:
        sentences.append(markup.without_addresses(result.note))
    return _bundle(text, markup.joined([f"✓ {' '.join(sentences)}", _table(lines) if lines else ""]))


def _show_run(run: Run) -> bool:
    from docmail.widgets.outbox.run_view import show

    return show(run)


def _show_preparation(preparation: BatchProgress) -> AbstractContextManager[None]:
    from docmail.widgets.outbox.preparation_view import show

    return show(preparation)


def _run(run: Run) -> None:
    from docmail.widgets.outbox.run_view import show_again

    show_again(run)


def _added(added: Added) -> Bundle:
    batch, left_out, skipped = markup.without_addresses(added.batch), added.left_out, len(added.problems)
    said = [
        ngettext(
            "{number} email was added to “{batch}”.", "{number} emails were added to “{batch}”.", added.added
        ).format(number=f"{added.added:,}", batch=batch)
    ]
    if added.known:
        sentence = ngettext("{number} was there already.", "{number} were there already.", added.known)
        said.append(sentence.format(number=f"{added.known:,}"))
    if left_out:
        sentence = ngettext("{number} empty row was left out.", "{number} empty rows were left out.", left_out)
        said.append(sentence.format(number=f"{left_out:,}"))
    if skipped:
        sentence = ngettext("{number} row was skipped:", "{number} rows were skipped:", skipped)
        said.append(sentence.format(number=f"{skipped:,}"))
    tables = [bad_rows.table(rows) for rows in (added.problems, added.notes) if rows]
    return _bundle(repr(added), joined([paragraph(" ".join(said)), *tables]))


def _preview(preview: Preview) -> Bundle:
    from docmail.widgets.outbox.preview_view import preview_without_kernel

    return preview_without_kernel(preview)


def _show_preview(preview: Preview) -> None:
    from docmail.widgets.outbox.preview_view import show_preview

    show_preview(preview)


def _inbox(inbox: Inbox) -> Bundle:
    from docmail.widgets.mail.inbox_view import inbox_without_kernel

    return inbox_without_kernel(inbox)


def _show_inbox(inbox: Inbox) -> None:
    from docmail.widgets.mail.inbox_view import show_inbox

    show_inbox(inbox)


def _received(mail: ReceivedMail) -> Bundle:
    from docmail.widgets.mail.inbox_view import mail_without_kernel

    return mail_without_kernel(mail)


def _show_received(mail: ReceivedMail) -> None:
    from docmail.widgets.mail.inbox_view import show_received

    show_received(mail)


def _bundle(text: str, html: str) -> Bundle:
    return {"text/plain": text, "text/html": tag("div", html)}


def _titled(title: str) -> Markup:
    return tag("b", title)


def _table(lines: Iterable[Iterable[str]]) -> Markup:
    return markup.table(lines, style="text-align: left")
