"""The Email button: opens a small form in place, sends the document through the saved settings, shows the result."""

from __future__ import annotations

import re
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail import home as homes
from docmail.addresses import trimmed
from docmail.documents import Document
from docmail.errors import (
    AuthenticationError,
    ConnectError,
    CredentialError,
    DocmailError,
    MessageError,
    SettingsError,
)
from docmail.message import Message
from docmail.settings import Settings
from docmail.spool import sha256_of
from docmail.translation import _, ngettext
from docmail.widgets import markup, settings_form
from docmail.widgets.controls import Actions, Rule
from docmail.widgets.rows import Row, Rows, fold, light, long_text, shared, shown, text
from docmail.widgets.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.credentials import Secret
    from docmail.replies import Reply
    from docmail.transport import SendResult

__all__ = ["EmailButton"]

EMAIL, DOWNLOAD, SEND, SETTINGS = "email", "download", "send", "settings"
SEND_ANYWAY = "send-anyway"
"""The answer to a question. It has a name of its own, so that the second half of a double click on Send is none."""


class EmailButton(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """A button that opens the mail form for a document in place; before settings are saved, the settings form.

    `source` is anything `Document.of` takes; `to`, `subject` and `body` are what the form begins with.
    """

    def __init__(self, source: Any, to: str = "", subject: str = "", body: str = "", name: str | None = None) -> None:
        self.document = Document.of(source, name)
        self._begin = {"to": to, "subject": subject, "body": body}
        self.mail_form: MailForm | None = None
        self.settings_form: settings_form.SettingsForm | None = None
        self.bar = Actions([], self._pressed)
        self.panel = light(ipywidgets.VBox)
        super().__init__([self.bar, self.panel])
        self.add_class("docmail")
        settings_form.watchers.add(self)
        self._offer()

    @property
    def form(self) -> ipywidgets.Widget | None:
        """The form that is open below the button, if one is."""
        return self.panel.children[0] if self.panel.children else None

    def settings_saved(self, _settings: Settings, _profile: str) -> None:
        """Offer what is possible since a form saved settings."""
        self._offer()

    def _offer(self) -> None:
        """Offer what is possible now: to email, or to set email up first."""
        label = _("✉ Email") if _saved_settings() else _("✉ Set up email")
        self.bar.actions = [[EMAIL, label], [DOWNLOAD, _("⬇ Download")]]
        if self.mail_form is not None:
            self.mail_form.show_sender()

    def toggle(self) -> None:
        """Open the mail form, or the settings form if nothing is saved yet; close it if it is open."""
        settings = _saved_settings()
        wanted = self.mail_form if settings else self.settings_form
        if self.form is not None and self.form is wanted:
            self.panel.children = ()
        elif settings is None:
            self.open_settings()
        else:
            if self.mail_form is None:
                self.mail_form = MailForm(self.document, **self._begin, open_settings=self.open_settings)
            self.mail_form.show_sender()
            self.panel.children = (self.mail_form,)

    def open_settings(self) -> None:
        """Open the settings form in place."""
        if self.settings_form is None:
            self.settings_form = settings_form.SettingsForm()
        self.panel.children = (self.settings_form,)

    def expect_front_end(self) -> None:
        """Say what to do if no front end shows the button within a few seconds."""
        note = ipywidgets.HTML(markup.silence())

        def silent() -> None:
            if not self.panel.children:
                self.panel.children = (note,)

        def ready() -> None:
            if self.form is note:
                self.panel.children = ()

        self.bar.on_ready = ready
        self.bar.expect(silent)

    def __repr__(self) -> str:
        return f"<EmailButton {self.document.name}>"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options)
        self.expect_front_end()
        text = _("Run this cell to email {name}.").format(name=self.document.name)
        return {**bundle, "text/html": f"<p>{escape(text)}</p>"}

    def _pressed(self, action: str, _values: dict[str, Any], _secret: Secret | None) -> None:
        try:
            if action == EMAIL:
                self.toggle()
            elif action == DOWNLOAD:
                self.bar.download(self.document.name, self.document.media_type, self.document.read())
        except Exception as exc:  # noqa: BLE001 - ipywidgets would write it into a log that nobody reads
            shown = ipywidgets.HTML(markup.failure(exc))
            shown.add_class("docmail-form")
            self.panel.children = (shown,)


class MailForm(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """To, Subject, Body and Send, for one document. `send_mail()` does what the button does."""

    def __init__(self, document: Document, to: str, subject: str, body: str, open_settings: Callable[[], None]) -> None:
        self.document = document
        self._open_settings = open_settings
        self._confirmed: tuple[object, ...] | None = None
        self._submitted: dict[str, Any] = {}
        copies = ("cc-bcc",)
        attached = f"{escape(document.name)} · {escape(markup.size(document.size))}"
        self.rows = Rows(
            [
                Row("from", shown(_("From"))),
                Row(
                    "to",
                    text(_("To"), to, placeholder="cfo@example.com"),
                    hint=escape(_("several: with ; or , between")),
                ),
                Row("more", fold(_("Cc, Bcc")), style="dm-fold-button"),
                Row("cc", text(_("Cc")), hint=escape(_("everybody sees these recipients")), when=copies),
                Row("bcc", text(_("Bcc")), hint=escape(_("nobody sees these recipients")), when=copies),
                Row("subject", text(_("Subject"), subject)),
                Row(
                    "body", long_text(_("Body"), body), hint=escape(_("Markdown: **bold**, lists, [links](https://…)"))
                ),
                Row("documents", shown(_("Attached"), attached)),
            ]
        )
        self._sender = self.rows["from"].control
        self.fields = {name: self.rows[name].control for name in ("to", "more", "cc", "bcc", "subject", "body")}
        self.actions = Actions(
            [(SEND, _("Send"))],
            self._pressed,
            fields=self.fields,
            rules=[Rule("cc-bcc", "more", "is")],
            rows=self.rows,
            primary=SEND,
        )
        self._work = Work(self.actions, self._show_failure)
        self.report = light(ipywidgets.HTML, _dom_classes=["dm-report"])
        super().__init__(
            [*self.rows.controls, self.actions, self.report],
            layout=shared(ipywidgets.Layout),
            _dom_classes=["docmail-form", "docmail-mail"],
        )
        for name, field in self.fields.items():
            field.observe(lambda _change, name=name: self._edited(name), "value")

    def send_mail(self) -> SendResult | None:
        """Send with the values as they stand; None if something is in the way, which the form then shows."""
        results: list[SendResult | None] = []
        anyway = self._asked
        self._work.run(lambda: results.append(self._deliver(self.actions.current(), anyway=anyway)))
        return results[0] if results else None

    def show_sender(self) -> None:
        """Show from whom the mail will come."""
        settings = _saved_settings()
        try:
            self._sender.value = escape(str(settings.address)) if settings else ""
        except DocmailError:
            self._sender.value = ""
        copy_to = settings.copy_to if settings else None
        self.rows["documents"].hint = escape(_("a copy goes to {address}").format(address=copy_to)) if copy_to else ""

    def __repr__(self) -> str:
        return f"<MailForm {self.document.name}>"

    def _pressed(self, action: str, values: dict[str, Any], _secret: Secret | None) -> None:
        if action == "stop":
            self._work.stop()
        elif action in {SEND, SEND_ANYWAY}:
            self._work.start(lambda: self._deliver(values, anyway=action == SEND_ANYWAY))
        elif action == SETTINGS:
            self._work.start(self._open_settings)

    def _deliver(self, values: dict[str, Any], *, anyway: bool) -> SendResult | None:
        self._submitted = values
        with self.actions.hold_sync():
            self.rows.clear_problems()
        self.report.value = ""
        if not trimmed(values["to"]):
            self._show_problem("to", _("Give an address, such as cfo@example.com."))
            return None
        message = Message(
            to=values["to"],
            cc=values["cc"],
            bcc=values["bcc"],
            subject=values["subject"],
            body=values["body"],
            documents=[self.document],
        )
        settings = Settings.load()
        if self._asks_first(message, settings, anyway=anyway):
            return None
        from docmail.outbox import deliver

        self.actions.progress = 0.0
        result = deliver(message, settings=settings, progress=self._progress, hold=self._work.hold)
        self._confirmed = None
        self._offer(_("Send"))
        self.actions.primary = ""
        self.report.value = _result(message, result)
        return result

    def _progress(self, sent: int, whole: int) -> None:
        share = sent / whole if whole else 1.0
        # A hundred steps look smooth; each one is a message to the browser.
        if share - self.actions.progress >= 0.01 or share >= 1:  # noqa: PLR2004
            self.actions.progress = share
        if share >= 1:
            self.actions.stoppable = False

    def _asks_first(self, message: Message, settings: Settings, *, anyway: bool) -> bool:
        """Ask whether it is meant; the button that then takes the place of Send is the answer."""
        meant = (message.to, message.cc, message.bcc, message.subject, message.body)
        if anyway and self._confirmed == meant:
            return False
        questions = []
        label = _("Send without a subject")
        if not message.subject:
            questions.append(_("The subject is empty."))
        if (earlier := _sent_before(message, settings)) is not None:
            questions.append(_("Sent to the same recipients already, {when}.").format(when=_when(earlier)))
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
        self.actions.actions = [[action, label], *([[SETTINGS, _("Email settings")]] if settings else [])]

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
        wants_settings = isinstance(exc, (SettingsError, CredentialError, AuthenticationError))
        self._offer(_("Send"), settings=wants_settings or bool(isinstance(exc, DocmailError) and exc.field))
        self.report.value = markup.failure(exc)

    def _edited(self, name: str) -> None:
        # While a cell runs, the change that preceded a press may arrive after it; it is then not a new one.
        if self.fields[name].value == self._submitted.get(name):
            return
        self.rows[name].clear_problem()
        if self.actions.busy:
            return
        if self._asked:  # about another mail than the one that now stands here
            self._confirmed = None
            self._offer(_("Send"))
            self.report.value = ""
        self.actions.primary = SEND


def _saved_settings() -> Settings | None:
    try:
        return Settings.load()
    except SettingsError:
        return None


def _sent_before(message: Message, settings: Settings) -> datetime | None:
    """Return when the same documents went to the same recipients under the same subject, if the record knows."""
    from docmail.outbox import Outbox

    recipients = {address.addr_spec for address in message.to}
    contents = {sha256_of(document) for document in message.documents}
    outbox = Outbox((settings.home or homes.user_home()).outbox)
    try:
        return max(
            (
                row.sent_at or row.created
                for row in outbox
                if row.state in {"sending", "sent", "unknown"}
                and row.subject == message.subject
                and set(row.to) == recipients
                and set(row.contents) == contents
            ),
            default=None,
        )
    finally:
        outbox.close()


def _when(moment: datetime) -> str:
    local, now = moment.astimezone(), datetime.now().astimezone()
    if local.date() == now.date():
        return _("today {time}").format(time=f"{local:%H:%M}")
    return f"{local:%Y-%m-%d %H:%M}"


def _result(message: Message, result: SendResult) -> str:
    """Say to how many it went, and who was refused with which words."""
    people = {address.addr_spec for address in (*message.to, *message.cc, *message.bcc)}
    accepted = sum(address in people for address in result.accepted)
    parts = [
        markup.good(
            ngettext("Sent to {number} recipient.", "Sent to {number} recipients.", accepted).format(number=accepted)
        )
    ]
    turned_away = {address: reply for address, reply in result.refused.items() if address in people}
    if turned_away:
        listed = "; ".join(f"{address} — {_words(reply)}" for address, reply in turned_away.items())
        parts.append(
            markup.bad(
                ngettext("{number} refused: {listed}", "{number} refused: {listed}", len(turned_away)).format(
                    number=len(turned_away), listed=listed
                )
            )
        )
    for address in result.refused.keys() - people:
        parts.append(markup.paragraph(_("The copy to {address} was refused.").format(address=address)))  # noqa: PERF401
    return markup.box("mind" if turned_away else "good", *parts)


def _words(reply: Reply) -> str:
    code = " ".join(part for part in (str(reply.code), reply.enhanced) if part)
    # Many servers begin with the address, which stands before these words already.
    words = re.sub(r"^<[^<>]*>:?\s*", "", reply.text)
    return f"{words} ({code})" if words else code
