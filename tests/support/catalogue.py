"""Keeps the catalogues in step with docmail's sentences; Babel reads, writes and compiles them.

`make catalogue` runs this. A new language is a new code in LANGUAGES; its empty catalogue then comes from here as well.
"""

from __future__ import annotations

import ast
import sys
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import docmail
from docmail import presets
from docmail.language import LOCALE
from docmail.replies import known

if TYPE_CHECKING:
    from collections.abc import Iterator

LANGUAGES = ("af",)
PACKAGE = Path(docmail.__file__).parent
TEXTS_OF = {"_": 1, "ngettext": 2}
"""The functions that say something, with how many of their arguments are texts."""


class PlainCatalog(Catalog):
    """A catalogue that says about itself what gettext needs, and no dates or names, which change without reason."""

    def _get_mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Project-Id-Version", "docmail"),
            ("Language", self.locale_identifier or ""),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", self.plural_forms),
        ]

    # The first entry of the file. A property that can be set in Babel stays one.
    mime_headers = property(_get_mime_headers, Catalog._set_mime_headers)


def po_file(language: str) -> Path:
    """Return where translators write."""
    return LOCALE / language / "LC_MESSAGES" / "docmail.po"


def calls(path: Path) -> Iterator[tuple[int, list[ast.expr]]]:
    """Return what a module hands to gettext, call by call, with the lines.

    Babel's own extraction overlooks a call within an f-string before Python 3.12.
    """
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TEXTS_OF:
            yield node.lineno, node.args[: TEXTS_OF[node.func.id]]


def sentences() -> Catalog:
    """Return everything that docmail says: the sentences of its modules, of `presets.toml` and of `known.toml`."""
    found = Catalog()
    for path in sorted(PACKAGE.rglob("*.py")):
        for _line, texts in calls(path):
            literals = [text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)]
            if len(literals) == len(texts):
                found.add(literals[0] if len(literals) == 1 else tuple(literals))
    for message in presets.messages():
        found.add(message)
    for reply in chain.from_iterable(map(known.table, known.tables())):
        found.add(reply.message)
        found.add(reply.hint)
    return found


def read(language: str) -> Catalog:
    """Return the catalogue of a language as it stands in its file, obsolete entries included."""
    with po_file(language).open("rb") as file:
        return read_po(file, locale=language)


def updated(language: str) -> Catalog:
    """Return the catalogue with exactly the sentences that docmail says today; new ones are empty."""
    old = read(language) if po_file(language).exists() else Catalog()
    new = PlainCatalog(locale=language, header_comment="# docmail's sentences in another language.", fuzzy=False)
    for message in sentences():
        if message.id:
            known = old.get(message.id)
            # A sentence that has got a plural since is translated anew.
            kept = known.string if known and not known.fuzzy and known.pluralizable == message.pluralizable else ""
            new.add(message.id, kept)
    return new


def written(catalogue: Catalog) -> bytes:
    """Return the catalogue as text: sorted and without line numbers, so that a difference shows what changed."""
    file = BytesIO()
    write_po(file, catalogue, width=0, no_location=True, sort_output=True, ignore_obsolete=True)
    return file.getvalue()


def compiled(catalogue: Catalog) -> bytes:
    """Return the catalogue as gettext reads it."""
    file = BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def main() -> None:
    """Bring the files of every language up to date."""
    for language in LANGUAGES:
        catalogue = updated(language)
        path = po_file(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(catalogue))
        path.with_suffix(".mo").write_bytes(compiled(catalogue))
        waiting = sum(1 for message in catalogue if message.id and not (message.string and all(message.string)))
        sys.stdout.write(f"{path}: {waiting} of {len(catalogue)} sentences wait for their translation.\n")


if __name__ == "__main__":
    main()
