"""The documents of a mail that is being written: each can be removed, further ones are added.

They are uploaded, named by their path, or made of a table of the notebook.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docmail import presets
from docmail.addresses import trimmed
from docmail.documents import Document
from docmail.errors import DocumentError
from docmail.language import _
from docmail.widgets.mail import notebook_tables
from docmail.widgets.parts import markup
from docmail.widgets.parts.painted import MAX_UPLOAD, Painted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from docmail.settings import Settings

__all__ = ["Attachments", "on_the_way"]

_LINE = 57, 78  # octets of a file, and what they are in base64 with their line end (RFC 2045 6.8)


class Attachments(Painted):
    """A row of the mail form; `documents` is what will be sent.

    What a browser uploads comes in messages and stays in the kernel's memory: the value of ipywidgets' own
    `FileUpload` would be stored in the notebook.
    """

    def __init__(self, documents: Sequence[Document], _dom_classes: Sequence[str] = ()) -> None:
        self.documents = list(documents)
        self.limit: int | None = None
        self.provider = ""
        self.changed: Callable[[], None] = lambda: None
        self._asks = ""
        label = escape(_("Attached"))
        zones = "".join(f'<div data-zone="{name}"></div>' for name in ("list", "adding", "said"))
        super().__init__(
            self._pressed,
            stored=f'<span class="widget-label">{label}</span><div class="dm-attached">{zones}</div>',
            take=self._take,
            _dom_classes=_dom_classes,
        )
        self._show()

    @property
    def size(self) -> int:
        """What they take on the way, encoded."""
        return on_the_way(document.size for document in self.documents)

    @property
    def too_large(self) -> str:
        """A sentence if the provider will hardly take so much; nothing if it will, or nobody knows."""
        if self.limit is None or self.size <= self.limit:
            return ""
        return _("These documents are {size} on the way; {provider} takes about {limit} in all.").format(
            size=markup.size(self.size), provider=self.provider, limit=markup.size(self.limit)
        )

    def go_through(self, settings: Settings | None) -> None:
        """Say what the provider of these settings takes."""
        self.limit = presets.size_limit(settings.account.host, settings.account.port) if settings else None
        if settings:
            known = presets.by_host(settings.account.host)
            self.provider = known.name if known else settings.account.host
        self._show()

    def add(self, document: Document) -> None:
        """Attach one more."""
        self.documents.append(document)
        self._show()
        self.changed()

    def _pressed(self, action: str, which: str, values: dict[str, Any]) -> None:
        if action == "remove" and which.isdecimal() and int(which) < len(self.documents):
            del self.documents[int(which)]
            self._show()
            self.changed()
        elif action in {"path", "table"}:
            self._asks = action if self._asks != action else ""
            self._show()
            self.focus_on(f"[data-name='{action}']")
        elif action == "add-path":
            if path := trimmed(str(values.get("path", ""))):
                self._add(lambda: Document.of(Path(path)), answers=True)
            else:
                self._show(markup.problem(_("Give the path of a file, such as reports/Q3.xlsx.")))
        elif action == "add-table":
            name, ending = str(values.get("table", "")), str(values.get("ending", ""))
            self._add(lambda: notebook_tables.document_of(name, ending), answers=True)

    def _take(self, name: str, content: bytes) -> None:
        # A browser gives the name alone; whatever else calls itself one is cut here.
        plain = name.replace("\\", "/").rpartition("/")[2]
        self._add(lambda: Document.of(content, name=plain))

    def refuse_upload(self, name: str) -> None:
        """Say that a file is too large to be uploaded."""
        sentence = _("{name} is larger than {limit}, which no provider takes.")
        self._show(markup.problem(sentence.format(name=name, limit=markup.size(MAX_UPLOAD))))

    def _add(self, make: Callable[[], Document], *, answers: bool = False) -> None:
        try:
            document = make()
        except DocumentError as exc:
            self._show(markup.short_failure(exc))
            return
        if answers:
            self._asks = ""
        self.add(document)

    def on_piece(self, name: str, have: int, size: int) -> None:
        """Say how far an upload has come."""
        sentence = _("{name}: {have} of {size}").format(name=name, have=markup.size(have), size=markup.size(size))
        self._show(escape(sentence))

    def _show(self, said: str = "") -> None:
        items = "".join(
            f'<li><span class="dm-file">{escape(document.name)}</span>'
            f'<span class="dm-facts">{escape(markup.size(document.size))}</span>'
            f'<button type="button" class="dm-link" data-press="remove" data-id="{number}"'
            f' aria-label="{escape(_("Remove {name}").format(name=document.name))}">✕</button></li>'
            for number, document in enumerate(self.documents)
        )
        nothing = f'<div class="dm-facts">{escape(_("nothing is attached"))}</div>'
        self.draw(
            list=f'<ul class="dm-files">{items}</ul>' if items else nothing,
            adding=self._adding(),
            said=f'<div role="status">{said or self._sized()}</div>',
        )

    def _adding(self) -> str:
        upload = (
            f'<label class="dm-link dm-upload"><input type="file" multiple data-upload>{escape(_("+ add a file…"))}'
            "</label>"
        )
        links = upload + self._link("path", _("+ a file by its path…"))
        found = notebook_tables.tables()
        if found:
            links += self._link("table", _("+ a table of this notebook…"))
        asked = ""
        if self._asks == "path":
            asked = (
                f'<input type="text" data-name="path" data-enter="add-path" aria-label="{escape(_("Path"))}"'
                ' placeholder="reports/Q3.xlsx" spellcheck="false">' + _attach("add-path")
            )
        elif self._asks == "table" and found:
            asked = (
                _menu("table", _("Table"), found)
                + _menu("ending", _("Kind of file"), notebook_tables.ENDINGS)
                + _attach("add-table")
            )
        return f'<div class="dm-links">{links}</div>' + (f'<div class="dm-asked">{asked}</div>' if asked else "")

    def _link(self, action: str, label: str) -> str:
        opened = "true" if self._asks == action else "false"
        return (
            f'<button type="button" class="dm-link" data-press="{action}" aria-expanded="{opened}">'
            f"{escape(label)}</button>"
        )

    def _sized(self) -> str:
        if sentence := self.too_large:
            return markup.problem(sentence)
        whole = markup.size(sum(document.size for document in self.documents))
        if self.limit is None:
            if len(self.documents) < 2:  # noqa: PLR2004 - the size of a single one stands beside it
                return ""
            return f'<span class="dm-facts">{escape(_("{size} in all").format(size=whole))}</span>'
        room = self.limit * _LINE[0] // _LINE[1]  # of files, before they are encoded
        sentence = _("{size} of about {limit}").format(size=whole, limit=markup.size(room))
        return f'<span class="dm-facts">{escape(sentence)}</span>'


def _attach(action: str) -> str:
    label = escape(_("Attach"))
    return f'<button type="button" class="jupyter-button widget-button" data-press="{action}">{label}</button>'


def _menu(name: str, label: str, choices: Iterable[str]) -> str:
    options = "".join(f"<option>{escape(choice)}</option>" for choice in choices)
    return f'<select data-name="{name}" aria-label="{escape(label)}">{options}</select>'


def on_the_way(sizes: Iterable[int]) -> int:
    """Return what files of these sizes take in a mail."""
    return sum(-(-size // _LINE[0]) * _LINE[1] for size in sizes)
