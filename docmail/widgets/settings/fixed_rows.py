"""What the organisation's file fixes, as the form shows it: filled in, not editable, and whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from docmail.errors import Field, Guide
from docmail.language import _
from docmail.presets import current_organisation
from docmail.widgets.parts import markup
from docmail.widgets.settings.field_names import FormField
from docmail.widgets.settings.fields import values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import ipywidgets

    from docmail.settings import Settings
    from docmail.widgets.parts.form_rows import Rows

_SHOWN: Mapping[str, tuple[str, ...]] = {
    Field.PROTOCOL: (FormField.PROVIDER, Field.PROTOCOL, FormField.API, FormField.REGION, FormField.DOMAIN),
    Field.PORT: (Field.PORT, FormField.PORT_NUMBER),
    Field.URL: (Field.URL, FormField.API_URL),
    Field.FINGERPRINT: (FormField.SELF_SIGNED, Field.FINGERPRINT),
    Field.COPY_TO: (FormField.COPIES, Field.COPY_TO),
}
"""The fields of the form in which a setting is shown; the others have one of the same name."""


class FixedRows:
    """The rows of one form that the organisation's file has taken out of its user's hands.

    `fill` fills fields in; `show_state(name, on)` sets which parts of the form are shown.
    """

    def __init__(
        self,
        rows: Rows,
        fields: Mapping[str, ipywidgets.Widget],
        fill: Callable[[Mapping[str, Any]], None],
        show_state: Callable[[str, bool], None],
    ) -> None:
        self._rows = rows
        self._fields = fields
        self._fill = fill
        self._show_state = show_state
        self._more = rows[FormField.MORE].control.value
        self._fixed: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        self._filling = False

    def follow(self, settings: Settings) -> None:
        """Show what is fixed of these settings, which the form's values mean; what is no more gets back what it had."""
        if self._filling:
            return
        values = values_of(settings)
        names = {each for name in settings.fixed for each in _SHOWN.get(name, (name,)) if each in self._rows}
        fixed = {name: values[name] for name in names if name in values}
        given_back = {
            name: self._before.pop(name)
            for name, value in self._fixed.items()
            if name not in names and self._fields[name].value == value
        }
        for name in fixed.keys() - self._fixed.keys():
            self._before[name] = self._fields[name].value
        for name in {*names, *self._fixed} - {Field.SIGN_IN}:
            self._rows[name].fix(_("set by your organisation") if name in names else "")
        self._fields[Field.SIGN_IN].disabled = Field.SIGN_IN in names  # its note says as whom one has signed in
        more = self._more
        if Field.COPY_TO in names:
            copied = _("a copy of every email goes to {address}, set by your organisation")
            more = Markup("{} {}").format(
                more, markup.tag("span", copied.format(address=settings.copy_to), class_="dm-beside")
            )
        self._rows[FormField.MORE].control.value = more
        self._fixed = fixed
        self._show_state("fixed-way", Field.SIGN_IN in names)
        self._show_state("fixed-application", Field.CLIENT_ID in names)
        self._filling = True
        try:
            self._fill({**given_back, **fixed})
        finally:
            self._filling = False

    def __contains__(self, name: str) -> bool:
        return name in self._fixed


def mistake(settings: Settings) -> Markup:
    """Return what is wrong with the organisation's file, and whom to tell; nothing if all is well."""
    problem = current_organisation().problem
    if not problem or (settings.home is not None and settings.home.rehearsal):
        return markup.NOTHING
    hint = _("Show this to your administrator. Until it is corrected, docmail works as if there were no such file.")
    return markup.box("mind", markup.warning(problem), markup.paragraph(hint), markup.guide(Guide.ADMINISTRATORS))
