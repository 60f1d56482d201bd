"""What stands around the text of a mail in HTML: a column of 600 pixels, letterhead, signature; light and dark.

Outlook on Windows shows mails with Word's engine, which lays out tables and knows no `max-width` elsewhere: the column
is a table, inside another one that only Outlook sees. All else that some programs leave out is in two style elements,
without which the mail is still whole: the narrow column of a phone, and the colours of a dark one. The guide *Looks of
mail* lists what is left out where; a test compares both with the data of caniemail.com.

A mail without a letterhead sets neither a ground nor a colour for its text: both are the reader's own, in the dark as
well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from docmail.look import lightened, readable

if TYPE_CHECKING:
    from docmail.look import Look

__all__ = ["FONT", "column", "page"]

FONT = "font-family: Segoe UI, Helvetica Neue, Helvetica, Arial, sans-serif; font-size: 15px; line-height: 1.5"
_WIDTH, _PADDING = 600, 32
_TEXT, _CARD, _GROUND = "#1f2933", "#ffffff", "#f2f4f6"
_DARK_TEXT, _DARK_CARD, _DARK_GROUND = "#e4e7eb", "#1c2127", "#12161a"
_QUIET, _DARK_QUIET = "#5f6b77", "#a3adb8"
_RULE, _DARK_RULE = "#dde2e7", "#39424b"
_LINK, _DARK_LINK = "#0b5cad", "#8ab8f0"

# No line begins with a dot: SMTP doubles it on the way (RFC 5321 4.5.2), and not every program takes it back.
_PHONE = f"""\
@media (max-width: 480px) {{
 .dm-pad {{ padding-left: 20px !important; padding-right: 20px !important }}
 .dm-table th, .dm-table td {{ padding: 6px 4px !important; font-size: 12px !important }}
 .dm-light th, .dm-light td {{ padding: 5px 4px !important; font-size: 11px !important }}
 .dm-stack thead {{ display: none !important }}
 .dm-stack, .dm-stack tbody, .dm-stack tr, .dm-stack td {{ display: block !important; width: auto !important }}
 .dm-stack tr {{ padding: 8px 0 !important; border-bottom: 1px solid {_RULE} !important }}
 .dm-stack td {{ padding: 2px 0 !important; border: 0 !important; text-align: right !important }}
 .dm-stack .dm-first {{ text-align: left !important; font-weight: bold !important; font-size: 14px !important }}
 .dm-stack td .dm-label {{ display: block !important; float: left !important; padding-right: 12px !important }}
 .dm-stack .dm-none, .dm-stack .dm-first .dm-label {{ display: none !important }}
}}
"""
_DARK = """\
@media (prefers-color-scheme: dark) {{
 .dm-page {{ background-color: {ground} !important }}
 .dm-bar {{ background-color: {ink} !important }}
 .dm-card {{ background-color: {card} !important; color: {text} !important }}
 .dm-table td, .dm-stack tr, .dm-rule {{ border-color: {rule} !important }}
 .dm-code {{ background-color: #2a3138 !important; color: {text} !important }}
 .dm-quiet {{ color: {quiet} !important }}
 .dm-ink, .dm-card a {{ color: {ink} !important }}
 .dm-light a {{ color: #0b5cad !important }}
}}
"""
# A font that it has, and pictures as large as their attributes say, on a screen of another density as well.
_OUTLOOK = Markup(
    "<!--[if mso]><style>body, table, td, th, p, li, h1, h2, h3 { font-family: Arial, sans-serif !important }</style>"
    "<xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml><![endif]-->\n"
)
_TABLE = Markup('<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"')


def column(look: Look) -> int:
    """Return how many pixels wide the text of a mail is, and so a figure in it."""
    return _WIDTH - 2 * _PADDING if look.has_letterhead else _WIDTH


def page(look: Look, lang: str, direction: str, logo: str, below: tuple[Markup, Markup]) -> tuple[Markup, Markup]:
    """Return what stands before the text of a mail, and what stands behind it.

    `logo` is the address of the logo's picture, if it has one; `below` are signature and footer, as HTML.
    """
    signature, footer = below
    padding = _PADDING if look.has_letterhead else 0
    before = Markup(
        '<!DOCTYPE html>\n<html lang="{}" dir="{}" xmlns:o="urn:schemas-microsoft-com:office:office">'
        '<head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">\n'
        "{}<style>{}</style>\n<style>:root {{ color-scheme: light dark }}\n{}</style></head>\n"
    ).format(lang, direction, _OUTLOOK, Markup(_PHONE), Markup(_dark(look)))  # noqa: S704 - colours of ours
    ground = Markup(' class="dm-page" bgcolor="{0}" style="background-color: {0}; ').format(_GROUND)
    ground = ground if padding else Markup(' style="')
    before += Markup('<body{0}margin: 0; padding: 0">\n{1}{0}width: 100%; table-layout: fixed">').format(ground, _TABLE)
    before += Markup('<tr><td{} style="padding: {}">\n{}\n').format(
        Markup(' align="center"') if padding else "", "24px 0" if padding else "8px", _outlook_column(look)
    )
    before += Markup('{}{} style="width: 100%; max-width: {}px; table-layout: fixed{}">\n').format(
        _TABLE,
        Markup(' class="dm-card" bgcolor="{}"').format(_CARD) if padding else "",
        _WIDTH,
        f"; background-color: {_CARD}; color: {_TEXT}" if padding else "",
    )
    before += _letterhead(look, logo)
    before += _row(padding and 28, padding, padding and (8 if signature else 28))
    after = Markup("</td></tr>\n")
    if signature:
        after += _row(0, padding, padding and 24) + _hairline() + signature + Markup("</td></tr>\n")
    after += Markup("</table>\n")
    if footer:
        after += Markup(
            '{} style="width: 100%; max-width: {}px; table-layout: fixed">\n{}{}</td></tr>\n</table>\n'
        ).format(_TABLE, _WIDTH, _row(12, padding, 0, quiet=True), footer)
    after += Markup("<!--[if mso]></td></tr></table><![endif]-->\n</td></tr></table>\n</body></html>\n")
    return before, after


def _row(above: int, beside: int, below: int, *, quiet: bool = False) -> Markup:
    """Return the beginning of a row with so much room around its text."""
    names = " ".join([*(["dm-pad"] if beside else []), *(["dm-quiet"] if quiet else [])])
    return Markup('<tr><td{} style="padding: {}px {}px {}px; {}{}; {}">\n').format(
        Markup(' class="{}"').format(names) if names else "",
        above,
        beside,
        below,
        f"color: {_QUIET}; " if quiet else "",
        FONT.replace("15px", "12px") if quiet else FONT,
        "word-wrap: break-word; overflow-wrap: break-word",
    )


def _outlook_column(look: Look) -> Markup:
    return Markup(
        '<!--[if mso]><table role="presentation" width="{}" align="{}" cellpadding="0" cellspacing="0" border="0">'
        "<tr><td><![endif]-->"
    ).format(_WIDTH, "center" if look.has_letterhead else "left")


def _letterhead(look: Look, logo: str) -> Markup:
    """Return the line in the company's colour, its logo and its name: the rows above the text."""
    rows = Markup()
    if look.colour:
        rows += Markup(
            '<tr><td class="dm-bar" height="4" bgcolor="{0}" style="height: 4px; line-height: 4px; font-size: 0; '
            'background-color: {0}">&nbsp;</td></tr>\n'
        ).format(look.colour)
    cells = Markup()
    picture = look.picture if logo else None
    if picture is not None:
        cells += Markup(
            '<td width="{0}" style="vertical-align: middle"><img src="{1}" alt="{2}" width="{0}" height="{3}" style='
            '"display: block; border: 0"></td>'
        ).format(picture.width, logo, look.name or "Logo", picture.height)
    if look.name and (picture is None or not picture.is_a_name):
        cells += Markup(
            '<td style="padding-left: {}px; vertical-align: middle; {}; font-size: 18px; font-weight: bold">{}</td>'
        ).format(14 if picture is not None else 0, FONT.partition("; font-size")[0], look.name)
    if not cells:
        return rows
    return rows + Markup(
        '<tr><td class="dm-pad" style="padding: 24px {}px 0">\n<table role="presentation" cellpadding="0"'
        ' cellspacing="0" border="0"><tr>{}</tr></table>\n{}</td></tr>\n'
    ).format(_PADDING, cells, _hairline(20, 0))


def _hairline(above: int = 8, below: int = 16) -> Markup:
    return Markup(
        '{} style="width: 100%"><tr><td class="dm-rule" height="{}" style="height: {}px; border-bottom: 1px solid {};'
        ' font-size: 0; line-height: 0">&nbsp;</td></tr>{}</table>\n'
    ).format(
        _TABLE,
        above,
        above,
        _RULE,
        Markup('<tr><td height="{0}" style="height: {0}px; font-size: 0; line-height: 0">&nbsp;</td></tr>').format(
            below
        )
        if below
        else "",
    )


def _dark(look: Look) -> str:
    return _DARK.format(
        ground=_DARK_GROUND,
        card=_DARK_CARD,
        text=_DARK_TEXT,
        rule=_DARK_RULE,
        quiet=_DARK_QUIET,
        ink=readable(lightened(look.colour, 0.2), _DARK_CARD) if look.colour else _DARK_LINK,
    )
