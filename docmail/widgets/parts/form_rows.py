"""The rows of a form: label, field, and beside it the help or what is wrong.

A row is one widget. Its note is drawn beside the field by `controls.js`, from the one trait that `Actions.notes` is:
a widget for each note would double what the browser has to build before the form appears.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import ipywidgets

from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
    return kind(*children, layout=shared(ipywidgets.Layout), **values)


class Row:
    """A field and what stands beside it, in HTML; `when` names the form's states in which the row is shown.

    The widget is made here, with all its classes at once: each `add_class()` would be a message to the browser.
    """

    def __init__(
        self,
        name: str,
        make: Make,
        *,
        hint: str = "",
        when: Sequence[str] = (),
        style: str = "",
    ) -> None:
        self.name = name
        classes = ("dm-row", f"dm-field-{name}", *(f"dm-if-{state}" for state in when), *style.split())
        self.control: Any = make(_dom_classes=classes)
        self._hint = hint
        self._problem = ""
        self.changed: Callable[[], None] = lambda: None

    @property
    def hint(self) -> str:
        """What stands beside the field while nothing is wrong."""
        return self._hint

    @hint.setter
    def hint(self, text: str) -> None:
        if text != self._hint:
            self._hint = text
            self.changed()

    @property
    def wrong(self) -> bool:
        """Whether it shows a problem."""
        return bool(self._problem)

    @property
    def note(self) -> str:
        """What stands beside the field."""
        return self._problem or self._hint

    def show_problem(self, message: str) -> None:
        """Say beside the field what is wrong with it."""
        self._problem = markup.problem(message)
        self.changed()

    def clear_problem(self) -> None:
        """Show the help again."""
        if self._problem:
            self._problem = ""
            self.changed()


class Rows:
    """The rows of one form by name, in their order; `publish` hears of each change of a note."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = {row.name: row for row in rows}
        self.publish: Callable[[], None] = lambda: None
        for row in rows:
            row.changed = self._changed

    def _changed(self) -> None:
        self.publish()

    def __getitem__(self, name: str) -> Row:
        return self._rows[name]

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def get(self, name: str) -> Row | None:
        """Return the row of this name, if there is one."""
        return self._rows.get(name)

    @property
    def controls(self) -> list[ipywidgets.Widget]:
        """The widgets, in the form's order."""
        return [row.control for row in self]

    @property
    def wrong(self) -> list[str]:
        """The names of the rows that show a problem."""
        return [row.name for row in self if row.wrong]

    @property
    def notes(self) -> dict[str, tuple[Kind, str]]:
        """What stands beside the fields, as `controls.js` draws it."""
        return {row.name: ("bad" if row.wrong else "help", row.note) for row in self if row.note}

    def clear_problems(self) -> None:
        """Show the help again everywhere."""
        for row in self:
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


def choice(label: str, options: Sequence[tuple[str, object]], value: object) -> Make:
    """Return what makes buttons of which one is chosen."""
    return _labelled(ipywidgets.ToggleButtons, label, options=options, value=value)


def menu(label: str, options: Sequence[tuple[str, object]], value: object) -> Make:
    """Return what makes a menu of which one entry is chosen."""
    return _labelled(ipywidgets.Dropdown, label, options=options, value=value)


def box(label: str) -> Make:
    """Return what makes a check box with its sentence."""
    return _labelled(ipywidgets.Checkbox, label, value=False, indent=False)


def fold(label: str) -> Make:
    """Return what makes a button that shows and hides further rows."""
    return _labelled(ipywidgets.ToggleButton, label, value=False)


def shown(label: str, html: str = "") -> Make:
    """Return what makes a text that is only read, in HTML."""
    return _labelled(ipywidgets.HTML, label, value=html)
