"""What mail programs make of our mails, by the data of caniemail.com: all is shown, or the guide says what is not."""

from __future__ import annotations

import json
import re
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest

from docmail import presets
from tests.support.mails import BODIES, LOOKS, html_of
from tests.support.requires import require_npm

PROGRAMS = {
    "Outlook on Windows": ("outlook", ["windows"]),
    "Gmail": ("gmail", None),
    "Apple Mail": ("apple-mail", None),
    "Yahoo Mail": ("yahoo", None),
    "Samsung Email": ("samsung-email", None),
}
GUIDE = "What do mail programs leave out?"

# What the data has no entry for, because every program has had it from the beginning.
EVERYWHERE = {
    "property color", "selector :root", "element a", "element body", "element br", "element caption", "element em",
    "element head", "element html", "element tfoot", "attribute colspan", "attribute rowspan", "attribute scope",
    "element meta", "element tbody", "element td", "element th", "element thead", "element tr", "attribute alt",
    "attribute bgcolor", "attribute border", "attribute charset", "attribute class", "attribute content",
    "attribute href", "attribute name", "attribute src", "attribute style", "attribute xmlns:o",
}  # fmt: skip
# By which name the data has what our mails have; without an entry here, it has the same.
NAMES = {
    "attribute cellspacing": "html-cellspacing",
    "attribute color-scheme": "html-meta-color-scheme",
    "element li": "html-lists",
    "element ol": "html-lists",
    "element ul": "html-lists",
    **{f"element h{level}": "html-h1-h6" for level in range(1, 7)},
    "property border-bottom": "css-border",
    "property border-color": "css-border",
    "property border-left": "css-border",
    "property border-top": "css-border",
    "property font-family": "css-font",
    "property overflow-x": "css-overflow",
    "property padding-left": "css-padding",
    "property padding-right": "css-padding",
    "property supported-color-schemes": "html-meta-color-scheme",
}
# What a program has in part, and why our mails are in the part that it has, or lose nothing.
IN_PART = {
    "css-at-media": "widths alone; in Gmail, only in the mailboxes of Google",
    "css-background": "the bars of a styled table, which has its colours as background-color",
    "css-border": "at most 4 pixels wide, and on tables, cells and quotations",
    "css-display": "block and none",
    "css-display-none": "of a span",
    "css-float": "left; only on phones",
    "css-font-size": "in pixels, none below 12 for a text",
    "css-font-weight": "bold",
    "css-height": "of cells, which have the attribute as well",
    "css-important": "in style elements, in small letters, with a blank before it",
    "css-linear-gradient": "two colours that meet, from left to right",
    "css-line-height": "as a number, and in pixels where there is no text",
    "css-margin": "no negative ones and no auto",
    "css-max-width": "the column is a table, and a figure has its width as an attribute",
    "css-overflow": "of a box around a styled table, sideways",
    "css-overflow-wrap": "word-wrap says the same",
    "css-padding": "of cells; lists and quotations have one that Word makes itself",
    "css-selector-class": "in Gmail, only in the mailboxes of Google",
    "css-selector-descendant": "the same",
    "css-selector-grouping": "the same",
    "css-selector-type": "the same",
    "css-text-align": "left and right; start only where two scripts meet",
    "css-text-decoration": "line-through",
    "css-text-indent": "a negative one; without it, the number of an item begins its line",
    "css-white-space": "pre-wrap and nowrap",
    "css-width": "of tables and cells; a figure has it as an attribute",
    "css-word-break": "break-word, break-all",
    "css-word-wrap": "break-word",
    "html-dir": "not of links",
    "html-height": "of cells and pictures",
    "html-lang": "of the whole mail",
    "html-lists": "without a sign of their own",
    "html-mailto-links": "without a subject",
    "html-role": "of tables",
    "html-style": "in the head, below 16 kB",
    "html-width": "of cells, tables and pictures, in pixels",
}


class Features(HTMLParser):
    """Collects what a mail needs of a program that shows it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._in_style = False
        self._style = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element, its attributes and its style."""
        self.found.add(f"element {tag}")
        self._in_style = tag == "style"
        for name, value in attrs:
            said = value or ""
            if tag == "meta" and name == "name":
                self.found |= {f"attribute {said}"} & {"attribute color-scheme"}
            elif name == "style":
                self._declarations(said)
            elif name == "href" and said.startswith("mailto:"):
                self.found.add("html-mailto-links")
            elif name == "src":
                self.found |= {"image-png"} if "image/png" in said else set()
            self.found.add(f"attribute {name}")

    def handle_endtag(self, tag: str) -> None:
        """Read a style element once it is whole."""
        if tag == "style":
            self._in_style = False
            self._sheet(self._style)
            self._style = ""

    def handle_decl(self, decl: str) -> None:
        """Take note of the kind of document."""
        assert decl == "DOCTYPE html"
        self.found.add("html-doctype")

    def handle_comment(self, data: str) -> None:
        """Only Outlook reads what stands between these."""
        assert data.startswith("[if mso]>")
        assert data.endswith("<![endif]")
        self.found.add("html-comments")

    def handle_data(self, data: str) -> None:
        """Keep what stands in a style element."""
        if self._in_style:
            self._style += data

    def _sheet(self, data: str) -> None:
        for condition, rules in re.findall(r"@media \(([^)]+)\) \{\n((?:[^{}]+\{[^{}]*\}\s*)+)\}", data):
            self.found.add("css-at-media-prefers-color-scheme" if "color-scheme" in condition else "css-at-media")
            self._rules(rules)
        self._rules(re.sub(r"@media [^{]+\{\n(?:[^{}]+\{[^{}]*\}\s*)+\}", "", data))

    def _rules(self, text: str) -> None:
        rest = re.sub(r"([^{}]+)\{([^{}]*)\}", "", text).strip()
        assert not rest
        for selectors, declarations in re.findall(r"([^{}]+)\{([^{}]*)\}", text):
            self._declarations(declarations)
            several = selectors.split(",")
            self.found |= {"css-selector-grouping"} if len(several) > 1 else set()
            for selector in several:
                parts = selector.split()
                self.found |= {"css-selector-descendant"} if len(parts) > 1 else set()
                for part in parts:
                    if part == ":root":
                        self.found.add("selector :root")
                    else:
                        assert re.fullmatch(r"\.?[a-z-]+", part), part
                        self.found.add("css-selector-class" if part.startswith(".") else "css-selector-type")

    def _declarations(self, text: str) -> None:
        for declaration in filter(None, map(str.strip, text.split(";"))):
            name, colon, value = declaration.partition(":")
            assert colon, declaration
            self.found |= {"css-linear-gradient"} if "linear-gradient(" in value else set()
            if value.endswith("!important"):
                self.found.add("css-important")
            self.found.add(
                "css-display-none" if declaration.startswith("display: none") else f"property {name.strip()}"
            )
            self.found |= {
                f"css-unit-{unit.replace('%', 'percent')}" for unit in re.findall(r"\d(px|%|em|rem|vw)", value)
            }


@cache
def needed() -> frozenset[str]:
    """Return the names in the data of all that our mails have."""
    found = frozenset[str]().union(*(Features(html_of(body, look)).found for body in BODIES for look in LOOKS))
    names = {each for each in found if each not in EVERYWHERE}
    kinds = {"property": "css-", "element": "html-", "attribute": "html-"}

    def name_of(feature: str) -> str:
        kind, _blank, name = feature.partition(" ")
        return NAMES.get(feature) or (f"{kinds[kind]}{name}" if name else feature)

    return frozenset(map(name_of, names))


def data() -> dict[str, Any]:
    path = require_npm("caniemail") / "data" / "caniemail.json"
    return {feature["slug"]: feature for feature in json.loads(path.read_text("utf-8"))["data"]}


def support(feature: dict[str, Any], program: str) -> set[str]:
    """Return how the newest versions of a program support something: y, n, a (in part), u (unknown)."""
    family, kinds = PROGRAMS[program]
    found = feature["stats"].get(family, {})
    return {list(versions.values())[-1][0] for kind, versions in found.items() if kinds is None or kind in kinds}


def test_the_data_know_everything_that_our_mails_have() -> None:
    assert needed() - data().keys() == set()


def test_what_a_program_does_not_show_is_named_in_the_guide_with_what_one_sees_instead() -> None:
    known = data()
    missing = {
        slug: {program for program in PROGRAMS if "n" in support(known[slug], program)}
        for slug in needed() & known.keys()
    }
    lost = {known[slug]["title"].strip(): programs for slug, programs in missing.items() if programs}
    table = re.findall(r"^\| (`.+?) \| (.+?) \| (.+?) \|$", presets.guide(GUIDE).markdown, re.MULTILINE)
    listed = {
        name: set(programs.split(", ")) for names, programs, _seen in table for name in re.findall(r"`([^`]+)`", names)
    }
    assert listed == lost


def test_what_a_program_shows_in_part_is_used_in_that_part() -> None:
    known = data()
    partly = {
        slug for slug in needed() & known.keys() if any("a" in support(known[slug], program) for program in PROGRAMS)
    }
    assert partly == IN_PART.keys()
    for body in BODIES:
        for look in LOOKS:
            html = html_of(body, look)
            assert not re.search(r"margin[^;\"]*: [^;\"]*(-\d|auto)", html)
            assert max(map(int, re.findall(r"border[a-z-]*: (\d+)px", html)), default=0) <= 8
            assert len("".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))) < 16_000


@pytest.mark.parametrize("look", LOOKS)
def test_the_column_is_a_table_of_600_pixels_for_outlook_and_shrinks_elsewhere(look: str) -> None:
    html = html_of("report", look)
    [ghost] = re.findall(r"<!--\[if mso\]><table ([^>]*)>", html)
    assert 'width="600"' in ghost
    assert html.count("<!--[if mso]></td></tr></table><![endif]-->") == 1
    assert re.search(r'<table [^>]*style="width: 100%; max-width: 600px; table-layout: fixed', html)
    for tag in ("table", "tr", "td", "th", "div", "p", "ul", "ol"):
        assert len(re.findall(rf"<{tag}[ >]", html)) == html.count(f"</{tag}>"), tag
