"""How mails and documents look, in the settings form: name, logo, colour, signature, footer, and a picture of it all.

What else a look has (font, locale, currency) is for code and for the organisation's file, and stays as it is.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from docmail.errors import SettingsError
from docmail.language import _
from docmail.look import Look, joined
from docmail.message import seen
from docmail.presets import current_organisation
from docmail.widgets.parts import markup
from docmail.widgets.parts.markup import NOTHING, entry, tag
from docmail.widgets.parts.painted import Painted
from docmail.widgets.parts.rendered_mail import rendered

if TYPE_CHECKING:
    from collections.abc import Callable

    from markupsafe import Markup

__all__ = ["LookPanel"]

_TEXTS = ("name", "colour", "signature", "footer")
_PICTURES = ".png,.jpg,.jpeg,.gif"
_BLACK = "#000000"  # what a field for colours shows that has none


class LookPanel(Painted):
    """The fields of a look; `changed` gets it whenever it is another one, as soon as all of it can stay so."""

    def __init__(self, look: Look | None, changed: Callable[[Look], None]) -> None:
        super().__init__(
            self._handle_press,
            stored=markup.zones("fields", "seen"),
            take=self._take_logo,
            _dom_classes=["dm-look-panel"],
        )
        self._changed = changed
        self._values: dict[str, Any] = {}
        self._wrong: dict[str, str] = {}
        self._picked = _BLACK
        self._organisation = current_organisation().look or Look.PLAIN
        self.on_ready = self._draw_fields  # a view that is made anew begins with the values as they are then
        self.show(look)

    @property
    def problem(self) -> str:
        """What is wrong with it; an empty text if nothing is."""
        return next(iter(self._wrong.values()), "")

    def show(self, look: Look | None) -> None:
        """Show this look, whatever stood there."""
        self._look = look or Look.PLAIN
        self._values = {each.name: getattr(self._look, each.name) for each in fields(Look)}
        self._wrong = {}
        self._draw_fields()
        self._draw()

    # --- what was pressed, typed, chosen ---

    def _handle_press(self, action: str, _id: str, values: dict[str, Any]) -> None:
        if action == "typed":
            if (picked := values.get("picked", self._picked)) != self._picked:
                values["colour"] = self._picked = picked
                self.draw(colour=self._colour(picked))
            self._settle({name: values[name] for name in _TEXTS if name in values})
            if (colour := self._look.colour or _BLACK) != self._picked:  # the sample follows what is typed
                self._picked = colour
                self.draw(colour=self._colour(values.get("colour", "")))
            self._draw()
        elif action == "remove-logo":
            self._take_logo("", None)

    def _take_logo(self, _name: str, content: bytes | None) -> None:
        self._settle({"logo": content})
        self.draw(logo=self._logo())
        self._draw()

    def _settle(self, values: dict[str, Any]) -> None:
        before = self._values
        self._values = {**before, **values}
        try:
            look = Look.again(**self._values)
        except SettingsError as exc:
            self._wrong = {str(problem.field): problem.message for problem in exc.problems}
            if "logo" in self._wrong:  # the one that was there stays
                self._values["logo"] = before["logo"]
            return
        self._wrong = {}
        if look != self._look:
            self._look = look
            self._changed(look)

    # --- what is drawn ---

    def _draw_fields(self) -> None:
        name, value = _("Name"), self._values["name"]
        self._picked = self._look.colour or _BLACK
        rows = (
            self._row("name", name, entry("name", value, data_live=True, aria_label=name)),
            self._row("logo", _("Logo"), tag("span", data_zone="logo")),
            self._row("colour", _("Colour"), tag("span", data_zone="colour")),
            self._row("signature", _("Signature"), self._lines("signature", _("Signature"))),
            self._row("footer", _("Footer"), self._lines("footer", _("Footer"))),
        )
        rows_drawn = tag("div", markup.joined(rows), class_="dm-look-rows")
        self.draw(fields=rows_drawn, logo=self._logo(), colour=self._colour(self._values["colour"] or ""))

    def _row(self, name: str, label: str, content: Markup) -> Markup:
        if getattr(self._organisation, name):
            content = markup.found(_("set by your organisation"))
        note = tag("div", data_zone=f"note-{name}", class_="dm-look-note", role="status")
        return markup.joined([tag("span", label, class_="widget-label"), tag("div", content + note)])

    def _colour(self, value: str) -> Markup:
        label, picked = _("Colour, such as #0a5c8c"), _("Choose a colour")
        typed = entry("colour", value, data_live=True, data_keep=True, placeholder="#0a5c8c", aria_label=label, size=9)
        return typed + tag(
            "input", type="color", data_name="picked", data_live=True, value=self._picked, aria_label=picked
        )

    def _lines(self, name: str, label: str) -> Markup:
        value = self._values[name]
        return tag("textarea", value, data_name=name, data_live=True, rows=3, aria_label=label)

    def _logo(self) -> Markup:
        upload = tag("input", type="file", data_upload=True, accept=_PICTURES)
        choose = tag("label", markup.joined([upload, _("choose a picture…")]), class_="dm-link dm-upload")
        if (picture := self._look.picture) is None:
            return choose
        address = f"data:image/png;base64,{b64encode(picture.content).decode()}"
        shown = tag("img", src=address, alt=_("Logo"), height=min(picture.height, 32))
        return markup.joined([shown, choose, markup.button("remove-logo", _("remove"), style="dm-link")])

    def _draw(self) -> None:
        """Draw what is wrong, and the mail as it arrives."""
        notes = {f"note-{each.name}": NOTHING for each in fields(Look)}
        notes |= {f"note-{name}": markup.problem(sentence) for name, sentence in self._wrong.items()}
        if not self._wrong.get("colour") and (advice := self._look.advice):
            notes["note-colour"] = markup.aside(advice)
        text = _("Dear customer,\n\nplease find our invoice **2026-118** attached. Thank you for your order.")
        mail, _advice = seen(text, joined(self._look, self._organisation))
        self.draw(**notes, seen=rendered(mail))
