"""A mail as it arrives: its own HTML in a frame where nothing runs and from which nothing leaves, and its plain text.

The frame shows a page of ours, and in that a second frame whose page is the mail's HTML, byte for byte. The mail may
come from anywhere; what holds it, each for itself:

- `sandbox` without allow-scripts, allow-forms, allow-popups and allow-top-navigation (HTML, "sandboxing"): no script,
  handler, javascript: link or `<meta http-equiv=refresh>` runs, no form is sent, no window opens.
- the policy of our page, which a page in `srcdoc` inherits before its first byte is read (HTML, "policy containers").
  Nothing is loaded but pictures that are in the mail, and the mail's frame goes nowhere else (CSP 3, frame-src).
- `rendered_mail.js` shows where a link leads, and follows none.

`allow-same-origin` lets our script measure the page, so that the frame gets its height; without it nobody can, and
every letter would be looked at through a slit. It is dangerous with allow-scripts only, as the HTML standard warns:
what is inside could then take its sandbox off. Without scripts nothing inside can make use of an origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from docmail.language import _
from docmail.text import size_of
from docmail.widgets.parts import markup
from docmail.widgets.parts.markup import NOTHING, joined, tag

if TYPE_CHECKING:
    from docmail.message import Arrived

__all__ = ["KEPT", "kept", "rendered"]

KEPT = 100_000
"""Characters of a mail that a notebook keeps; a picture of 5 MB in it would be 7 MB in the file, and in its history."""

_SANDBOX = "allow-same-origin"
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
_HEAD = Markup(
    '<!DOCTYPE html><html><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{}">'
    '<meta name="referrer" content="no-referrer"><title>{}</title><style>{}</style></head><body>{}</body></html>'
)
_FRAMED = Markup(
    ":root { color-scheme: light dark } html, body { height: 100%; margin: 0; overflow: hidden }"
    " iframe { display: block; width: 100%; height: 100%;"
    " border: 0 }"
)
_NOWHERE = '<base target="_blank">'
"""A link would lead to another window, which the sandbox lets nobody open, where our script does not run."""

_PLAIN = "white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; font: 14px/1.5 sans-serif"
_LINE_HEIGHT, _LINE_LENGTH = 24, 80
_LEAST, _MOST = 120, 480
"""The height of a frame that nobody measures, in pixels."""


def rendered(mail: Arrived) -> Markup:
    """Return a mail as a view draws it, to be brought to life by `rendered_mail.js`.

    How it can be looked at is what the buttons say in `data-look`, which `rendered_mail.css` knows.
    """
    if _is_empty(mail):
        return tag("div", markup.aside(_("This mail has no text.")), class_="dm-mail-empty")
    looks = {"desktop": _("Desktop"), "phone": _("Phone"), "dark": _("Dark"), "text": _("Text")}
    buttons = (
        tag("button", words, type="button", class_="dm-look", data_look=look, aria_pressed="false")
        for look, words in looks.items()
    )
    label = _("The mail as it arrives")
    text = mail.text if mail.text.strip() else _("This mail has no plain text.")
    parts = (
        tag("div", joined(buttons), class_="dm-looks", role="group", aria_label=_("Show the mail as")),
        tag("div", _frame(mail), class_="dm-mail-paper", tabindex=0, role="group", aria_label=label),
        tag("pre", text, class_="dm-mail-text", tabindex=0, role="group", aria_label=_("Plain text of the mail")),
        tag("div", class_="dm-mail-link", role="status", data_leads=_("This link leads to {address}")),
        *([tag("div", said, class_="dm-facts")] if (said := _left_out(mail)) else []),
    )
    return tag("div", joined(parts), class_="dm-mail")


def kept(mail: Arrived) -> Markup:
    """Return a mail as a notebook keeps it; what cleans its HTML for readers takes the frame, and leaves the text."""
    if _is_empty(mail):
        return markup.paragraph(_("This mail has no text."))
    look = "width: 100%; height: {}px; border: 1px solid #ccc; background: #fff; color-scheme: light"
    frame = _frame(mail, style=look.format(_guessed_height(mail)))
    text = tag("pre", mail.text, style="white-space: pre-wrap; unicode-bidi: plaintext")
    said = _left_out(mail)
    return joined(
        [
            frame,
            markup.folded(_("Text"), text) if mail.text else NOTHING,
            markup.paragraph(said) if said else NOTHING,
        ]
    )


def _is_empty(mail: Arrived) -> bool:
    return not (mail.html.strip() or mail.text.strip() or mail.pictures_left_out or mail.shortened)


def _frame(mail: Arrived, **attributes: object) -> Markup:
    title = _("The mail as it arrives")
    html = mail.html or tag("pre", mail.text, style=_PLAIN)
    # `str`, because the mail's HTML is text here: it is the value of an attribute.
    inner = tag("iframe", title=title, sandbox=_SANDBOX, srcdoc=_NOWHERE + str(html))
    page = _HEAD.format(_POLICY, title, _FRAMED, inner)
    return tag("iframe", title=title, sandbox=_SANDBOX, srcdoc=str(page), **attributes)


def _left_out(mail: Arrived) -> str:
    said = []
    if mail.pictures_left_out:
        size = size_of(mail.pictures_left_out)
        said.append(_("Pictures in the mail are left out here ({size}).").format(size=size))
    if mail.shortened:
        said.append(_("The mail is too long to be shown whole here."))
    return " ".join(said)


def _guessed_height(mail: Arrived) -> int:
    """Return the height that a mail may need, in pixels: of its text, or of its pictures."""
    lines = sum(1 + len(line) // _LINE_LENGTH for line in mail.text.split("\n"))
    needed = _MOST if "data:image" in mail.html else lines * _LINE_HEIGHT
    return min(max(needed, _LEAST), _MOST)
