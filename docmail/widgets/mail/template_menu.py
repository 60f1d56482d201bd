"""Templates in the mail form: one is chosen for subject and body, and what stands there is kept as one."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from docmail import templates
from docmail.errors import DocmailError
from docmail.language import _
from docmail.widgets.parts import markup
from docmail.widgets.parts.painted import Painted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TemplateMenu"]


class TemplateMenu(Painted):
    """A row of the mail form; `apply(subject, body)` is called with the text that is to stand there.

    What was typed is never overwritten without an answer to the question whether it may.
    """

    def __init__(
        self, subject: str, body: str, apply: Callable[[str, str], None], _dom_classes: Sequence[str] = ()
    ) -> None:
        self._apply = apply
        self._untouched = {("", ""), (subject, body)}
        """What may be overwritten: nobody typed it here."""
        self.chosen = ""
        self._asked = ""
        self._naming = False
        self._name = ""  # as it was typed
        self._id = f"docmail-{uuid4().hex}"
        super().__init__(
            self._pressed,
            stored=f'<label class="widget-label" for="{self._id}">{escape(_("Template"))}</label>'
            '<div class="dm-templates"><div data-zone="menu"></div><div data-zone="more"></div></div>',
            reads=["subject", "body"],
            _dom_classes=_dom_classes,
        )
        self.on_ready = self._show

    def _pressed(self, action: str, _id: str, values: dict[str, Any]) -> None:
        subject, body = str(values.get("subject", "")), str(values.get("body", ""))
        said = ""
        try:
            if action == "typed":
                self._choose(str(values.get("template", "")), subject, body)
            elif action == "replace" and self._asked:
                self._fill(self._asked)
            elif action == "keep":
                self._asked = ""
            elif action in {"naming", "cancel"}:
                self._naming, self._name = action == "naming", self.chosen
            elif action == "save":
                name = self._name = str(values.get("name", "")).strip()
                templates.save(templates.Template(name, subject, body))
                self._untouched.add((subject, body))
                self.chosen, self._naming = name, False
                said = markup.found(_("Saved as “{name}”.").format(name=name))
            elif action == "forget" and self.chosen:
                templates.forget(self.chosen)
                said = markup.found(_("The template “{name}” is removed.").format(name=self.chosen))
                self.chosen = ""
        except DocmailError as exc:
            said = markup.short_failure(exc)
        self._show(said)
        if action == "naming":
            self.focus_on("[data-name='name']")

    def _choose(self, name: str, subject: str, body: str) -> None:
        self._asked = ""
        if not name:
            self.chosen = ""
        elif (subject, body) in self._untouched:
            self._fill(name)
        else:
            self._asked = name

    def _fill(self, name: str) -> None:
        self._asked = ""
        template = templates.load(name)
        self.chosen = name
        self._untouched.add((template.subject, template.body))
        self._apply(template.subject, template.body)

    def _show(self, said: str = "") -> None:
        try:
            names = templates.names()
        except DocmailError as exc:
            names, said = (), said or markup.short_failure(exc)
        options = "".join(
            f'<option value="{escape(name)}"{" selected" if name == (self._asked or self.chosen) else ""}>'
            f"{escape(name or _('none'))}</option>"
            for name in ("", *names)
        )
        menu = f'<select id="{self._id}" data-name="template" data-live>{options}</select>'
        self.draw(menu=menu, more=self._more() + (f'<div role="status">{said}</div>' if said else ""))

    def _more(self) -> str:
        if self._asked:
            question = _("Replace subject and body by the template “{name}”?").format(name=self._asked)
            return (
                f'<div role="status" class="dm-question">{escape(question)}</div><div class="dm-asked">'
                + _button("replace", _("Replace my text"))
                + _button("keep", _("Keep my text"))
                + "</div>"
            )
        if self._naming:
            return (
                f'<div class="dm-asked"><input type="text" data-name="name" data-enter="save" maxlength="64"'
                f' value="{escape(self._name)}" aria-label="{escape(_("Name of the template"))}"'
                f' placeholder="{escape(_("name, such as invoice"))}">'
                + _button("save", _("Save"))
                + _button("cancel", _("Cancel"))
                + "</div>"
            )
        links = _button("naming", _("Save this text as a template…"), style="dm-link")
        if self.chosen:
            links += _button("forget", _("Remove this template"), style="dm-link")
        return f'<div class="dm-links">{links}</div>'


def _button(action: str, label: str, *, style: str = "jupyter-button widget-button") -> str:
    careful = " data-careful" if action in {"replace", "forget"} else ""
    return f'<button type="button" class="{style}" data-press="{action}"{careful}>{escape(label)}</button>'
