"""The password input and the action buttons: one click sends one message, with all values and the password.

Why they are not ordinary widgets stands at the top of `controls.js`. On this side the password is a `Secret` before
anything else happens, and is handed on as such; no trait, no state and no repr ever holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import anywidget
import traitlets
from ipywidgets import Layout, widget_serialization

from docmail.language import _, chosen, language
from docmail.secret import Secret
from docmail.widgets.parts.form_rows import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from ipywidgets import Widget

    from docmail.widgets.parts.form_rows import Rows

    Handler = Callable[[str, dict[str, Any], Secret | None], None]

_HERE = Path(__file__).parent


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


class Controls(anywidget.AnyWidget):
    """One of the two parts; see `Password` and `Actions`."""

    _esm = _HERE / "controls.js"
    _css = _HERE / "controls.css"

    part = traitlets.Unicode().tag(sync=True)
    words = traitlets.Dict().tag(sync=True)


class Password(Controls):
    """An input for a password with a Show button; what is typed there travels with a click on `Actions` only.

    Views of one and the same form hold the same text: `form` tells `controls.js` which they are.
    """

    label = traitlets.Unicode().tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    form = traitlets.Unicode().tag(sync=True)

    def __init__(self, *, label: str = "", **values: Any) -> None:
        super().__init__(
            **values,
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
    fields, `carries` the row of the `Password` that travels with a press. `handle` must not raise.
    """

    fields = traitlets.Dict().tag(sync=True, **widget_serialization)
    rules: traitlets.List[Any] = traitlets.List().tag(sync=True)
    follow = traitlets.Dict().tag(sync=True)
    with_notes = traitlets.Bool().tag(sync=True)
    notes = traitlets.Dict().tag(sync=True)
    carries = traitlets.Unicode().tag(sync=True)
    actions: traitlets.List[Any] = traitlets.List().tag(sync=True)
    primary = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool().tag(sync=True)
    stoppable = traitlets.Bool(default_value=True).tag(sync=True)
    progress = traitlets.Float(-1.0).tag(sync=True)

    def __init__(  # noqa: PLR0913
        self,
        actions: Sequence[tuple[str, str]],
        handle: Handler,
        *,
        fields: Mapping[str, Widget] | None = None,
        rules: Sequence[Rule] = (),
        follow: Mapping[str, Any] | None = None,
        rows: Rows | None = None,
        carries: str = "",
        primary: str = "",
        classes: Sequence[str] = (),
    ) -> None:
        fields = dict(fields or {})
        super().__init__(
            part="actions",
            layout=shared(Layout),
            _dom_classes=classes,
            fields=fields,
            rules=[
                {
                    "state": rule.state,
                    "field": rule.field,
                    "test": rule.test,
                    "value": _index(fields[rule.field], rule.value),
                }
                for rule in rules
            ],
            follow=dict(follow or {}),
            with_notes=rows is not None,
            notes=rows.notes if rows else {},
            carries=carries,
            actions=[list(action) for action in actions],
            primary=primary,
            words={
                "stop": _("Stop"),
                "last": _("waiting for the server's answer"),
                "silent": _(
                    "The kernel does not answer. If it is busy, wait; if it was restarted, run this cell again."
                ),
            },
        )
        if rows is not None:
            rows.publish = lambda: setattr(self, "notes", rows.notes)
        self._handle = handle
        # The language chosen when the form was made holds for all that it says later, in whatever thread. Not its whole
        # context: ipykernel answers a press on the channel of the context, and that of the making waits for its cell.
        self._language = chosen()
        self.on_left: Callable[[str, dict[str, Any]], None] = lambda _name, _values: None
        self.on_msg(self._received)

    def listen_while_the_cell_waits(self) -> Self:
        """Hear presses also while the cell that shows these buttons waits for something."""
        # ipykernel 7.4 hands a press to the shell that last said something to these buttons, such as the one whose cell
        # waits for a batch: “Stop” would be heard when the batch is over. It shall come where the front end sends it.
        self.comm._reply_subshell_for = lambda _data, subshell: subshell  # noqa: SLF001 - others never look at it
        return self

    def _received(self, _widget: Widget, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        # The password comes as a binary buffer, of which a traceback or log shows an address only; it is in no local
        # variable here, and decoding with "replace" cannot raise.
        secret = Secret(bytes(buffers[0]).decode("utf-8", "replace")) if buffers else None
        if content.get("ready"):
            self.send({"heard": True})  # from now on answers take the channel of presses
        elif left := content.get("left"):
            with language(self._language):
                self.on_left(str(left), self._values(content.get("values") or {}))
        elif action := content.get("action"):
            values = self._values(content.get("values") or {})
            self.send({"answered": True})
            with language(self._language):
                self._handle(str(action), values, secret)

    def _values(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values on the screen, by name; selections by what is chosen, not by its index."""
        return {
            name: _chosen(widget, sent[name]) if name in sent else widget.value for name, widget in self.fields.items()
        }

    def current(self) -> dict[str, Any]:
        """Return the values as the kernel knows them."""
        return self._values({})

    def focus_on(self, name: str) -> None:
        """Bring a field into view and into focus where the button was pressed."""
        self.send({"focus": name})

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
