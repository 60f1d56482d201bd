"""The Email button: opens the mail form for a document in place; before settings are saved, the settings form."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail.documents import Document, documents_of
from docmail.language import _
from docmail.widgets.mail.form import MailForm, saved_settings
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import light
from docmail.widgets.parts.kernel_gone import Lifeline
from docmail.widgets.parts.painted import for_browser
from docmail.widgets.settings import form

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docmail.secret import Secret
    from docmail.settings import Settings

__all__ = ["EmailButton"]

EMAIL, DOWNLOAD = "email", "download"


class EmailButton(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """A button that opens the mail form for a document in place; before settings are saved, the settings form.

    `source` is anything `Document.of` takes, or a list of it, of which the first gives the button its name; `to`,
    `subject` and `body` are what the form begins with. `fields` are what a template may use besides the form's own.
    """

    def __init__(  # noqa: PLR0913 - what the form begins with
        self,
        source: Any,
        to: str = "",
        subject: str = "",
        body: str = "",
        name: str | None = None,
        *,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        first, *others = source if isinstance(source, (list, tuple)) and source else [source]
        self.document = Document.of(first, name)
        self._documents = [self.document, *documents_of(others)]
        self._begin: dict[str, Any] = {"to": to, "subject": subject, "body": body, "given": dict(fields or {})}
        self.mail_form: MailForm | None = None
        self.settings_form: form.SettingsForm | None = None
        self.on_sent: Callable[[], None] = lambda: None
        self.bar = Actions([], self._pressed)
        self.panel = light(ipywidgets.VBox)
        super().__init__(Lifeline().around([self.bar, self.panel]))
        self.add_class("docmail")
        form.watchers.add(self)
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
        label = _("✉ Email") if saved_settings() else _("✉ Set up email")
        self.bar.actions = [[EMAIL, label], [DOWNLOAD, _("⬇ Download")]]
        if self.mail_form is not None:
            self.mail_form.show_sender()

    def toggle(self) -> None:
        """Open the mail form, or the settings form if nothing is saved yet; close it if it is open."""
        settings = saved_settings()
        wanted = self.mail_form if settings else self.settings_form
        if self.form is not None and self.form is wanted:
            self.panel.children = ()
        elif settings is None:
            self.open_settings()
        else:
            if self.mail_form is None:
                self.mail_form = MailForm(self._documents, **self._begin, open_settings=self.open_settings)
                self.mail_form.on_sent = self._sent
            self.mail_form.show_sender()
            self.panel.children = (self.mail_form,)

    def open_settings(self) -> None:
        """Open the settings form in place."""
        if self.settings_form is None:
            self.settings_form = form.SettingsForm()
        self.panel.children = (self.settings_form,)

    def _sent(self) -> None:
        self.on_sent()

    def __repr__(self) -> str:
        return f"<EmailButton {self.document.name}>"

    def _ipython_display_(self) -> None:
        text = _("Run this cell to email {name}.").format(name=self.document.name)
        static_fallback.show({"text/html": f"<p>{escape(text)}</p>", "text/plain": repr(self)}, self)

    def _pressed(self, action: str, _values: dict[str, Any], _secret: Secret | None) -> None:
        try:
            if action == EMAIL:
                self.toggle()
            elif action == DOWNLOAD:
                self.bar.download(self.document.name, self.document.media_type, for_browser(self.document))
        except Exception as exc:  # noqa: BLE001 - ipywidgets would write it into a log that nobody reads
            shown = ipywidgets.HTML(markup.failure(exc))
            shown.add_class("docmail-form")
            self.panel.children = (shown,)
