"""The Email button: opens the mail form for a document in place; before settings are saved, the settings form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail.documents import Document, documents_of
from docmail.errors import DocumentError
from docmail.language import _
from docmail.widgets.mail.form import MailForm, saved_settings
from docmail.widgets.mail.notebook_row import NotebookRow
from docmail.widgets.mail.notebook_tables import Table
from docmail.widgets.mail.open_notebook import OpenNotebook, find_notebook
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import Html, light
from docmail.widgets.parts.kernel_gone import Lifeline
from docmail.widgets.parts.painted import for_browser
from docmail.widgets.settings import form

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from docmail.secret import Secret
    from docmail.settings import Settings

__all__ = ["EmailButton"]

EMAIL, DOWNLOAD = "email", "download"


class EmailButton(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """A button that opens the mail form for a document in place; before settings are saved, the settings form.

    `source` is anything `Document.of` takes, or a list of it whose first item gives the button its name; `to`,
    `subject` and `body` are what the form begins with. Without both subject and body it begins with the document's
    title, and with a text for its kind where the title names one (“Invoice 118”). `fields` are what a template may use
    besides the form's own.

    With `notebook=True` it sends the notebook in which it stands, as its file was saved last: as the text of the mail
    or, as the form lets one choose, as a PDF or a web page, with `source` attached if there is one. Where nothing says
    which file that is, name it: `notebook="report.ipynb"`. A cell with such a button is itself no part of what is sent.

    >>> docmail.EmailButton(pdf, to="cfo@example.com", subject="Q3", name="Q3.pdf")
    <EmailButton Q3.pdf>
    """

    def __init__(  # noqa: PLR0913 - what the form begins with
        self,
        source: Any = None,
        to: str = "",
        subject: str = "",
        body: str = "",
        name: str | None = None,
        *,
        fields: Mapping[str, Any] | None = None,
        notebook: bool | str | Path = False,
    ) -> None:
        self._first: Document | Table | OpenNotebook | _Unknown
        self._name = name
        if notebook is not False:
            self._first = _found(notebook)
            self._documents: list[Document | Table] = [*documents_of([] if source is None else source)]
        else:
            first, *others = source if isinstance(source, (list, tuple)) and source else [source]
            named = first if isinstance(first, Table) else Document.of(first, name)
            self._first, self._documents = named, [named, *documents_of(others)]
        self._begin: dict[str, Any] = {"to": to, "subject": subject, "body": body, "given": dict(fields or {})}
        self.mail_form: MailForm | None = None
        self.settings_form: form.SettingsForm | None = None
        self.on_sent: Callable[[], None] = lambda: None
        self.bar = Actions([], self._pressed)
        self.panel = light(ipywidgets.VBox)
        super().__init__(Lifeline().around([self.bar, self.panel]))
        self.add_class("docmail")
        form.observers.add(self)
        self._offer()

    @property
    def document(self) -> Document:
        """What it sends; of a table that a cell shows, and of a notebook, a file is made each time.

        Raises `DocumentError` where that cannot be done.
        """
        if isinstance(self._first, _Unknown):
            raise self._first.problem
        if isinstance(self._first, OpenNotebook):
            return Document.of(self._first.path, name=f"{self._first.path.stem}.pdf")
        return self._first.document() if isinstance(self._first, Table) else self._first

    @property
    def form(self) -> ipywidgets.Widget | None:
        """The form that is open below the button, if one is."""
        return self.panel.children[0] if self.panel.children else None

    def settings_saved(self, _settings: Settings, _profile: str) -> None:
        """Offer what is possible since a form saved `_settings` as `_profile`; for docmail itself."""
        self._offer()

    def _offer(self) -> None:
        """Offer what is possible now: to email, or to set email up first."""
        if isinstance(self._first, _Unknown):
            self._show_failure(self._first.problem)
            return
        label = _("✉ Email") if saved_settings() else _("✉ Set up email")
        # A table stands above its button, and becomes a file when it is wanted.
        download = [] if isinstance(self._first, (Table, OpenNotebook)) else [[DOWNLOAD, _("⬇ Download")]]
        self.bar.actions = [[EMAIL, label], *download]
        if self.mail_form is not None:
            self.mail_form.show_sender()

    def toggle(self) -> None:
        """Open the mail form, or the settings form if nothing is saved yet; close it if it is open.

        >>> button = docmail.EmailButton(pdf)
        >>> button.toggle()
        >>> button.form is None
        False
        """
        settings = saved_settings()
        wanted = self.mail_form if settings else self.settings_form
        if self.form is not None and self.form is wanted:
            self.panel.children = ()
        elif settings is None:
            self.open_settings()
        else:
            if self.mail_form is None:
                row = partial(NotebookRow, self._first, self._name) if isinstance(self._first, OpenNotebook) else None
                self.mail_form = MailForm(
                    self._documents, **self._begin, open_settings=self.open_settings, notebook=row
                )
                self.mail_form.on_sent = lambda: self.on_sent()  # noqa: PLW0108 - it is set later
            self.mail_form.show_sender()
            self.panel.children = (self.mail_form,)

    def open_settings(self) -> None:
        """Open the settings form in place.

        >>> button = docmail.EmailButton(pdf)
        >>> button.open_settings()
        >>> button.form
        <SettingsForm profile=default, saved>
        """
        if self.settings_form is None:
            self.settings_form = form.SettingsForm()
        self.panel.children = (self.settings_form,)

    def __repr__(self) -> str:
        return f"<EmailButton {self._first.name}>"

    def _ipython_display_(self) -> None:
        # A notebook that runs by itself shows this and no more, so it says what is to be done.
        unknown = self._first.problem if isinstance(self._first, _Unknown) else None
        text = str(unknown) if unknown else _("Run this cell to email {name}.").format(name=self._first.name)
        static_fallback.show({"text/html": markup.paragraph(text), "text/plain": repr(self)}, self)

    def _display_(self) -> Any:
        sentence = _(
            "Send {name} with docmail.send(document, to=..., subject=...), or open this notebook in JupyterLab."
        )
        return static_fallback.in_marimo(sentence.format(name=self._first.name))

    def _pressed(self, action: str, _values: dict[str, Any], _secret: Secret | None) -> None:
        try:
            if action == EMAIL:
                self.toggle()
                if self.form is not None and self.form is self.mail_form:
                    self.bar.reveal(".docmail-mail .dm-field-to textarea")
            elif action == DOWNLOAD:
                self.bar.download(self.document.name, self.document.media_type, for_browser(self.document))
        except Exception as exc:  # noqa: BLE001 - ipywidgets would write it into a log that nobody reads
            self._show_failure(exc)

    def _show_failure(self, exc: Exception) -> None:
        shown = Html(markup.failure(exc))
        shown.add_class("docmail-form")
        self.panel.children = (shown,)


@dataclass(frozen=True)
class _Unknown:
    """A notebook that was not found: a cell that only shows a button shall not stop a notebook that runs by itself."""

    problem: DocumentError
    name: str = "notebook"


def _found(notebook: bool | str | Path) -> OpenNotebook | _Unknown:  # noqa: FBT001 - as it is given
    try:
        return find_notebook(notebook)
    except DocumentError as exc:
        return _Unknown(exc)
