"""What is drawn on the screen and must not be kept in the notebook: it goes to the browser as messages.

A trait is stored with the notebook ("Save Widget State", nbclient, papermill) and echoed to all clients. The record of
mail, the addresses in it and the content of files are therefore no traits. How the HTML says what a click does stands
at the top of `painted.js`. What is drawn is `Markup`; anything else is text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from ipywidgets import Layout
from markupsafe import Markup, escape

from docmail.errors import DocumentError
from docmail.language import _, chosen, language
from docmail.text import size_of
from docmail.widgets.parts import markup
from docmail.widgets.parts.beside_cells import leave_the_cell_alone, listen_while_the_cell_waits
from docmail.widgets.parts.controls import silent
from docmail.widgets.parts.form_rows import shared
from docmail.widgets.parts.scripts import script, style

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from ipywidgets import Widget

    from docmail.documents import Document

    Handler = Callable[[str, str, dict[str, Any]], None]
    Taker = Callable[[str, bytes], None]

MAX_UPLOAD = 60_000_000
"""Bytes: more than any provider takes, and little enough to be held in the kernel's memory."""


def for_browser(document: Document) -> bytes:
    """Return the content of a document that the browser is to save; raises `DocumentError` if that is too much."""
    if document.size > MAX_UPLOAD:
        place = document.source if isinstance(document.source, Path) else None
        raise DocumentError(
            _("{name} is too large to be downloaded here ({size}).").format(
                name=document.name, size=size_of(document.size)
            ),
            hint=_("Fetch it from {path}.").format(path=place) if place else _("Write it into a file in a cell."),
        )
    return document.read()


class Painted(anywidget.AnyWidget):
    """HTML in zones, drawn by the kernel; a press calls `handle(action, id, values)`, whose failure is shown.

    `stored` is what stands there until the kernel draws, and what the notebook may keep. `take` gets each file that is
    uploaded, name and content; `reads` are fields of the form around it, whose values come with a press as well; for
    those in `suggests`, `suggest(name, typed)` says what is offered; with `drop_words`, which then stand over it, files
    can be dropped onto the form. `on_ready` is called when a browser shows it, and `on_closed` when one no longer does,
    unless its page has just gone.
    """

    _esm = script("painted")
    _css = style("painted", "rendered_mail")

    stored = traitlets.Unicode().tag(sync=True)
    words = traitlets.Dict().tag(sync=True)
    suggests: traitlets.List[Any] = traitlets.List().tag(sync=True)
    reads: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(  # noqa: PLR0913
        self,
        handle: Handler = lambda _action, _id, _values: None,
        *,
        stored: str = markup.NOTHING,
        take: Taker | None = None,
        suggests: Sequence[str] = (),
        reads: Sequence[str] = (),
        drop_words: str = "",
        _dom_classes: Sequence[str] = (),
    ) -> None:
        super().__init__(
            layout=shared(Layout),
            stored=escape(stored),
            suggests=list(suggests),
            reads=list(reads),
            _dom_classes=_dom_classes,
            words={"silent": silent(), "suggestions": _("Suggestions"), "drop": drop_words},
        )
        self._handle = handle
        self._take = take
        self._zones: dict[str, Markup] = {}
        self._arriving: dict[str, tuple[str, bytearray]] = {}
        self._language = chosen()  # as in Actions
        self.ready = False
        self._answered: set[Any] = set()  # the views that have been drawn
        self.ratio = 1.0
        self.decimal_comma = False
        """Whether the browser's language writes 1,5 and not 1.5, as the spreadsheet beside it then does."""
        self.on_ready: Callable[[], None] = lambda: None
        self.on_closed: Callable[[], None] = lambda: None
        self.suggest: Callable[[str, str], list[str]] = lambda _name, _typed: []
        self.on_msg(self._received)

    def open(self) -> None:
        """Open the way to the browser; what comes by it disturbs no cell."""
        super().open()
        leave_the_cell_alone(self)

    def listen_while_the_cell_waits(self) -> Self:
        """Receive presses also while the cell that shows this waits for something; as `Actions` do."""
        listen_while_the_cell_waits(self)
        return self

    @property
    def html(self) -> Markup:
        """What the kernel has drawn, all zones one after the other."""
        return markup.joined(self._zones.values())

    @property
    def arriving(self) -> list[str]:
        """The names of the files that are being uploaded."""
        return [name for name, _content in list(self._arriving.values())]

    def draw(self, **zones: str) -> None:
        """Replace the content of zones."""
        changed = {name: html for name, text in zones.items() if self._zones.get(name) != (html := escape(text))}
        self._zones |= changed
        if self.ready and changed:
            self.send({"draw": changed})

    def download(self, name: str, media_type: str, content: bytes) -> None:
        """Let the browser in which something was pressed save a file."""
        self.send({"download": name, "type": media_type}, buffers=[content])

    def focus_on(self, selector: str) -> None:
        """Bring the focus to a place where something was pressed."""
        self.send({"focus": selector})

    def reveal(self, selector: str) -> None:
        """Bring something that was put below into view and into focus, where that was pressed."""
        self.send({"reveal": selector})

    def _received(self, _widget: Widget, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        with language(self._language):
            if content.get("ready"):
                # A view that waits says it again, and what it said first may come when it has long been used.
                if (view := content.get("view")) in self._answered:
                    return
                self._answered |= {view} - {None}
                self.decimal_comma = bool(content.get("comma"))
                self.ratio = min(3.0, max(1.0, float(content.get("ratio") or 1)))
                self.ready = True
                try:
                    self.on_ready()
                except Exception as exc:  # noqa: BLE001 - as below
                    self._zones["failure"] = markup.failure(exc)
                # This view may be one of several, or come after a reload.
                self.send({"draw": self._zones, "view": view})
            elif content.get("closed"):
                self.on_closed()
            elif name := content.get("suggest"):
                options = self.suggest(str(name), str(content.get("typed") or ""))
                self.send({"suggest": name, "options": options})
            elif content.get("dropped"):
                self.on_dropped([str(name) for name in content.get("folders") or ()])
                self.send({"received": True})
            elif name := content.get("unread"):
                self._arriving.pop(str(content.get("piece")), None)
                self.on_unread(str(name))
                self.send({"received": True})
            elif content.get("piece"):
                self._piece(content, bytes(buffers[0]) if buffers else b"")
            elif action := content.get("press"):
                self._press(str(action), str(content.get("id") or ""), dict(content.get("values") or {}))
                self.send({"received": True})

    def _press(self, action: str, which: str, values: dict[str, Any]) -> None:
        try:
            self._handle(action, which, values)
        except Exception as exc:  # noqa: BLE001 - ipywidgets would write it into a log that nobody reads
            self.draw(failure=markup.failure(exc))
        else:
            if self._zones.get("failure"):
                self.draw(failure="")

    def _piece(self, content: Mapping[str, Any], piece: bytes) -> None:
        """Take a piece of a file that is being uploaded."""
        which, name, size = str(content["piece"]), str(content.get("name") or ""), int(content.get("size") or 0)
        _name, whole = self._arriving.setdefault(which, (name, bytearray()))
        taken = self._take is not None and len(whole) == content.get("at") and size <= MAX_UPLOAD
        whole += piece
        self.send({"piece": which, "taken": taken})
        if taken and len(whole) < size:
            self.on_piece(name, len(whole), size)
            return
        del self._arriving[which]
        if not taken:
            self.refuse_upload(name)
        elif self._take is not None:
            self._take(name, bytes(whole))

    def on_dropped(self, folders: Sequence[str]) -> None:
        """Begin to take files that were dropped or chosen together; of folders there is only the name."""

    def on_unread(self, name: str) -> None:
        """Say that the browser could not read a file."""

    def on_piece(self, name: str, have: int, size: int) -> None:
        """Say how far an upload has come."""

    def refuse_upload(self, name: str) -> None:
        """Say that a file is not taken."""
