"""The mail form: opens below a document, sends it through the saved settings, and says what became of it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail.addresses import parse_addresses, trimmed
from docmail.errors import (
    AuthenticationError,
    ConnectError,
    CredentialError,
    DocmailError,
    MessageError,
    OutcomeUnknown,
    SettingsError,
)
from docmail.home import is_unattended
from docmail.language import _
from docmail.message import Message, draft
from docmail.outbox import earlier_recipients, file_name, sent_before
from docmail.settings import Settings
from docmail.widgets.mail import result as mail_result
from docmail.widgets.mail.attachments import Attachments
from docmail.widgets.mail.preview import MailPreview, fields, filled
from docmail.widgets.mail.template_menu import TemplateMenu
from docmail.widgets.parts import markup
from docmail.widgets.parts.background import Work
from docmail.widgets.parts.controls import Actions, Rule
from docmail.widgets.parts.form_rows import Row, Rows, fold, light, long_text, shared, text
from docmail.widgets.parts.painted import Painted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from docmail.documents import Document
    from docmail.secret import Secret
    from docmail.transport import SendResult

__all__ = ["MailForm", "saved_settings"]

SEND, EML, SETTINGS = "send", "eml", "settings"
SEND_ANYWAY = "send-anyway"
"""The answer to a question. It has a name of its own, so that the second half of a double click on Send is none."""

_FIELDS = ("to", "more", "cc", "bcc", "subject", "body")
_ADDRESSED = ("to", "cc", "bcc")
_TEXTS = ("subject", "body")


class MailForm(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """To, Subject, Body and Send, for some documents. `send_mail()` does what the button does.

    `given` are what a template may use besides the fields of the form.
    """

    def __init__(  # noqa: PLR0913
        self,
        documents: Sequence[Document],
        to: str,
        subject: str,
        body: str,
        *,
        open_settings: Callable[[], None],
        given: Mapping[str, Any] | None = None,
    ) -> None:
        self.document = documents[0]
        self._documents = documents
        self.on_sent: Callable[[], None] = lambda: None
        self._open_settings = open_settings
        self._given = dict(given or {})
        self._confirmed: tuple[object, ...] | None = None
        self._submitted: dict[str, Any] = {}
        self.rows = Rows(self._made(to, subject, body))
        self._sender: Painted = self.rows["from"].control
        self.fields = {name: self.rows[name].control for name in _FIELDS}
        self.templates: TemplateMenu = self.rows["template"].control
        self.attachments: Attachments = self.rows["documents"].control
        self.attachments.changed = self._attached
        self.preview: MailPreview = self.rows["preview"].control
        # Earlier recipients come as messages: an address list has no place in a notebook.
        self.suggestions = Painted(suggests=_ADDRESSED)
        self.suggestions.suggest = self._suggest
        self.actions = Actions(
            [(SEND, _("Send")), (EML, _("Save as .eml"))],
            self._pressed,
            fields=self.fields,
            rules=[Rule("cc-bcc", "more", "is")],
            rows=self.rows,
            primary=SEND,
        )
        self._work = Work(self.actions, self._show_failure)
        self.report = light(ipywidgets.HTML, _dom_classes=["dm-report"])
        super().__init__(
            [*self._arranged(), self.suggestions, self.actions, self.report],
            layout=shared(ipywidgets.Layout),
            _dom_classes=["docmail-form", "docmail-mail"],
        )
        for name, field in self.fields.items():
            field.observe(lambda _change, name=name: self._edited(name), "value")

    def _made(self, to: str, subject: str, body: str) -> list[Row]:
        copies = ("cc-bcc",)
        return [
            Row("from", _sender),
            Row(
                "to",
                text(_("To"), to, placeholder="cfo@example.com"),
                hint=escape(_("several: with ; or , between")),
            ),
            Row("more", fold(_("Cc, Bcc")), style="dm-fold-button"),
            Row("cc", text(_("Cc")), hint=escape(_("everybody sees these recipients")), when=copies),
            Row("bcc", text(_("Bcc")), hint=escape(_("nobody sees these recipients")), when=copies),
            Row("subject", text(_("Subject"), subject)),
            Row("template", partial(TemplateMenu, subject, body, self._apply)),
            Row("body", long_text(_("Body"), body), hint=_markdown_help()),
            Row("preview", MailPreview),
            Row("documents", partial(Attachments, self._documents)),
        ]

    def _arranged(self) -> list[ipywidgets.Widget]:
        """Return the rows in their order, text and preview side by side where there is room."""
        before = [row.control for row in self.rows if row.name not in {"body", "preview", "documents"}]
        text_and_preview = light(
            ipywidgets.HBox, [self.rows["body"].control, self.rows["preview"].control], _dom_classes=["dm-beside"]
        )
        return [*before, text_and_preview, self.rows["documents"].control]

    def send_mail(self) -> SendResult | None:
        """Send with the values as they stand; None if something is in the way, which the form then shows.

        Where nobody sees the form, that is raised.
        """
        results: list[SendResult | None] = []
        anyway = self._asked
        self._work.run(lambda: results.append(self._deliver(self.actions.current(), anyway=anyway)))
        result = results[0] if results else None
        if result is None and is_unattended():
            raise MessageError(
                _("The mail form shows a question or a problem that nobody sees; nothing was sent."),
                hint=_("Call docmail.send(...) in a notebook that runs with nobody there."),
            )
        return result

    def show_sender(self) -> None:
        """Show from whom the mail will come, and what the way it takes means for it."""
        settings = saved_settings()
        who = copy = ""
        if settings is not None:
            with suppress(DocmailError):  # said when something is sent
                who = escape(str(settings.address))
            if settings.copy_to:
                copy = escape(_("a copy goes to {address}").format(address=settings.copy_to))
        self._sender.draw(who=f'{who} <span class="dm-facts">{copy}</span>' if copy else who)
        self.attachments.go_through(settings)
        self._review()

    def __repr__(self) -> str:
        return f"<MailForm {self.document.name}>"

    def _pressed(self, action: str, values: dict[str, Any], _secret: Secret | None) -> None:
        if action == "stop":
            self._work.stop()
        elif action in {SEND, SEND_ANYWAY}:
            self._work.start(lambda: self._deliver(values, anyway=action == SEND_ANYWAY))
        elif action == EML:
            self._work.start(lambda: self._save_as_file(values))
        elif action == SETTINGS:
            self._work.start(self._open_settings)

    # --- the text ---

    def _apply(self, subject: str, body: str) -> None:
        """Put the text of a template into the form."""
        self.fields["subject"].value, self.fields["body"].value = subject, body
        self.rows["subject"].clear_problem()
        self.rows["body"].clear_problem()

    def _filled(self, values: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """Return subject and body with the fields of a template filled in, and what is wrong with which."""
        known = fields(values, self.attachments.documents, saved_settings(), self._given)
        texts, problems = {name: str(values[name]) for name in _TEXTS}, {}
        for name in _TEXTS:
            try:
                texts[name] = filled(texts[name], known, name)
            except MessageError as exc:
                problems[name] = str(exc)
        return texts, problems

    def _review(self) -> None:
        """Show what the recipient will see; a field that a template misses is named beside the text."""
        texts, problems = self._filled({name: field.value for name, field in self.fields.items()})
        hints = {"subject": "", "body": _markdown_help()}
        for name, hint in hints.items():
            self.rows[name].hint = markup.warning(problems[name]) if name in problems else hint
        self.preview.show(texts["subject"], texts["body"])

    def _suggest(self, _name: str, typed: str) -> list[str]:
        settings = saved_settings()
        try:
            return earlier_recipients(typed, settings) if settings else []
        except DocmailError:
            return []  # suggestions are a help; what is wrong is said when something is sent

    # --- sending ---

    def _message(self, values: dict[str, Any]) -> Message | None:
        """Return what is to be sent; None if something is missing, which the form then shows."""
        self._submitted = values
        with self.actions.hold_sync():
            self.rows.clear_problems()
        self.report.value = ""
        problems = {}
        for name in _ADDRESSED:
            try:
                parse_addresses(values[name], name)
            except MessageError as exc:
                problems[name] = str(exc)
        if not trimmed(values["to"]):
            problems["to"] = _("Give an address, such as cfo@example.com.")
        texts, missing = self._filled(values)
        for name, sentence in reversed((problems | missing).items()):  # the first one gets the focus
            self._show_problem(name, sentence)
        if problems or missing:
            return None
        recipients = {name: values[name] for name in _ADDRESSED}
        return Message(**recipients, **texts, documents=list(self.attachments.documents))

    def _deliver(self, values: dict[str, Any], *, anyway: bool) -> SendResult | None:
        if (message := self._message(values)) is None:
            return None
        settings = Settings.load()
        if self._asks_first(message, settings, anyway=anyway):
            return None
        from docmail.outbox import deliver

        self.actions.progress = 0.0
        result = deliver(message, settings=settings, progress=self._progress, hold=self._work.hold)
        self._confirmed = None
        self._offer(_("Send"))
        self.actions.primary = ""
        people = {address.addr_spec for address in (*message.to, *message.cc, *message.bcc)}
        self.report.value = mail_result.result(people, result)
        self._tell_sent()
        return result

    def _tell_sent(self) -> None:
        """Let the document say to whom it went."""
        with suppress(Exception):  # the mail has gone: whatever fails now must not look as if it had not
            self.on_sent()

    def _save_as_file(self, values: dict[str, Any]) -> None:
        """Let the browser save the mail, to be opened in a mail program; nothing is sent or written down."""
        if (message := self._message(values)) is None:
            return
        content = draft(message, Settings.load())
        name = f"{file_name(message.subject) or _('email')}.eml"
        self.actions.download(name, "message/rfc822", content)
        sentence = _("Saved by your browser as {name}; nothing was sent.").format(name=name)
        self.report.value = markup.box("good", markup.good(sentence))

    def _progress(self, sent: int, whole: int) -> None:
        share = sent / whole if whole else 1.0
        # A hundred steps look smooth; each one is a message to the browser.
        if share - self.actions.progress >= 0.01 or share >= 1:  # noqa: PLR2004
            self.actions.progress = share
        if share >= 1:
            self.actions.stoppable = False

    def _asks_first(self, message: Message, settings: Settings, *, anyway: bool) -> bool:
        """Ask whether it is meant; the button that then takes the place of Send is the answer."""
        meant = (message.to, message.cc, message.bcc, message.subject, message.body, message.documents)
        if anyway and self._confirmed == meant:
            return False
        questions = [
            _("{name} is still being uploaded and would be missing.").format(name=name)
            for name in self.attachments.arriving
        ]
        label = _("Send anyway")
        self.attachments.go_through(settings)
        if self.attachments.too_large:
            questions.append(self.attachments.too_large)
        if not message.subject:
            questions.append(_("The subject is empty."))
            label = _("Send without a subject")
        if (earlier := sent_before(message, settings)) is not None:
            questions.append(mail_result.earlier(earlier))
            label = _("Send again")
        if not questions:
            return False
        self._confirmed = meant
        self._offer(label, SEND_ANYWAY)
        self.actions.primary = SEND_ANYWAY
        self.report.value = markup.box(
            "mind",
            markup.paragraph(" ".join(questions)),
            markup.paragraph(_("If you mean it, press “{button}”.").format(button=label)),
        )
        return True

    @property
    def _asked(self) -> bool:
        """Whether a question waits for its answer."""
        return bool(self.actions.actions[0][0] == SEND_ANYWAY)

    def _offer(self, label: str, action: str = SEND, *, settings: bool = False) -> None:
        more = [[SETTINGS, _("Email settings")]] if settings else []
        self.actions.actions = [[action, label], [EML, _("Save as .eml")], *more]

    def _show_problem(self, name: str, sentence: str) -> None:
        self.rows[name].show_problem(sentence)
        if name in {"cc", "bcc"}:
            self.fields["more"].value = True
        self.actions.focus_on(name)

    def _show_failure(self, exc: Exception) -> None:
        if isinstance(exc, MessageError) and exc.field and exc.field in self.rows:
            self._show_problem(exc.field, str(exc))
            return
        if self._work.stopped and isinstance(exc, ConnectError):
            self.report.value = markup.box("mind", markup.paragraph(_("Stopped. Nothing was sent.")))
            return
        if isinstance(exc, OutcomeUnknown):
            self.actions.primary = ""
            self._tell_sent()
        wants_settings = isinstance(exc, (SettingsError, CredentialError, AuthenticationError))
        self._offer(_("Send"), settings=wants_settings or bool(isinstance(exc, DocmailError) and exc.field))
        self.report.value = markup.failure(exc)

    def _edited(self, name: str) -> None:
        if name in {"to", "subject", "body"}:
            self._review()
        # While a cell runs, the change that preceded a press may arrive after it; it is then not a new one.
        if self.fields[name].value == self._submitted.get(name):
            return
        self.rows[name].clear_problem()
        self._take_question_back()

    def _attached(self) -> None:
        self._review()
        self._take_question_back()

    def _take_question_back(self) -> None:
        if self.actions.busy:
            return
        if self._asked:  # about another mail than the one that now stands here
            self._confirmed = None
            self._offer(_("Send"))
            self.report.value = ""
        self.actions.primary = SEND


def saved_settings() -> Settings | None:
    """Return the settings that mail goes through; None if none are saved."""
    try:
        return Settings.load()
    except SettingsError:
        return None


def _sender(_dom_classes: Sequence[str]) -> Painted:
    """Return the row that says from whom it comes: no state, because notebooks are handed on."""
    label = f'<span class="widget-label">{escape(_("From"))}</span>'
    return Painted(stored=f'{label}<div class="dm-from" data-zone="who"></div>', _dom_classes=_dom_classes)


def _markdown_help() -> str:
    return escape(_("Markdown: **bold**, lists, [links](https://…)"))
