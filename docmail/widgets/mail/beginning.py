"""What a mail form begins with: the subject from the document's title, the text from the template of its kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from docmail import templates
from docmail.addresses import first_control
from docmail.documents import one_at_a_time
from docmail.errors import DocmailError

if TYPE_CHECKING:
    from docmail.documents import Document

__all__ = ["Beginning", "of", "title_of"]

_LONGEST = 150  # characters: more is no title

# What programs and people call a file when they call it nothing.
_NAMELESS = re.compile(
    r"(untitled|document|report|table|figure|output|out|tmp\w*|temp|file|export|download|print|scan\w*|new|test|pdf)?"
    r"[\s._()-]*\d*[\s._()-]*|[0-9a-f-]{16,}",
    re.IGNORECASE,
)
_NO_TITLE = re.compile(
    r"untitled.*|microsoft (word|excel|powerpoint) - .*|powerpoint presentation|(slide|document|book|presentation) ?\d*"
    r"|.*\.(docx?|xlsx?|pptx?|pdf|tex|dvi|indd|qxd|html?|tmp)|[\W_]*|none|null|title",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Beginning:
    """Subject and body as a form begins with them, and the name of the template they come from, if one fits."""

    subject: str = ""
    body: str = ""
    template: str = ""


def of(name: str, title: str) -> Beginning:
    """Return what a mail about a document of this file name and title begins with.

    Where its kind is not certain, that is the title alone.
    """
    starter = templates.starter_for(PurePath(name).stem) or templates.starter_for(title)
    if starter is None:
        return Beginning(title)
    try:
        kept = starter.name in templates.names()
        template = templates.load(starter.name)
    except DocmailError:
        return Beginning(title)  # the menu below says what is wrong with the kept ones
    return Beginning(template.subject if kept else title, template.body, template.name)


def title_of(document: Document) -> str:
    """Return what a person calls a document: by its file name, or if that says nothing, by the title within a PDF."""
    stem = PurePath(document.name).stem.strip()
    if _NAMELESS.fullmatch(stem) and (inner := _inner_title(document)):
        return inner
    # "Q3_report" is a file's way to write "Q3 report".
    return stem if " " in stem else " ".join(stem.replace("_", " ").split()) or stem


def _inner_title(document: Document) -> str:
    """Return the title that a PDF gives itself; nothing if it has none, or one that its program made up."""
    if not document.is_pdf:
        return ""
    import pypdfium2

    try:
        with one_at_a_time, document.open() as file:
            pdf = pypdfium2.PdfDocument(file)
            try:
                title = " ".join(pdf.get_metadata_value("Title").split())
            finally:
                pdf.close()
    except (DocmailError, OSError, pypdfium2.PdfiumError):
        return ""
    wrong = len(title) > _LONGEST or first_control(title) or _NO_TITLE.fullmatch(title)
    return "" if wrong else title
