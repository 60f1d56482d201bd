"""The password input and the action buttons: one click sends one message, with all values and the password.

Why they are not ordinary widgets stands at the top of `controls.js`. On this side the password is a `Secret` before
anything else happens, and is handed on as such; no trait, no state and no repr ever holds it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import anywidget
import traitlets
from ipywidgets import Layout, widget_serialization

from docmail.language import _, chosen, language
from docmail.secret import Secret
from docmail.widgets.parts.beside_cells import leave_the_cell_alone, listen_while_the_cell_waits
from docmail.widgets.parts.form_rows import shared
from docmail.widgets.parts.markup import NOTHING
from docmail.widgets.parts.scripts import borrowed, given

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from ipywidgets import Widget
    from markupsafe import Markup

    from docmail.widgets.parts.form_rows import Rows

    Handler = Callable[[str, dict[str, Any], Secret | None], None]

_HERE = Path(__file__).parent

_BORROWED = {"_esm": borrowed("controls"), "_css": ""}
"""What a part has that stands in a form whose buttons bring script and style sheet."""


@dataclass(frozen=True)
class Rule:
    """A state of the form that holds while a field `is` a value, or is not empty and `lacks` a text."""

    state: str
    field: str
    test: Literal["is", "lacks"]
    value: Any = True

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Say whether it holds for these values, as `controls.js` does for what is on the screen."""
        found = values[self.field]
        return bool(found == self.value) if self.test == "is" else bool(found) and str(self.value) not in str(found)


def silent() -> str:
    """Return what a view says when the kernel does not answer."""
    return _("The kernel does not answer. If it is busy, wait; if it was restarted, run this cell again.")


class Controls(anywidget.AnyWidget):
    """One of the two parts; see `Password` and `Actions`."""

    # Traits of the class: where they are not, anywidget makes a class of its own for each widget.
    _esm = traitlets.Unicode(given("controls")).tag(sync=True)
    _css = traitlets.Unicode((_HERE / "controls.css").read_text("utf-8")).tag(sync=True)

    part = traitlets.Unicode().tag(sync=True)
    words = traitlets.Dict().tag(sync=True)

    def open(self) -> None:
        """Open the way to the browser; what comes by it disturbs no cell."""
        super().open()
        leave_the_cell_alone(self)


class Password(Controls):
    """An input for a password with a Show button; what is typed there travels with a click on `Actions` only.

    Views of one and the same form hold the same text: by `form`, `controls.js` knows which they are.
    """

    label = traitlets.Unicode().tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    form = traitlets.Unicode().tag(sync=True)

    def __init__(self, *, label: str = "", **values: Any) -> None:
        super().__init__(
            **values,
            **_BORROWED,  # a password without buttons goes nowhere
            part="password",
            layout=shared(Layout),
            label=label or _("Password"),
            form=uuid4().hex,
            words={
                "show": _("Show"),
                "hide": _("Hide"),
                "show_password": _("Show {what}").format(what=label) if label else _("Show password"),
                "hide_password": _("Hide {what}").format(what=label) if label else _("Hide password"),
            },
        )

    def clear(self) -> None:
        """Empty the input in every view."""
        self.send({"clear": True})


class Actions(Controls):
    """The buttons of a form. A press calls `handle(action, values, secret)` with the values as they stand on screen.

    `fields` are the form's widgets by name, `rules` what is shown when, `rows` those whose notes are drawn beside the
    fields, `carries` the row of the `Password` that travels with a press, `carries_too` further ones, which come among
    the values if something is typed there; `details` is the class of what is shown and hidden below them; `within`
    means that they stand in a form that has others. `handle` must not raise.
    """

    fields = traitlets.Dict().tag(sync=True, **widget_serialization)
    rules: traitlets.List[Any] = traitlets.List().tag(sync=True)
    follow = traitlets.Dict().tag(sync=True)
    with_notes = traitlets.Bool().tag(sync=True)
    notes = traitlets.Dict().tag(sync=True)
    carries = traitlets.Unicode().tag(sync=True)
    carries_too: traitlets.List[Any] = traitlets.List().tag(sync=True)
    details = traitlets.Unicode("dm-details").tag(sync=True)
    actions: traitlets.List[Any] = traitlets.List().tag(sync=True)
    primary = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool().tag(sync=True)
    stoppable = traitlets.Bool(default_value=True).tag(sync=True)
    progress = traitlets.Float(-1.0).tag(sync=True)
    status: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)

    def __init__(  # noqa: PLR0913
        self,
        actions: Sequence[tuple[str, str]],
        handle: Handler = lambda _action, _values, _secret: None,
        *,
        fields: Mapping[str, Widget] | None = None,
        rules: Sequence[Rule] = (),
        follow: Mapping[str, Any] | None = None,
        rows: Rows | None = None,
        carries: str = "",
        carries_too: Sequence[str] = (),
        details: str = "dm-details",
        primary: str = "",
        classes: Sequence[str] = (),
        within: bool = False,
    ) -> None:
        fields = dict(fields or {})
        super().__init__(
            **(_BORROWED if within else {}),
            part="actions",
            layout=shared(Layout),
            _dom_classes=classes,
            fields=fields,
            rules=[asdict(rule) | {"value": _index(fields[rule.field], rule.value)} for rule in rules],
            follow=dict(follow or {}),
            with_notes=rows is not None,
            notes=rows.notes if rows else {},
            carries=carries,
            carries_too=list(carries_too),
            details=details,
            actions=[list(action) for action in actions],
            primary=primary,
            words={"stop": _("Stop"), "last": _("waiting for the server's reply"), "silent": silent()},
        )
        if rows is not None:
            rows.publish = lambda: setattr(self, "notes", rows.notes)
        self._handle = handle
        # The language chosen when the form was made holds for all that it says later, in whatever thread. Not its whole
        # context: ipykernel replies to a press on the channel of the context, and the form's own waits for its cell.
        self._language = chosen()
        self.on_stop: Callable[[], None] | None = None  # else a press of Stop is handled as any other
        self.on_left: Callable[[str, dict[str, Any]], None] = lambda _name, _values: None
        self.on_retyped: Callable[[str], None] = lambda _name: None
        self.on_msg(self._received)

    def listen_while_the_cell_waits(self) -> Self:
        """Receive presses also while the cell that shows these buttons waits for something."""
        listen_while_the_cell_waits(self)
        return self

    def _received(self, _widget: Widget, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        # A password comes as a binary buffer: a traceback or log shows only its address; it is in no local
        # variable here, and decoding with "replace" cannot raise.
        secrets = {
            str(name): Secret(bytes(buffer).decode("utf-8", "replace"))
            for name, buffer in zip(content.get("secrets") or [self.carries], buffers, strict=False)
        }
        if content.get("ready"):
            self.send({"heard": True})  # from now on replies take the channel of presses
        elif left := content.get("left"):
            with language(self._language):
                self.on_left(str(left), self._values(content.get("values") or {}))
        elif retyped := content.get("retyped"):  # a password: its field, and nothing of its text
            with language(self._language):
                self.on_retyped(str(retyped))
        elif action := content.get("action"):
            values = self._values(content.get("values") or {})
            self.send({"received": True})
            with language(self._language):
                if action == "stop" and self.on_stop is not None:
                    self.on_stop()
                else:
                    secret = secrets.pop(self.carries, None)
                    self._handle(str(action), values | secrets, secret)

    def _values(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values on the screen, by name; selections by what is chosen, not by its index."""
        return {
            name: _chosen(widget, sent[name]) if name in sent else widget.value for name, widget in self.fields.items()
        }

    def show_share(self, sent: int, whole: int) -> None:
        """Show how many of a mail's octets have been sent; after the last one nobody can stop it."""
        share = sent / whole if whole else 1.0
        # A hundred steps look smooth; each one is a message to the browser.
        if share - self.progress >= 0.01 or share >= 1:  # noqa: PLR2004
            self.progress = share
        if share >= 1:
            self.stoppable = False

    def say(self, sentence: Markup, *, steps: Markup = NOTHING, details: str = "", opened: bool = False) -> None:
        """Say beside the buttons how things stand; assistive technology reads the sentence out, but not the steps.

        `details` is the name of the button that shows and hides the form's `dm-details`, and `opened` whether they are
        shown at first.
        """
        self.status = {"sentence": sentence, "steps": steps, "details": details, "opened": opened}

    def current(self) -> dict[str, Any]:
        """Return the values as the kernel knows them."""
        return self._values({})

    def focus_on(self, name: str) -> None:
        """Bring a field into view and into focus where the button was pressed."""
        self.send({"focus": name})

    def reveal(self, selector: str) -> None:
        """Bring something that opens in the same view into focus, where the button was pressed."""
        self.send({"reveal": selector})

    def download(self, name: str, media_type: str, content: bytes) -> None:
        """Let the browser in which the button was pressed save a file."""
        self.send({"download": name, "type": media_type}, buffers=[content])


def _index(widget: Widget, value: Any) -> Any:
    return list(widget._options_values).index(value) if hasattr(widget, "_options_values") else value  # noqa: SLF001


def _chosen(widget: Widget, sent: Any) -> Any:
    if not hasattr(widget, "_options_values"):
        return sent
    options = widget._options_values  # noqa: SLF001
    # A front end that shows nothing as chosen sends None: what the kernel knows then stays.
    return options[sent] if isinstance(sent, int) and 0 <= sent < len(options) else widget.value
