"""The row of the mail form that says which notebook is sent, from when it is, and as what."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from docmail.documents import Document
from docmail.errors import DocmailError
from docmail.language import _
from docmail.message import Body, body_of
from docmail.widgets.parts import markup
from docmail.widgets.parts.markup import LINK, button, joined, tag
from docmail.widgets.parts.painted import Painted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docmail.widgets.mail.open_notebook import OpenNotebook

__all__ = ["AS_BODY", "NotebookRow"]

AS_BODY = "body"


class NotebookRow(Painted):
    """Which notebook is sent, and as what; `read()` reads its file, again if it has been saved since.

    `changed` is called when something else is sent than before; `run` is what reads without blocking.
    """

    def __init__(self, notebook: OpenNotebook, name: str | None = None, _dom_classes: Sequence[str] = ()) -> None:
        self.notebook = notebook
        ending = (name or "").rpartition(".")[2].lower()
        self.sent_as = ending if ending in {"pdf", "html"} else AS_BODY
        self.changed: Callable[[], None] = lambda: None
        self.run: Callable[[Callable[[], object]], object] = lambda do: do()
        self.problem = self.doubt = ""
        self._name = name or ""
        self._body: Body | None = None
        self._document: Document | None = None
        self._of: tuple[Any, ...] = ()
        places = tag("div", markup.zones("said", "choice", "doubt"), class_="dm-attached")
        super().__init__(
            self._pressed,
            stored=tag("span", _("Notebook"), class_="widget-label") + places,
            _dom_classes=_dom_classes,
        )
        self._show()

    @property
    def unread(self) -> bool:
        """Whether it has never been read as what it is to be sent; a file saved since is read when it is sent."""
        return self._of[:1] != (self.sent_as,)

    def body(self, text: Body | str) -> Body | str:
        """Return the text of the mail: what was written, and below it the notebook if it is sent as text."""
        if self.sent_as != AS_BODY or self._body is None:
            return text
        above = body_of(text).pieces if str(text).strip() else ()
        return Body([*above, *self._body.pieces])

    @property
    def documents(self) -> list[Document]:
        """What the notebook is attached as; nothing if it is the text."""
        return [self._document] if self._document is not None and self.sent_as != AS_BODY else []

    def read(self) -> str:
        """Read the notebook unless it is the same as before; return what is wrong with it, or an empty text."""
        state = self._state()
        if self._of != state:
            self._body = self._document = None
            self.problem = self.doubt = ""
            try:
                with warnings.catch_warnings(record=True) as found:
                    warnings.simplefilter("always")
                    if self.sent_as == AS_BODY:
                        self._body = body_of(self.notebook.path)
                    else:
                        self._document = Document.of(self.notebook.path, name=self._file_name())
                self.doubt = " ".join(str(each.message) for each in found if each.category is UserWarning)
            except DocmailError as exc:
                self.problem = str(exc)
            self._of = state
        self._show()
        self.changed()
        return self.problem

    def _state(self) -> tuple[Any, ...]:
        try:
            status = self.notebook.path.stat()
        except OSError:
            return (self.sent_as, None)
        return self.sent_as, status.st_mtime_ns, status.st_size

    def _file_name(self) -> str:
        given = self._name.rpartition(".")
        stem = given[0] if given[2].lower() in {"pdf", "html"} else self.notebook.path.stem
        return f"{stem}.{self.sent_as}"

    def _pressed(self, action: str, _which: str, values: dict[str, Any]) -> None:
        if action == "typed" and (chosen := values.get("sent-as")) in self._choices():
            self.sent_as = str(chosen)
        if action in {"typed", "refresh"}:
            self.run(self.read)

    @staticmethod
    def _choices() -> dict[str, str]:
        return {AS_BODY: _("the text of the mail"), "pdf": _("a PDF"), "html": _("a web page (HTML)")}

    def _show(self) -> None:
        try:
            saved = _("saved {when}").format(when=markup.when(self.notebook.saved))
        except OSError:
            saved = _("its file is no longer there")
        facts = tag("span", tag("bdi", self.notebook.name), class_="dm-file") + " " + markup.aside(saved) + " "
        menu = markup.menu(
            "sent-as", self._choices(), self.sent_as, aria_label=_("Send the notebook as"), data_live=True
        )
        wrong = [self.problem] if self.problem else []
        doubts = [self.notebook.not_saved(), self.doubt]
        self.draw(
            said=facts + button("refresh", _("Refresh"), style=LINK),
            choice=markup.aside(_("sent without its code, as")) + " " + menu,
            doubt=joined(
                [
                    *(tag("div", markup.problem(each)) for each in wrong),
                    *(tag("div", markup.warning(each)) for each in doubts if each),
                ]
            ),
        )
