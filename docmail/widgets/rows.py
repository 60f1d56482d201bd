"""One row of a form: label, field, and beside it the help or what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail.widgets import markup

if TYPE_CHECKING:
    from collections.abc import Sequence


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


class Row(ipywidgets.HBox):  # type: ignore[misc]  # ipywidgets is not typed
    """A field that can show its own problem; `when` names the form's states in which it is shown."""

    def __init__(
        self,
        name: str,
        control: ipywidgets.Widget,
        *,
        hint: str = "",
        when: Sequence[str] = (),
        style: str = "",
    ) -> None:
        self.name = name
        self.control = control
        self._hint = hint
        control.add_class("dm-control")
        if hasattr(control, "description"):
            control.tooltip = ""  # without one, ipywidgets lets the label say "null" under the mouse
        self._note = light(ipywidgets.HTML, value=hint)
        self._note.add_class("dm-note")
        super().__init__([control, self._note], layout=shared(ipywidgets.Layout))
        for css_class in (
            "dm-row",
            f"dm-field-{name}",
            *(f"dm-if-{state}" for state in when),
            *style.split(),
        ):
            self.add_class(css_class)

    @property
    def hint(self) -> str:
        """What stands beside the field while nothing is wrong, in HTML."""
        return self._hint

    @hint.setter
    def hint(self, text: str) -> None:
        self._hint = text
        if not self.wrong:
            self._note.value = text

    @property
    def wrong(self) -> bool:
        """Whether it shows a problem."""
        return "dm-invalid" in self._dom_classes

    @property
    def note(self) -> str:
        """What stands beside the field, in HTML."""
        return str(self._note.value)

    def show_problem(self, message: str) -> None:
        """Say beside the field what is wrong with it."""
        self._note.value = markup.problem(message)
        self.add_class("dm-invalid")

    def clear_problem(self) -> None:
        """Show the help again."""
        self.remove_class("dm-invalid")
        self._note.value = self._hint


def text(label: str, value: str = "", *, placeholder: str = "") -> ipywidgets.Text:
    """Return a text field."""
    return light(ipywidgets.Text, value=value, description=label, placeholder=placeholder)


def choice(label: str, options: Sequence[tuple[str, object]], value: object) -> ipywidgets.ToggleButtons:
    """Return buttons of which one is chosen."""
    return light(ipywidgets.ToggleButtons, options=options, value=value, description=label)


def box(label: str) -> ipywidgets.Checkbox:
    """Return a check box with its sentence."""
    return light(ipywidgets.Checkbox, value=False, description=label, indent=False)
