"""The mail form: opens below a document, sends it through the saved settings, and says what became of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets
from markupsafe import Markup

from docmail.errors import (
    AuthenticationError,
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
from docmail.widgets.mail import beginning
from docmail.widgets.mail import result as mail_result
from docmail.widgets.mail.attachments import Attachments
from docmail.widgets.mail.notebook_tables import Table
from docmail.widgets.mail.preview import MailPreview, fields, filled
from docmail.widgets.mail.recipients import read
from docmail.widgets.mail.template_menu import TemplateMenu
from docmail.widgets.parts import markup
from docmail.widgets.parts.background import Work
from docmail.widgets.parts.controls import Actions, Rule
from docmail.widgets.parts.form_rows import Html, Row, Rows, addresses, box, fold, light, long_text, shared, text
from docmail.widgets.parts.painted import Painted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from docmail.documents import Document
    from docmail.mailbox import OpenMailbox
    from docmail.secret import Secret
    from docmail.transport import SendResult, Transport
    from docmail.widgets.mail.notebook_row import NotebookRow
    from docmail.widgets.mail.open_notebook import OpenNotebook

__all__ = ["MailForm", "saved_settings"]

SEND, EML, DRAFTS, SETTINGS = "send", "eml", "drafts", "settings"
SEND_ANYWAY = "send-anyway"
"""What is pressed after a question; by its own name, the second half of a double click on Send is not taken for it."""

_FIELDS = ("copy", "to", "more", "cc", "bcc", "subject", "body")
_ADDRESSED = ("to", "cc", "bcc")
_TEXTS = ("subject", "body")
_MOST_LINES = 6  # of a field for addresses; more are scrolled


class MailForm(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """To, Subject, Body and Send, for some documents. `send_mail()` does what the button does.

    Without subject and body it begins with the title of the first document, and with the text for its kind. `given` are
    what a template may use besides the fields of the form. `notebook` makes the row of the notebook that is sent.
    """

    def __init__(  # noqa: PLR0913
        self,
        documents: Sequence[Document | Table],
        to: str,
        subject: str,
        body: str,
        *,
        open_settings: Callable[[], None],
        given: Mapping[str, Any] | None = None,
        notebook: Callable[..., NotebookRow] | None = None,
    ) -> None:
        self._notebook_row = Row("notebook", notebook) if notebook is not None else None
        self.notebook: NotebookRow | None = self._notebook_row.control if self._notebook_row else None
        self.document: Document | Table | OpenNotebook = self.notebook.notebook if self.notebook else documents[0]
        self._documents = documents
        self.on_sent: Callable[[], None] = lambda: None
        self._open_settings = open_settings
        self._given = dict(given or {})
        self._confirmed: tuple[object, ...] | None = None
        self._perhaps_saved: tuple[object, ...] | None = None
        self._submitted: dict[str, Any] = {}
        begun = beginning.Beginning(subject, body) if subject or body else self._beginning()
        self.rows = Rows(*self._made(to, begun))
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
            [(action, label) for action, label in _actions(_("Send"), SEND)],
            self._pressed,
            fields=self.fields,
            rules=[Rule("cc-bcc", "more", "is")],
            rows=self.rows,
            primary=SEND,
        )
        self.actions.on_left = self._left
        self._work = Work(self.actions, self._show_failure)
        self.attachments.run = self._work.start
        self._work.on_idle = self._make_tables
        self.report = light(Html, _dom_classes=["dm-report"])
        outcome = light(ipywidgets.HBox, [self.actions, self.report], _dom_classes=["dm-outcome"])
        super().__init__(
            [*self._arranged(), self.suggestions, outcome],
            layout=shared(ipywidgets.Layout),
            _dom_classes=["docmail-form", "docmail-mail"],
        )
        for name, field in self.fields.items():
            field.observe(lambda _change, name=name: self._edited(name), "value")
        if self.notebook is not None:
            self.notebook.changed, self.notebook.run = self._attached, self._work.start
        self._make_tables()

    def _make_tables(self) -> None:
        """Make the files of tables, unless something else is being done; then they come after it."""
        if self.attachments.unmade:
            self._work.start(self.attachments.make_tables)
        elif self.notebook is not None and self.notebook.unread:
            self._work.start(self.notebook.read)

    def _beginning(self) -> beginning.Beginning:
        if self.notebook is not None:
            return beginning.Beginning(self.notebook.notebook.title)
        first = self._documents[0]
        return beginning.of(first.name, first.title if isinstance(first, Table) else beginning.title_of(first))

    def _made(self, to: str, begun: beginning.Beginning) -> list[Row]:
        menu = partial(
            TemplateMenu, begun.subject, begun.body, self._apply, begun.template, in_subject=self._in_subject
        )
        return [
            Row("from", _sender),
            Row("copy", box(_("send me a copy"))),
            Row("to", addresses(_("To"), to, placeholder="cfo@example.com"), hint=_several(), style="dm-addresses"),
            Row("more", fold(_("Cc, Bcc")), style="dm-fold-button"),
            Row("cc", addresses(_("Cc")), hint=_everybody(), when="cc-bcc", style="dm-addresses"),
            Row("bcc", addresses(_("Bcc")), hint=_nobody(), when="cc-bcc", style="dm-addresses"),
            Row("subject", text(_("Subject"), begun.subject)),
            Row("template", menu),
            Row("body", long_text(_("Body"), begun.body), hint=_markdown_help()),
            *([self._notebook_row] if self._notebook_row else []),
            Row("preview", MailPreview),
            Row("documents", partial(Attachments, self._documents)),
        ]

    def _arranged(self) -> list[ipywidgets.Widget]:
        """Return the rows in their order; side by side, where there is room, sender and copy, text and preview."""
        apart = {"from", "copy", "notebook", "body", "preview", "documents"}
        sender = light(
            ipywidgets.HBox, [self.rows["from"].control, self.rows["copy"].control], _dom_classes=["dm-sender"]
        )
        before = [sender, *(row.control for row in self.rows.values() if row.name not in apart)]
        text_and_preview = light(
            ipywidgets.HBox, [self.rows["body"].control, self.rows["preview"].control], _dom_classes=["dm-beside"]
        )
        if self._notebook_row is not None:
            before.append(self._notebook_row.control)
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
                _(
                    "The mail form asks a question or shows a problem, but nobody watches this "
                    "notebook; nothing was sent."
                ),
                hint=_("Call docmail.send(...) in a notebook that runs by itself."),
            )
        return result

    def show_sender(self) -> None:
        """Show from whom the mail will come, and what the way it takes means for it."""
        settings = saved_settings()
        who = copy = ""
        if settings is not None:
            with suppress(DocmailError):  # said when something is sent
                who = str(settings.address)
            if settings.copy_to:
                copy = _("a copy goes to {address}").format(address=settings.copy_to)
        self._sender.draw(who=Markup("{} {}").format(who, markup.aside(copy)) if copy else who)
        self.attachments.go_through(settings)
        self._offer(*reversed(self.actions.actions[0]))  # a mailbox may have been set since
        self._review()

    def __repr__(self) -> str:
        return f"<MailForm {self.document.name}>"

    def _pressed(self, action: str, values: dict[str, Any], _secret: Secret | None) -> None:
        if action in {SEND, SEND_ANYWAY}:
            self._work.start(lambda: self._deliver(values, anyway=action == SEND_ANYWAY))
        elif action == EML:
            self._work.start(lambda: self._save_as_file(values))
        elif action == DRAFTS:
            self._work.start(lambda: self._save_to_drafts(values))
        elif action == SETTINGS:
            self._work.start(self._open_settings)

    # --- the text ---

    def _apply(self, subject: str, body: str) -> None:
        """Put the text of a template into the form."""
        self.fields["subject"].value, self.fields["body"].value = subject, body
        self.rows["subject"].clear_problem()
        self.rows["body"].clear_problem()

    def _in_subject(self, subject: str) -> str:
        """Return the subject of a template to begin with as it is sent."""
        try:
            return filled(subject, self._known(self.actions.current()), "subject")
        except MessageError:
            return subject  # what is missing is named beside the field

    def _known(self, values: Mapping[str, Any]) -> dict[str, Any]:
        sent = None if self.notebook is None else self.notebook.notebook
        own = {} if sent is None else {"document": sent.title, "file": sent.name}
        return fields(values, self.attachments.documents, saved_settings(), own | self._given)

    def _filled(self, values: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """Return subject and body with the fields of a template filled in, and what is wrong with which."""
        known = self._known(values)
        self.templates.show_fields(known)
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
        hints: dict[str, str] = {"subject": "", "body": _markdown_help()}
        for name, hint in hints.items():
            self.rows[name].hint = markup.warning(problems[name]) if name in problems else hint
        body = texts["body"] if self.notebook is None else self.notebook.body(texts["body"])
        self.preview.show(texts["subject"], body, saved_settings())

    def _suggest(self, _name: str, typed: str) -> list[str]:
        settings = saved_settings()
        try:
            return earlier_recipients(typed, settings) if settings else []
        except DocmailError:
            return []  # suggestions are a help; what is wrong is said when something is sent

    # --- the recipients ---

    def _left(self, name: str, values: dict[str, Any]) -> None:
        """Judge the addresses of a field that a person has left, and put them in lines."""
        if name not in _ADDRESSED or self.actions.busy:
            return
        found = read(values[name], name)
        pasted = set(values[name].strip()) & set("\n\r\t")  # perhaps with the head of a column, or other cells of a row
        if pasted or len(found.addresses) + len(found.problems) > 1 or found.text.startswith('"'):
            self._put(name, values[name], found.text)
        row = self.rows[name]
        row.hint = found.found or _hints()[name]
        if found.problem:
            row.show_problem(found.problem)

    def _put(self, name: str, typed: str, text: str) -> None:
        """Let the addresses stand in lines, unless something else has been typed since."""
        if self.fields[name].value == typed and text != typed:
            self._submitted.pop(name, None)
            self.fields[name].value = text

    # --- sending ---

    def _message(self, values: dict[str, Any]) -> Message | None:
        """Return what is to be sent; None if something is missing, which the form then shows."""
        self._submitted = values
        with self.actions.hold_sync():
            self.rows.clear_problems()
        self.report.value = ""
        found = {name: read(values[name], name) for name in _ADDRESSED}
        problems: dict[str, str] = {name: each.problem for name, each in found.items() if each.problem}
        if not (found["to"].addresses or found["to"].problems):
            problems["to"] = _("Give an address, such as cfo@example.com.")
        texts, missing = self._filled(values)
        for name, sentence in reversed((problems | missing).items()):  # the first one gets the focus
            self._show_problem(name, sentence)
        if problems or missing:
            return None
        to, cc, bcc = (found[name].addresses for name in _ADDRESSED)
        body: Any = texts["body"]
        documents = self.attachments.documents
        if self.notebook is not None:
            if self.notebook.read():
                self.actions.focus_on("notebook")
                return None
            body, documents = self.notebook.body(body), [*self.notebook.documents, *documents]
        return Message(to, texts["subject"], body, documents, cc, bcc)

    def _deliver(self, values: dict[str, Any], *, anyway: bool) -> SendResult | None:
        if (message := self._message(values)) is None:
            return None
        settings = Settings.load()
        if self._asks_first(message, settings, anyway=anyway):
            return None
        people = {address.addr_spec for address in (*message.to, *message.cc, *message.bcc)}
        from docmail.outbox import deliver

        if values["copy"]:
            message, settings = _with_copy(message, settings)
        self.actions.progress = 0.0
        result = deliver(message, settings=settings, progress=self.actions.show_share, hold=self._work.hold)
        self._confirmed = None
        self._offer(_("Send"))
        self.actions.primary = ""
        self.report.value = mail_result.result(people, result)
        self._notify_sent()
        return result

    def _notify_sent(self) -> None:
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

    def _save_to_drafts(self, values: dict[str, Any]) -> None:
        """Save the mail in the drafts folder of the mailbox; nothing is sent or written down."""
        if (message := self._message(values)) is None:
            return
        settings = Settings.load()
        if values["copy"]:
            message, settings = _with_copy(message, settings)
        from docmail.outbox import save_draft

        meant = _meant(message)
        again, self._perhaps_saved = self._perhaps_saved == meant, None
        try:
            said = save_draft(message, settings, hold=lambda way: self._work.hold(_Uploading(way)), again=again)
        except OutcomeUnknown as exc:  # nothing was sent, so it is no doubt about a mail
            self._ask_to_look(meant, exc.message, exc.hint)
            return
        if said.unknown:
            place = _("Look into the Drafts folder of {mailbox} before you save it again.")
            self._ask_to_look(
                meant,
                _("It may have been saved at an earlier attempt, which was not confirmed."),
                place.format(mailbox=settings.account.username),
            )
            return
        self.report.value = markup.box("good", markup.good(str(said)))

    def _ask_to_look(self, meant: tuple[Any, ...], *sentences: str) -> None:
        """Say that a draft may be there; the next press saves it whatever is there."""
        self._perhaps_saved = meant
        advice = _("If it is not there, press “{button}” once more.").format(button=_("Save to Drafts"))
        self.report.value = markup.box("mind", markup.paragraph(" ".join(sentences)), markup.paragraph(advice))

    def _asks_first(self, message: Message, settings: Settings, *, anyway: bool) -> bool:
        """Ask whether it is meant; the button that then takes the place of Send says yes."""
        meant = _meant(message)
        if anyway and self._confirmed == meant:
            return False
        questions = [
            _("{name} is still being uploaded and would be missing.").format(name=name)
            for name in self.attachments.arriving
        ]
        questions += [
            _("{name} is not made yet and would be missing.").format(name=name) for name in self.attachments.missing
        ]
        if self.notebook is not None and (unsaved := self.notebook.notebook.not_saved()):
            questions.append(unsaved)
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
        """Whether a question is open."""
        return bool(self.actions.actions[0][0] == SEND_ANYWAY)

    def _offer(self, label: str, action: str = SEND, *, settings: bool = False) -> None:
        more = [[SETTINGS, _("Email settings")]] if settings else []
        offered = [*_actions(label, action), *more]
        if self.actions.actions != offered:
            self.actions.actions = offered

    def _show_problem(self, name: str, sentence: str) -> None:
        self.rows[name].show_problem(sentence)
        if name in {"cc", "bcc"}:
            self.fields["more"].value = True
        self.actions.focus_on(name)

    def _show_failure(self, exc: Exception) -> None:
        if isinstance(exc, MessageError) and exc.field and exc.field in self.rows:
            self._show_problem(exc.field, str(exc))
            return
        if isinstance(exc, OutcomeUnknown):
            self.actions.primary = ""
            self._notify_sent()
        wants_settings = isinstance(exc, (SettingsError, CredentialError, AuthenticationError))
        self._offer(_("Send"), settings=wants_settings or bool(isinstance(exc, DocmailError) and exc.field))
        self.report.value = self._work.failure(exc)

    def _edited(self, name: str) -> None:
        if name in {"to", "subject", "body"}:
            self._review()
        if name in _ADDRESSED:
            self.fields[name].rows = min(max(self.fields[name].value.count("\n") + 1, 1), _MOST_LINES)
            self.rows[name].hint = _hints()[name]
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


@dataclass(frozen=True)
class _Uploading:
    """The way by which a draft goes into a mailbox, as Stop takes it: whatever happens, nothing was sent."""

    way: OpenMailbox | Transport
    in_doubt = False

    def abort(self) -> None:
        self.way.abort()


def _meant(message: Message) -> tuple[Any, ...]:
    """Return what makes one mail another one than that about which was asked."""
    return message.to, message.cc, message.bcc, message.subject, message.body, message.documents


def _actions(label: str, action: str) -> list[list[str]]:
    """Return the buttons: the first one, and what can be done instead of sending."""
    from docmail.outbox import can_save_drafts

    settings = saved_settings()
    drafts = [[DRAFTS, _("Save to Drafts")]] if settings is not None and can_save_drafts(settings) else []
    return [[action, label], [EML, _("Save as .eml")], *drafts]


def _sender(_dom_classes: Sequence[str]) -> Painted:
    """Return the row that says from whom it comes: no state, because notebooks are handed on."""
    label = markup.tag("span", _("From"), class_="widget-label")
    return Painted(stored=label + markup.tag("div", class_="dm-from", data_zone="who"), _dom_classes=_dom_classes)


def _with_copy(message: Message, settings: Settings) -> tuple[Message, Settings]:
    """Return how a mail is sent of which its sender gets a copy.

    As the copy that a setting sends to an archive: the record then does not take the sender for a recipient.
    """
    sender = settings.address
    if not settings.copy_to:
        return message, replace(settings, copy_to=sender.addr_spec)
    everybody = {address.mailbox for address in (*message.to, *message.cc, *message.bcc)}
    if sender.mailbox in everybody or settings.copy_to.lower() == sender.mailbox:
        return message, settings
    return replace(message, bcc=(*message.bcc, sender)), settings


def _hints() -> dict[str, str]:
    return {"to": _several(), "cc": _everybody(), "bcc": _nobody()}


def _several() -> str:
    return _("several: one in each line, or with ; between")


def _everybody() -> str:
    return _("everybody sees these recipients")


def _nobody() -> str:
    return _("nobody sees these recipients")


def _markdown_help() -> str:
    return _("Markdown: **bold**, lists, [links](https://…)")
