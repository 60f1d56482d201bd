"""The documents of a mail that is being written: each can be removed, further ones are added.

They are dropped onto the form or uploaded, named by their path, or made of a table of the notebook.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docmail import presets
from docmail.addresses import first_control, trimmed
from docmail.documents import Document
from docmail.errors import DocumentError
from docmail.language import _
from docmail.text import size_and_limit, size_of
from docmail.widgets.mail.notebook_tables import ENDINGS, Table, table_called, tables
from docmail.widgets.parts import markup
from docmail.widgets.parts.markup import LINK, button, joined, tag
from docmail.widgets.parts.painted import MAX_UPLOAD, Painted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from markupsafe import Markup

    from docmail.settings import Settings

__all__ = ["Attachments", "on_the_way"]

_LINE = 57, 78  # octets of a file, and what they are in base64 with their line end (RFC 2045 6.8)
_LONGEST_NAME = 255  # octets, as in `Document`
_SHOWN = 80  # letters of a name that is refused


@dataclass(eq=False)
class _Entry:
    """One line of the list: a document, or a table that is one, is to become one, or cannot."""

    document: Document | None = None
    table: Table | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        named = self.document or self.table
        return named.name if named else ""


class Attachments(Painted):
    """A row of the mail form; `documents` is what will be sent.

    What a browser uploads comes in messages and stays in the kernel's memory: the value of ipywidgets' own
    `FileUpload` would be stored in the notebook. `run` is what makes a file of a large table without blocking.
    """

    def __init__(self, documents: Sequence[Document | Table], _dom_classes: Sequence[str] = ()) -> None:
        self._entries = [_Entry(table=each) if isinstance(each, Table) else _Entry(document=each) for each in documents]
        self.limit: int | None = None
        self.provider = ""
        self.changed: Callable[[], None] = lambda: None
        self.run: Callable[[Callable[[], object]], object] = lambda do: do()
        self._asks = ""
        self._refused: list[str] = []
        places = tag("div", markup.zones("list", "adding", "said"), class_="dm-attached")
        super().__init__(
            self._pressed,
            stored=tag("span", _("Attached"), class_="widget-label") + places,
            take=self._take,
            drop_words=_("Drop files here to attach them"),
            _dom_classes=_dom_classes,
        )
        self._show()

    @property
    def documents(self) -> list[Document]:
        """What will be sent."""
        return [entry.document for entry in self._entries if entry.document is not None]

    @property
    def missing(self) -> list[str]:
        """The names of the tables of which no file has been made."""
        return [entry.name for entry in self._entries if entry.document is None]

    @property
    def size(self) -> int:
        """What they take on the way, encoded."""
        return on_the_way(document.size for document in self.documents)

    @property
    def too_large(self) -> str:
        """A sentence if the provider will hardly take so much; nothing if it will, or nobody knows."""
        if self.limit is None or self.size <= self.limit:
            return ""
        size, limit = size_and_limit(self.size, self.limit)
        return _("These documents are {size} on the way; {provider} takes about {limit} in all.").format(
            size=size, provider=self.provider, limit=limit
        )

    def go_through(self, settings: Settings | None) -> None:
        """Say what the provider of these settings takes."""
        self.limit = presets.size_limit(settings.account.host, settings.account.port) if settings else None
        if settings:
            known = presets.by_host(settings.account.host)
            self.provider = known.name if known else settings.account.host
        self._show()

    def add(self, document: Document) -> None:
        """Attach one more document; the same one twice is refused."""
        same = [each for each in self.documents if each.name == document.name]
        if any(each.size == document.size and each.read() == document.read() for each in same):
            self._refuse(_("{name} is attached already.").format(name=document.name))
            return
        self._entries.append(_Entry(document))
        self._show()
        self.changed()

    def make_tables(self) -> None:
        """Make the files of the tables of which there is none yet, also of those that are chosen meanwhile."""
        while (entry := self._to_make()) is not None and (table := entry.table) is not None:
            document, problem = None, _("{name} could not be made.").format(name=entry.name)
            try:
                document, problem = table.document(), ""
            except DocumentError as exc:
                problem = str(exc)
            finally:
                if entry.table is table:  # otherwise another kind of file has been chosen, and its turn comes
                    entry.document, entry.problem = document, problem
                    self._show()
                    self.changed()

    @property
    def unmade(self) -> bool:
        """Whether there is a table of which a file can still be made."""
        return self._to_make() is not None

    def _to_make(self) -> _Entry | None:
        return next((each for each in self._entries if each.document is None and not each.problem), None)

    # --- what was pressed, dropped, uploaded ---

    def _pressed(self, action: str, which: str, values: dict[str, Any]) -> None:
        self._refused.clear()
        if action == "remove" and which.isdecimal() and int(which) < len(self._entries):
            del self._entries[int(which)]
            self._show()
            self.changed()
        elif action == "typed":
            self._make_otherwise(values)
        elif action in {"path", "table"}:
            self._asks = action if self._asks != action else ""
            self._show()
            self.focus_on(f"[data-name='{action}']")
        elif action == "add-path":
            if path := trimmed(str(values.get("path", ""))):
                self._add(lambda: Document.of(Path(path)), closes=True)
            else:
                self._refuse(_("Give the path of a file, such as reports/Q3.xlsx."))
        elif action == "add-table":
            self._add_table(str(values.get("table", "")), str(values.get("ending", "")))

    def _make_otherwise(self, values: dict[str, Any]) -> None:
        """Make another kind of file of a table, as its menu now says."""
        for number, entry in enumerate(self._entries):
            ending = values.get(f"kind-{number}")
            if entry.table is not None and ending in ENDINGS and ending != entry.table.ending:
                entry.document, entry.table, entry.problem = None, replace(entry.table, ending=str(ending)), ""
        self._show()
        self.run(self.make_tables)

    def _add_table(self, name: str, ending: str) -> None:
        try:
            table = table_called(name, ending)
        except DocumentError as exc:
            self._refuse(str(exc))
            return
        if table.name in [entry.name for entry in self._entries if entry.table and entry.table.frame is table.frame]:
            self._refuse(_("{name} is attached already.").format(name=table.name))
            return
        self._asks = ""
        self._entries.append(_Entry(table=table))
        self._show()
        self.run(self.make_tables)

    def on_dropped(self, folders: Sequence[str]) -> None:
        """Begin with files that were dropped or chosen; a folder cannot be one of them."""
        self._refused.clear()
        for name in folders:
            sentence = _("{name} is a folder. Add the files in it, or pack it into a .zip file first.")
            self._refused.append(sentence.format(name=_shown(name)))
        self._show()

    def on_unread(self, name: str) -> None:
        """Say that the browser could not read a file."""
        self._refuse(
            _("{name} cannot be read. Close the program that uses it, and add it again.").format(name=_shown(name))
        )

    def _take(self, name: str, content: bytes) -> None:
        # A browser gives the name alone; whatever else calls itself one is cut here.
        plain = name.replace("\\", "/").rpartition("/")[2].strip()
        if control := first_control(plain):
            sentence = _(
                "{name} has an invisible character ({code}) in its name, with which it can look like another file. "
                "Rename it, and add it again."
            )
            self._refuse(sentence.format(name=_shown(plain), code=control))
        elif plain in {"", ".", ".."} or len(plain.encode()) > _LONGEST_NAME:
            sentence = _("“{name}” cannot be the file name of an attachment. Rename it, and add it again.")
            self._refuse(sentence.format(name=_shown(plain)))
        else:
            self._add(lambda: Document.of(content, name=plain))

    def refuse_upload(self, name: str) -> None:
        """Say that a file is too large to be uploaded."""
        sentence = _("{name} is larger than {limit}, and no provider accepts that much.")
        self._refuse(sentence.format(name=_shown(name), limit=size_of(MAX_UPLOAD)))

    def _add(self, make: Callable[[], Document], *, closes: bool = False) -> None:
        try:
            document = make()
        except DocumentError as exc:
            self._refuse(str(exc))
            return
        if closes:
            self._asks = ""
        self.add(document)

    def _refuse(self, sentence: str) -> None:
        """Say why something is not attached; what was refused together stays together."""
        if sentence not in self._refused:
            self._refused.append(sentence)
        self._show()

    def on_piece(self, name: str, have: int, size: int) -> None:
        """Say how far an upload has come."""
        sentence = _("{name}: {have} of {size}")
        self._show(sentence.format(name=_shown(name), have=size_of(have), size=size_of(size)))

    # --- what is shown ---

    def _show(self, said: str = "") -> None:
        items = [self._line(number, entry) for number, entry in enumerate(self._entries)]
        nothing = tag("div", _("nothing is attached"), class_="dm-facts")
        refused = joined(tag("div", markup.problem(sentence)) for sentence in self._refused)
        self.draw(
            list=tag("ul", joined(items), class_="dm-files") if items else nothing,
            adding=self._adding(),
            said=tag("div", refused + tag("div", said or self._sized()), role="status"),
        )

    def _line(self, number: int, entry: _Entry) -> Markup:
        parts = [tag("span", tag("bdi", entry.name), class_="dm-file")]
        if entry.document is not None:
            parts.append(markup.aside(size_of(entry.document.size)))
        elif not entry.problem:
            parts.append(markup.aside(_("is being made …")))
        if entry.table is not None:
            kinds = {".xlsx": "Excel", ".csv": "CSV", ".pdf": "PDF"}
            label = _("Kind of file of {name}").format(name=entry.table.title)
            parts.append(markup.menu(f"kind-{number}", kinds, entry.table.ending, aria_label=label, data_live=True))
        remove = _("Remove {name}").format(name=entry.name)
        parts.append(button("remove", "✕", number, style=LINK, aria_label=remove))
        if entry.problem:
            parts.append(markup.problem(entry.problem))
        return tag("li", joined(parts))

    def _adding(self) -> Markup:
        field = tag("input", type="file", multiple=True, data_upload=True)
        links = [
            tag("label", joined([field, _("+ add a file…")]), class_="dm-link dm-upload"),
            self._link("path", _("+ a file by its path…")),
        ]
        found = tables()
        if found:
            links.append(self._link("table", _("+ a table of this notebook…")))
        links.append(markup.aside(_("or drop files onto this form")))
        asked = []
        if self._asks == "path":
            example = {"placeholder": "reports/Q3.xlsx", "spellcheck": "false"}
            path = markup.entry("path", data_enter="add-path", aria_label=_("Path"), **example)
            asked = [path, button("add-path", _("Attach"))]
        elif self._asks == "table" and found:
            asked = [
                markup.menu("table", dict(zip(found, found, strict=True)), aria_label=_("Table")),
                markup.menu("ending", dict(zip(ENDINGS, ENDINGS, strict=True)), aria_label=_("Kind of file")),
                button("add-table", _("Attach")),
            ]
        shown = tag("div", joined(links), class_="dm-links")
        return shown + tag("div", joined(asked), class_="dm-asked") if asked else shown

    def _link(self, action: str, label: str) -> Markup:
        return button(action, label, style=LINK, aria_expanded=str(self._asks == action).lower())

    def _sized(self) -> Markup:
        if sentence := self.too_large:
            return markup.problem(sentence)
        whole = size_of(sum(document.size for document in self.documents))
        if self.limit is None:
            if len(self.documents) < 2:  # noqa: PLR2004 - the size of a single one stands beside it
                return markup.NOTHING
            return markup.aside(_("{size} in all").format(size=whole))
        room = self.limit * _LINE[0] // _LINE[1]  # of files, before they are encoded
        sentence = _("{size} of about {limit}").format(size=whole, limit=size_of(room))
        return markup.aside(sentence)


def _shown(name: str) -> str:
    """Return a name that may not be what it looks like as a sentence can hold it."""
    visible = "".join("·" if first_control(sign) else sign for sign in name[: _SHOWN + 1])
    return visible if len(visible) <= _SHOWN else f"{visible[: _SHOWN - 1]}…"


def on_the_way(sizes: Iterable[int]) -> int:
    """Return what files of these sizes take in a mail."""
    return sum(-(-size // _LINE[0]) * _LINE[1] for size in sizes)
