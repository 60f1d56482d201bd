"""The rows of a form: label, field, and beside it the help or what is wrong.

A row is one widget. Its note is drawn beside the field by `controls.js`, from the one trait that `Actions.notes` is:
a widget for each note would double what the browser has to build before the form appears.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import ipywidgets
import traitlets
from markupsafe import Markup, escape

from docmail.widgets.parts import markup
from docmail.widgets.parts.beside_cells import leave_the_cell_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Kind = Literal["help", "bad"]
    Make = Callable[..., ipywidgets.Widget]


_shared: dict[type, ipywidgets.Widget] = {}


def shared(kind: type[ipywidgets.Widget]) -> Any:
    """Return the one layout or style of this kind that our widgets share.

    ipywidgets makes two of them for each widget, every one a message to the browser: two thirds of what a form sends.
    Looks are a matter of our style sheet.
    """
    found = _shared.get(kind)
    if found is None or found.comm is None:  # never made, or closed with `Widget.close_all()`
        found = _shared[kind] = kind()
    return found


def light(kind: type[ipywidgets.Widget], *children: Any, **values: Any) -> Any:
    """Return a widget with the layout and the style that all of its kind share."""
    if "style" in kind.class_trait_names():
        values["style"] = shared(kind.class_traits()["style"].klass)
    widget = kind(*children, layout=shared(ipywidgets.Layout), **values)
    leave_the_cell_alone(widget)
    return widget


class Html(ipywidgets.HTML):  # type: ignore[misc]  # ipywidgets is not typed
    """HTML in a view; a `value` that is no `Markup` is text."""

    @traitlets.validate("value")
    def _escaped(self, proposal: dict[str, Any]) -> Markup:
        return escape(proposal["value"])


class Row:
    """A field and what stands beside it, text or `Markup`; `when` names the form's states in which the row is shown.

    The widget is made here, with all its classes at once: each `add_class()` would be a message to the browser.
    """

    def __init__(self, name: str, make: Make, *, hint: str = "", when: str = "", style: str = "") -> None:
        self.name = name
        self.drawn = True  # otherwise it has a value, but no place on the screen
        classes = ("dm-row", f"dm-field-{name}", *(f"dm-if-{state}" for state in when.split()), *style.split())
        self.control: Any = make(_dom_classes=classes)
        self._hint = escape(hint)
        self._above = markup.NOTHING
        self._fixed = markup.NOTHING
        self._problem = self._question = markup.NOTHING
        self.changed: Callable[[], None] = lambda: None

    @property
    def hint(self) -> Markup:
        """What stands beside the field while nothing is wrong."""
        return self._hint

    @hint.setter
    def hint(self, text: str) -> None:
        if (html := escape(text)) != self._hint:
            self._hint = html
            self.changed()

    @property
    def above(self) -> Markup:
        """What stands above the field: what is to be done before it is filled in."""
        return self._above

    @above.setter
    def above(self, html: Markup) -> None:
        if html != self._above:
            self._above = html
            self.changed()

    def fix(self, why: str) -> None:
        """Take the field out of its user's hands, and say why beside it; "" gives it back."""
        fixed = markup.found(why) if why else markup.NOTHING
        if self.control.has_trait("disabled"):
            self.control.disabled = bool(why)
        if fixed != self._fixed:
            self._fixed = fixed
            self.changed()

    @property
    def wrong(self) -> bool:
        """Whether it shows a problem."""
        return bool(self._problem)

    @property
    def note(self) -> Markup:
        """What stands beside the field."""
        return self._problem or self._question or self._fixed or self._hint

    def ask(self, question: Markup) -> None:
        """Ask beside the field; a button in it is pressed like those of `Actions`. An empty question ends it."""
        if question != self._question:
            self._question = question
            self.changed()

    def show_problem(self, message: str) -> None:
        """Say beside the field what is wrong with it."""
        self._problem = markup.problem(message)
        self.changed()

    def clear_problem(self) -> None:
        """Remove the problem, and show the help below the field again."""
        if self._problem:
            self._problem = markup.NOTHING
            self.changed()


class Rows(dict[str, Row]):
    """The rows of one form by name, in their order; `publish` is called at each change of a note."""

    def __init__(self, *rows: Row) -> None:
        super().__init__((row.name, row) for row in rows)
        self.publish: Callable[[], None] = lambda: None
        for row in rows:
            row.changed = lambda: self.publish()  # noqa: PLW0108 - it is set later

    @property
    def controls(self) -> list[ipywidgets.Widget]:
        """The widgets that are drawn, in the form's order."""
        return [row.control for row in self.values() if row.drawn]

    @property
    def wrong(self) -> list[str]:
        """The names of the rows that show a problem."""
        return [row.name for row in self.values() if row.wrong]

    @property
    def notes(self) -> dict[str, tuple[Kind, Markup, Markup]]:
        """What stands beside and above the fields, as `controls.js` draws it."""
        return {
            row.name: ("bad" if row.wrong else "help", row.note, row.above)
            for row in self.values()
            if row.note or row.above
        }

    def clear_problems(self) -> None:
        """Show the help again everywhere."""
        for row in self.values():
            row.clear_problem()


def _labelled(kind: type[ipywidgets.Widget], label: str, **values: Any) -> Make:
    # Without a tooltip ipywidgets lets the label say "null" under the mouse.
    return partial(light, kind, description=label, tooltip="", **values)


def text(label: str, value: str = "", *, placeholder: str = "") -> Make:
    """Return what makes a text field."""
    return _labelled(ipywidgets.Text, label, value=value, placeholder=placeholder)


def long_text(label: str, value: str = "") -> Make:
    """Return what makes a text field of several lines."""
    return _labelled(ipywidgets.Textarea, label, value=value, rows=6)


def addresses(label: str, value: str = "", *, placeholder: str = "") -> Make:
    """Return what makes a field for email addresses, which grows with its lines."""
    return _labelled(ipywidgets.Textarea, label, value=value, placeholder=placeholder, rows=1)


def choice(label: str, options: Sequence[tuple[str, object]], value: object) -> Make:
    """Return what makes buttons for the choice of one."""
    return _labelled(ipywidgets.ToggleButtons, label, options=options, value=value)


def menu(label: str, options: Sequence[tuple[str, object]], value: object) -> Make:
    """Return what makes a menu for the choice of one entry."""
    return _labelled(ipywidgets.Dropdown, label, options=options, value=value)


def box(label: str) -> Make:
    """Return what makes a check box with its sentence."""
    return _labelled(ipywidgets.Checkbox, label, value=False, indent=False)


def line(label: str = "", value: str = "") -> Make:
    """Return what makes a row without a field: a line that says something, and may hold a button."""
    return partial(light, Html, description=label, value=value)


def fold(label: str) -> Make:
    """Return what makes a button that shows and hides further rows."""
    return _labelled(ipywidgets.ToggleButton, label, value=False)
