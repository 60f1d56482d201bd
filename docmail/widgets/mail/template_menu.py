"""Templates in the mail form: one is chosen for subject and body, and what stands there is kept as one.

Besides those that a person kept there are some to begin with, and the fields that a text may use are named here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from markupsafe import Markup

from docmail import templates
from docmail.errors import DocmailError
from docmail.language import _, current
from docmail.widgets.parts import markup
from docmail.widgets.parts.markup import LINK, button, joined, tag
from docmail.widgets.parts.painted import Painted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["TemplateMenu"]


_LONGEST = 60  # letters of a value that a field has


class TemplateMenu(Painted):
    """A row of the mail form; `apply(subject, body)` is called with the text that is to stand there.

    `begun` is the template with which the form began. `in_subject` fills in the fields of a subject that is not a
    person's own. What was typed is never overwritten before a person has agreed.
    """

    def __init__(
        self,
        subject: str,
        body: str,
        apply: Callable[[str, str], None],
        begun: str = "",
        *,
        in_subject: Callable[[str], str] = lambda subject: subject,
        _dom_classes: Sequence[str] = (),
    ) -> None:
        self._apply = apply
        self._in_subject = in_subject
        self._untouched = {("", ""), (subject, body)}
        """What may be overwritten: nobody typed it here."""
        self.chosen = begun
        self._own: tuple[str, ...] = ()
        self._asked = ""
        self._naming = False
        self._name = ""  # as it was typed
        self._id = f"docmail-{uuid4().hex}"
        super().__init__(
            self._pressed,
            stored=tag("label", _("Template"), class_="widget-label", for_=self._id)
            + tag("div", markup.zones("menu", "more", "fields"), class_="dm-templates"),
            reads=["subject", "body"],
            _dom_classes=_dom_classes,
        )
        self.on_ready = self._show

    def _pressed(self, action: str, _id: str, values: dict[str, Any]) -> None:
        subject, body = str(values.get("subject", "")), str(values.get("body", ""))
        said = markup.NOTHING
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
        subject = template.subject if name in templates.names() else self._in_subject(template.subject)
        self.chosen = name
        self._untouched.add((subject, template.body))
        self._apply(subject, template.body)

    def show_fields(self, known: Mapping[str, Any]) -> None:
        """Name the fields that subject and body may use, each as a button that writes it there."""
        places = {name: f"{{{{ {name} }}}}" for name in map(str, known) if name.isidentifier()}
        buttons = [
            tag("button", place, type="button", class_=f"{LINK} dm-place", data_insert=place, title=_now(known[name]))
            for name, place in places.items()
        ]
        label = tag("span", _("fields:"), class_="dm-facts")
        shown = tag("div", label + joined(buttons), class_="dm-places", role="group", aria_label=_("Insert a field"))
        self.draw(fields=shown)

    def _show(self, said: Markup = markup.NOTHING) -> None:
        try:
            self._own = templates.names()
        except DocmailError as exc:
            self._own, said = (), said or markup.short_failure(exc)
        names = [*self._own, *(starter.name for starter in templates.starters(current()))]
        names += [self.chosen] if self.chosen else []  # perhaps in another language
        choices = {"": _("none")} | {name: name for name in names}
        self.draw(
            menu=markup.menu("template", choices, self._asked or self.chosen, id=self._id, data_live=True),
            more=self._more() + markup.status(said),
        )

    def _more(self) -> Markup:
        if self._asked:
            question = _("Replace subject and body by the template “{name}”?").format(name=self._asked)
            return Markup('<div role="status" class="dm-question">{}</div><div class="dm-asked">{}{}</div>').format(
                question, button("replace", _("Replace my text"), careful=True), button("keep", _("Keep my text"))
            )
        if self._naming:
            labels = {"aria_label": _("Name of the template"), "placeholder": _("name, such as invoice")}
            name = markup.entry("name", self._name, data_enter="save", maxlength=64, **labels)
            asked = [name, button("save", _("Save")), button("cancel", _("Cancel"))]
            return tag("div", joined(asked), class_="dm-asked")
        links = [button("naming", _("Save this text as a template…"), style=LINK)]
        if self.chosen in self._own:
            links.append(button("forget", _("Remove this template"), style=LINK, careful=True))
        return tag("div", joined(links), class_="dm-links")


def _now(value: Any) -> str:
    """Return what a field stands for at the moment."""
    if value is None:
        return _("has no value yet")
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
