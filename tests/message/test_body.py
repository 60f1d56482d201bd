"""The text of a mail arrives as people read it: HTML with pictures and tables, and plain text that needs neither."""

from __future__ import annotations

import contextlib
import datetime as dt
import email
import io
import os
import re
import subprocess
import termios
from dataclasses import replace
from email import policy
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

import docmail
from docmail.documents import Document
from docmail.errors import MessageError
from docmail.message import Message, draft, markdown_to_html, markdown_to_text
from docmail.outbox.entry import body_digest
from docmail.settings import Settings, SmtpServer
from docmail.templates import fill
from docmail.text import marks_of, tokens_of
from docmail.transport.http.forms import fields_of
from tests.message.test_message import ME, assert_fit_for_smtp, text_of, wire
from tests.support.requires import require_program

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

    from docmail.sandbox import Sandbox

PDF = b"%PDF-1.4 %%EOF"
DATA: dict[str, list[Any]] = {
    "Region": ["North", "S|o*uth"],
    "Revenue": [1234.5, 20.25],
    "Note": [None, "x\ny"],
}
FRAME = pd.DataFrame(DATA)


def figure(title: str = "Revenue", size: tuple[float, float] = (4, 2)) -> Figure:
    made = Figure(figsize=size)
    axes = made.subplots()
    axes.plot([1, 3, 2])
    axes.set_title(title)
    return made


def parsed(message: Message, settings: Settings = ME) -> EmailMessage:
    content = wire(message.render(settings))
    assert_fit_for_smtp(content)
    return email.message_from_bytes(content, policy=policy.default)


def kinds(part: Any) -> Any:
    """Return the tree of media types of a mail."""
    kind = part.get_content_type()
    return (kind, [kinds(each) for each in part.iter_parts()]) if part.is_multipart() else kind


# --- pictures and tables in the text ---


def test_figures_stand_in_the_text_and_travel_beside_the_html() -> None:
    message = Message("a@example.com", "Q3", ["Hello", figure(), "and", figure("Cost"), "Bye"], PDF)
    mail = parsed(message)
    pictures = ["text/html", "image/png", "image/png"]
    assert kinds(mail) == (
        "multipart/mixed",
        [("multipart/alternative", ["text/plain", ("multipart/related", pictures)]), "application/pdf"],
    )
    html = text_of(mail, "html")
    sources = re.findall(r'<img [^>]*src="cid:([^"]+)" width="600" alt="([^"]+)"', html)
    related = next(part for part in mail.walk() if part.get_content_type() == "multipart/related")
    assert related.get_param("type") == "text/html"
    _html, *parts = related.iter_parts()
    assert [part["Content-ID"] for part in parts] == [f"<{name}>" for name, _alt in sources]
    assert [alt for _name, alt in sources] == ["Revenue", "Cost"]
    assert [part.get_content_disposition() for part in parts] == ["inline", "inline"]
    assert Image.open(io.BytesIO(parts[0].get_content())).size == (1200, 600)  # twice as many dots as pixels
    assert text_of(mail, "plain") == "Hello\n\n[Revenue]\n\nand\n\n[Cost]\n\nBye\n"
    assert [part.get_filename() for part in mail.iter_attachments()] == ["document.pdf"]
    assert not [part.defects for part in mail.walk() if part.defects]


def test_a_mail_with_pictures_alone_needs_no_other_parts() -> None:
    mail = parsed(Message("a@example.com", "Q3", figure("")))
    assert kinds(mail) == (
        "multipart/alternative",
        ["text/plain", ("multipart/related", ["text/html", "image/png"])],
    )
    assert text_of(mail, "plain") == "[Figure 1]\n"
    rendered = Message("a@example.com", "Q3", figure()).render(ME)  # once: the Message-ID has no fixed length
    assert rendered.size == len(wire(rendered))


def test_the_same_picture_twice_in_two_mails_has_two_names() -> None:
    message = Message("a@example.com", "Q3", figure())
    names = {re.search(rb"Content-ID: (<[^>]+>)", wire(message.render(ME)))[1] for _ in range(2)}  # type: ignore[index]
    assert len(names) == 2


def test_what_stands_outside_the_axes_is_in_the_picture() -> None:
    """A legend beside the axes was cut off, though the notebook had shown it."""
    wide = figure(size=(4, 2))
    wide.axes[0].plot([2, 2], label="a long label beside the axes")
    wide.axes[0].legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    [picture] = Message("a@example.com", "Q3", wide).body.pictures
    width, height = Image.open(io.BytesIO(picture.content)).size
    assert width > 1500
    assert height == 600
    assert picture.width == 600


@pytest.mark.parametrize(
    ("inches", "shown", "dots"), [(3.7, 355, 710), (4, 600, 1200), (6.4, 600, 1200), (16, 600, 1200)]
)
def test_a_figure_is_as_wide_as_the_text_and_sharp_or_as_small_as_it_was_made(
    inches: float, shown: int, dots: int
) -> None:
    [picture] = Message("a@example.com", "Q3", figure(size=(inches, 2))).body.pictures
    assert picture.width == shown
    assert Image.open(io.BytesIO(picture.content)).width == dots


@pytest.mark.parametrize("frame", [FRAME, pl.DataFrame(DATA)], ids=["pandas", "polars"])
def test_a_small_table_is_a_table_in_both(frame: Any) -> None:
    mail = parsed(Message("a@example.com", "Q3", ["Hello", frame]))
    html = text_of(mail, "html")
    assert html.count("<tr>\n") == 3
    assert re.search(r'<th style="[^"]*text-align: right[^"]*">Revenue</th>', html)
    assert re.search(r'<td style="border-bottom: 1px solid[^"]*">S\|o\*uth</td>', html)
    assert text_of(mail, "plain") == (
        "Hello\n\nRegion    Revenue  Note\n-------  --------  ----\nNorth    1,234.50\nS|o*uth     20.25  x y\n"
    )


def test_numbers_in_a_table_have_the_signs_of_a_language_and_dates_stay_as_they_are() -> None:
    days = [dt.date(2026, 11, 30), dt.date(2026, 12, 1)]
    table = pd.DataFrame({"day": days, "balance": [182450.5, -1234.25]})
    for locale, first, second in ((None, "182,450.50", "1,234.25"), ("de", "182.450,50", "1.234,25")):
        mail = parsed(Message("a@example.com", "Q3", ["Hello 1,234.5", table], locale=locale))
        html, plain = text_of(mail, "html"), text_of(mail, "plain")
        assert f">{first}</td>" in html
        assert f">\u2212{second}</td>" in html
        assert ">2026-11-30</td>" in html
        assert [line.split() for line in plain.splitlines()[4:]] == [
            ["2026-11-30", first],
            ["2026-12-01", f"-{second}"],
        ]
        assert plain.startswith("Hello 1,234.5\n")
    with pytest.raises(MessageError, match="no locale") as caught:
        Message("a@example.com", "Q3", "Hello", locale="xx")
    assert caught.value.field == "locale"


def test_a_language_for_a_table_makes_no_other_mail_of_it_and_may_come_with_send_and_merge(box: Sandbox) -> None:
    given: dict[str, Any] = {"to": "a@example.com", "subject": "Q3", "key": "q3", "settings": box.settings}
    docmail.send((), **given, body=["Hello", FRAME], locale="de")
    assert docmail.send((), **given, body=["Hello", FRAME]).repeated
    assert "1.234,50" in (box.inbox[0].text or "")
    [message] = docmail.merge(
        [{"no": 1}], key="no", to="a@example.com", subject="x", body=lambda _row: FRAME, locale="de"
    )
    assert "1.234,50" in message.body


def test_a_message_keeps_its_pictures_when_it_is_changed_and_its_text_can_be_compared() -> None:
    message = Message("a@example.com", "Q3", ["Hello", figure()])
    again = replace(message, key="q3")
    assert again.body.pictures == message.body.pictures
    assert len(again.body.pictures) == 1
    assert body_digest(again) == body_digest(message) == body_digest(Message("b@example.com", "x", message.body))
    assert body_digest(Message("a@example.com", "Q3", ["Hello", figure("Cost")])) != body_digest(message)
    assert "PNG" not in repr(message)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (pd.DataFrame({"a": range(101)}), "A table of 101 rows and 1 columns is too large"),
        (pd.DataFrame([range(16)]), "Attach it as a document"),
        (pd.DataFrame(), "no columns"),
        (["x", 5], "must be text, not int"),
        (Figure().subplots(), "Give its figure: axes.figure"),
        ({"a": 1}, "Give text, a table, a figure or a picture"),
        ([["x"]], "must be text, not list"),
        (iter("x"), "must be text, not str_"),
        (figure(size=(8, 6)), "larger than 0 MB"),
        (figure("$\\nonsense{$"), "cannot save this figure"),
    ],
)
def test_what_cannot_stand_in_a_text_is_refused(body: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docmail.message.body._MAX_PICTURES", 10_000)
    with pytest.raises(MessageError, match=re.escape(words)) as caught:
        Message("a@example.com", "Q3", body)
    assert caught.value.field == "body"


def test_a_title_that_is_markup_or_has_lines_is_an_honest_caption() -> None:
    body = Message("a@example.com", "Q3", figure("*Q3*](x)\n<b>")).body
    assert 'alt="*Q3*](x) &lt;b&gt;"' in markdown_to_html(body)
    assert markdown_to_text(body) == "[*Q3*](x) <b>]\n"


def test_the_http_protocol_finds_the_html_and_says_that_it_carries_no_pictures() -> None:
    fields = fields_of(Message("a@example.com", "Q3", ["**Hello**", FRAME]).render(ME).parsed())
    assert "<strong>Hello</strong>" in fields["body"]
    with pytest.raises(MessageError, match="cannot send the pictures"):
        fields_of(Message("a@example.com", "Q3", ["**Hello**", figure()]).render(ME).parsed())


# --- plain text ---


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# Q3\n\nDear *Ann*,\n**thanks**!", "Q3\n==\n\nDear Ann,\nthanks!\n"),
        ("## Results", "Results\n-------\n"),
        ("### Small", "Small\n"),
        ("[the report](https://a.example/x_y)", "the report (https://a.example/x_y)\n"),
        (
            "<https://a.example/> and [https://b.example](https://b.example)",
            "https://a.example/ and https://b.example\n",
        ),
        ("<a@example.com> or [write](mailto:a@example.com)", "a@example.com or write (a@example.com)\n"),
        ("- one\n- two\n  - three\n\n1. a\n2. b", "- one\n- two\n  - three\n\n1. a\n2. b\n"),
        ("3. c\n4. d", "3. c\n4. d\n"),
        ("> quoted\n> twice\n>\n> more", "> quoted\n> twice\n>\n> more\n"),
        ("Run:\n\n```python\nx = 1\n    y\n```", "Run:\n\n    x = 1\n        y\n"),
        (
            "| a | price |\n|---|--:|\n| 日本 | 5 |\n| xyz | 1,000 |",
            "a     price\n----  -----\n日本      5\nxyz   1,000\n",
        ),
        ("![logo](https://a.example/l.png) ~~old~~ `code`", "[logo] ~~old~~ code\n"),
        ("a \\* b \\_c\\_", "a * b _c_\n"),
        ("one\n\n---\n\ntwo", f"one\n\n{'-' * 40}\n\ntwo\n"),
        ("<b>no html</b> **x**", "<b>no html</b> x\n"),
        ("| " + "w" * 60 + " | b |\n|---|---|\n| x | y |", f"{'w' * 60}  b\n{'-' * 40}  -\nx{' ' * 39}  y\n"),
    ],
)
def test_the_plain_text_says_it_without_marks(markdown: str, text: str) -> None:
    assert markdown_to_text(markdown) == text


def test_every_element_of_the_html_carries_its_own_style() -> None:
    html = markdown_to_html(
        "# a\n\n> b\n\n```\nc\n```\n\n| d |\n|---|\n| e |\n\n`f`\n\n- g\n\n---\n\n![h](https://a.example/h.png)"
    )
    for tag in ("h1", "blockquote", "pre", "table", "th", "td", "code", "ul", "hr", "img", "p"):
        assert re.search(rf'<{tag}(?: class="[^"]+")? style="[^"]+"', html), tag
    assert html.count("style=") == len(re.findall(r"<[a-z][^>]*style=", html))


# --- numbered lists ---


def shown(html: str) -> list[str]:
    """Return the lines of an HTML as they are read, where nothing is counted."""
    html = html.partition("<body")[2].partition(">")[2]
    assert "<ol" not in html
    lines = re.sub(r"<[^>]+>", "", re.sub(r"\n|</?(?:p|div|li|blockquote|h1|pre)\b[^>]*>|<br />", "\n", html)).split(
        "\n"
    )
    return [line for line in lines if line.strip()]


@pytest.mark.parametrize(
    ("markdown", "lines"),
    [
        ("31. Oktober: 100 EUR\n30. November: 120 EUR", ["31. Oktober: 100 EUR", "30. November: 120 EUR"]),
        ("3. a\n9. b\n22. c", ["3. a", "9. b", "22. c"]),
        ("3) a\n4) b", ["3) a", "4) b"]),
        ("1) a\n2) b", ["1) a", "2) b"]),
        ("1. a\n1. b", ["1. a", "1. b"]),
        ("2. a\n3. b", ["2. a", "3. b"]),
        ("007. Bond\n8. Smith", ["007. Bond", "8. Smith"]),
        ("0. a\n0. b", ["0. a", "0. b"]),
        ("2026.", ["2026."]),
        ("1986. A great year", ["1986. A great year"]),
        ("999999999. a\n1. b", ["999999999. a", "1. b"]),
        ("5. a\n\n7. b\n\n   more\n\n\n9. c", ["5. a", "7. b", "more", "9. c"]),
        ("5. a\n3) b\n4. c", ["5. a", "3) b", "4. c"]),
        ("5.\ta\n9.\tb", ["5. a", "9. b"]),
        ("   5. a\n  9. b", ["5. a", "9. b"]),
        ("12. a\nlazy\n10. b", ["12. a", "lazy", "10. b"]),
        ("- x\n\n  31. y\n  30. z\n- w", ["x", "31. y", "30. z", "w"]),
        ("31. y\n\n    7) z\n    9) q\n30. w", ["31. y", "7) z", "9) q", "30. w"]),
        ("> 5. a\n> 9. b", ["5. a", "9. b"]),
        ("5. a\n9. b\n# H\n3. c", ["5. a", "9. b", "H", "3. c"]),
        ("5. a\n9. b\n> q\n\n4. z", ["5. a", "9. b", "q", "4. z"]),
        ("5. a\n9. b\n```\n1. c\n```", ["5. a", "9. b", "1. c"]),
        ("12. # H\n14. > q\n13. - x", ["12.", "H", "14.", "q", "13.", "x"]),
        ("7.\n8. x\n7.", ["7.", "8. x", "7."]),
    ],
)
def test_each_item_of_a_list_keeps_its_number_and_its_sign(markdown: str, lines: list[str]) -> None:
    """Programs that show HTML count on from the first; the second of two dates was one that nobody had written."""
    assert shown(markdown_to_html(markdown)) == lines
    signs = [line.split()[0] for line in lines if line[0].isdigit()]
    assert re.findall(r"(?m)^[ >]*(?:- )?(\d+[.)])", markdown_to_text(markdown)) == signs


def test_a_list_that_counts_from_one_is_left_to_the_program_that_shows_it() -> None:
    assert re.search(r"<ol [^>]*>\n<li>a</li>\n<li>b</li>\n</ol>", markdown_to_html("1. a\n2. b"))
    assert markdown_to_text("1. a\n2. b") == "1. a\n2. b\n"


def test_long_lines_of_an_item_stand_below_its_text_and_not_below_its_number() -> None:
    html = markdown_to_html("31. a\n2026. b")
    assert (
        html.count('<div role="listitem" style="margin: 0 0 0 44px">\n<p style="margin: 0 0 4px; text-indent: -44px">')
        == 2
    )


ITEMS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 10**9 - 1).map(str), st.sampled_from(["007", "000", "1"])),
        st.sampled_from(["a", "b **c**", "~~d~~", "- e", "> f", "# g", "", "1. h"]),
        st.sampled_from(
            [[], [""], ["", ""], ["    more"], ["", "    - in", "    - it"], ["", "    7) in", "    5) it"]]
        ),
    ),
    min_size=1,
    max_size=8,
)


@given(ITEMS, st.sampled_from(".)"), st.sampled_from(["", "> "]))
@hypothesis_settings(deadline=None)
def test_whatever_the_items_hold_their_numbers_stay(
    items: list[tuple[str, str, list[str]]], sign: str, before: str
) -> None:
    written = []
    for number, text, below in items:
        written.append(f"{number}{sign} {text}")
        written += [" " * len(number) + line if line else "" for line in below]

    def marks(tokens: list[dict[str, Any]]) -> list[str]:
        return [mark for token in tokens if token["type"] == "list" for mark in marks_of(token)]

    blocks = tokens_of("".join(f"{before}{line}\n" for line in written))
    if before:
        ((kind, blocks),) = [(token["type"], token["children"]) for token in blocks if token["type"] != "blank_line"]
        assert kind == "block_quote"
    assert marks(blocks) == [number + sign for number, _text, _below in items]


# --- signs that are no markup ---


@pytest.mark.parametrize(
    "text",
    [
        "Kind regards\n-- \nBob",
        "Net 100.00\n====",
        "Net 100.00\n----------\nVAT 20.00",
        "Signed\n-\nBob",
        "2*3*4 and 10**6**2",
        "Open __init__.py, obj.__dict__ or src/__main__/x.py.",
        "snake_case_name and un*frigging*believable",
        "*.csv and *.txt, report_*.pdf",
        "x*y*(a+b)",
        "10~~20~~30",
        "6` by 5`",
        "f[i](x)",
        "[Anna]: hello",
        "100\n>100 units\n>= 5",
        "\\\\server\\share\\_new\\*.csv",
        "\\\\server",
        "C:\\_temp\\__x__ and D:\\#1\\(old)",
        "C:\\Program Files\\_a\\.venv",
        "..\\..\\_data",
        "Copy it to D:\\\nand call.",
    ],
)
def test_what_nobody_means_as_markup_is_what_was_typed(text: str) -> None:
    """A signature made a heading of the greeting, and a path lost its backslashes."""
    assert markdown_to_text(text).rstrip("\n") == text
    html = markdown_to_html(text)
    assert not re.search(r"<(?:h[1-6]|hr|em|strong|del|code|a|ul|ol|blockquote)\b", html)
    assert shown(html) == [line.replace(">", "&gt;").strip() for line in text.split("\n")]


def test_the_delimiter_of_a_signature_keeps_its_blank_beside_markup() -> None:
    """RFC 3676 4.3: by “-- ” programs know the signature, which they leave out of their replies."""
    mail = parsed(Message("a@example.com", "x", "**Hello**\n\nKind regards\n-- \nBob"))
    assert text_of(mail, "plain") == "Hello\n\nKind regards\n-- \nBob\n"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**Total:** 5", "<strong>Total:</strong> 5"),
        ("(*a*), **b**.", "(<em>a</em>), <strong>b</strong>."),
        ("_a_ __b__ ~~c~~", '<em>a</em> <strong>b</strong> <del style="text-decoration: line-through">c</del>'),
        ("这是**重要**的", "这是<strong>重要</strong>的"),
        ("[a](https://x.example/a_b_c)", '<a href="https://x.example/a_b_c">a</a>'),
        ("[x]\n\n[x]: https://x.example", '<a href="https://x.example">x</a>'),
        ("2*3*4 is *not* `2*3*5`", "2*3*4 is <em>not</em> <code"),
        ("a\\_b \\* c", "a_b * c"),
    ],
)
def test_what_is_markup_stays_so(text: str, html: str) -> None:
    assert html in markdown_to_html(text)


@pytest.mark.parametrize(
    ("text", "plain", "html"),
    [
        ("a<br>b", "a\nb\n", "a<br />\nb</p>"),
        ("a<BR/>\nb", "a\nb\n", "a<br />\nb</p>"),
        ("a\n<br>\nb", "a\n\nb\n", "a<br />\n<br />\nb</p>"),
        ("| a<br />b |\n|---|\n| c |", "a b\n---\nc\n", "a<br />\nb</th>"),
        ("`<br>`", "<br>\n", "&lt;br&gt;</code>"),
    ],
)
def test_a_typed_line_break_breaks_the_line(text: str, plain: str, html: str) -> None:
    assert markdown_to_text(text) == plain
    assert html in markdown_to_html(text)


def test_the_indentation_of_the_code_around_a_text_is_taken_away() -> None:
    """A text in a function became a block of code."""
    text = """
        Dear Ann,

        - one
          - two

        Bye
        """
    assert markdown_to_text(text).rstrip() == "Dear Ann,\n\n- one\n  - two\n\nBye"
    assert "<pre" not in markdown_to_html(text)
    assert markdown_to_text("Dear Ann,\n\n    thanks.\n\n    Bye\n") == "Dear Ann,\n\nthanks.\n\nBye\n"
    assert markdown_to_text("    Hello") == "Hello"
    assert "<li>two" in markdown_to_html("- one\n  - two")
    assert "<pre" in markdown_to_html("Run\nthis:\n\n    x = 1")
    mail = parsed(Message("a@example.com", "x", [text, FRAME, "\n    after\n"]))
    assert "<pre" not in text_of(mail, "html")


def test_lines_of_a_value_are_indented_as_the_template_around_them_is() -> None:
    body = fill("\n    Dear {{ name }},\n\n    {{ lines }}\n", {"name": "Ann", "lines": "a\nb"}, markdown=True)
    assert markdown_to_text(body).rstrip() == "Dear Ann,\n\na\nb"


def text_part(markdown: str) -> str:
    """Return the HTML of a text without what stands around it."""
    return re.sub(r"(?s).*?overflow-wrap: break-word\">\n|</td></tr>\n</table>\n<!--.*", "", markdown_to_html(markdown))


def test_each_block_begins_on_the_side_of_its_own_script() -> None:
    html = text_part("שלום **חנה**\n\nHello\n\n- אחת\n\n# كشف\n\n| א | b |\n|---|---|\n| 1 | ב |")
    assert re.findall(r"<(p|h1|li|t[hd]) ([^ >]+)", html) == [
        (tag, 'dir="auto"') for tag in ("p", "p", "li", "h1", "th", "th", "td", "td")
    ]
    assert "text-align: left" not in html
    assert "dir=" not in text_part("Hello\n\n- one")


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (FRAME.to_html(), "body=["),
        (f"Hello\n{FRAME.to_html()}", "body=["),
        (["Hello", FRAME.to_html()], "body=["),
        ("<p>Dear Ann</p>", "as Markdown"),
        ("Dear <b>Ann</b>", "as Markdown"),
        ("<html><body>Hello</body></html>", "as Markdown"),
        ('<a href="https://a.example">here</a>', "as Markdown"),
        ("<div>\n<style scoped>x</style>\n</div>", "as Markdown"),
    ],
)
def test_html_as_a_text_is_refused_with_the_line_that_does_it_right(body: Any, hint: str) -> None:
    """Its reader saw every tag."""
    with pytest.raises(MessageError, match="is HTML") as caught:
        Message("a@example.com", "x", body)
    assert hint in caught.value.hint
    assert caught.value.field == "body"


@pytest.mark.parametrize(
    "body", ["a < b > c", "Write `<b>x</b>`.", "```\n<p>x</p>\n```", "<a@b.example>", "<td> alone"]
)
def test_signs_of_less_and_greater_are_no_html(body: str) -> None:
    assert Message("a@example.com", "x", body).body == body


WORDS = st.lists(
    st.one_of(
        st.text("abZ019.,:;()/@=%&'\"+-_*~äé日", min_size=1, max_size=8),
        st.sampled_from(
            ["\n", "\n\n", "C:\\x\\_y", "\\\\s\\t", "2*3*4", "__init__.py", "-- \n", "f[i](x)", ">5", "====\n"]
        ),
    ),
    max_size=12,
).map(" ".join)


@given(WORDS)
@example("[a]: b")
@hypothesis_settings(deadline=None)
def test_the_plain_text_loses_no_character_that_is_not_markup(written: str) -> None:
    def kept(text: str) -> list[str]:
        return [sign for sign in text if sign.isalnum() or sign in ".,:;()/@%&'\"=\\"]

    assert kept(markdown_to_text(written)) == kept(written)


# --- whatever is written ---

PARTS = [
    *("\n", "\n\n", " ", "    ", "\t", "a", "b c", "1.", "31.", "007.", "3)", "- ", "* ", "# ", "## ", "> ", "|"),
    *(
        "| a | b |\n",
        "|---|--:|\n",
        "---",
        "===",
        "**",
        "*",
        "_",
        "__",
        "~~",
        "~",
        "`",
        "```",
        "[",
        "]",
        "(",
        ")",
        "![",
    ),
    *("[x]: http://a.b\n", "[x]", "<", "<b>", "</b>", "<div>", "<!--", "-->", "<?", "<![CDATA[", "http://a.example/b"),
    *("<a@b.example>", "\\", "&amp;", "&#x110000;", ":", "é", "\u2028", '"', "cid:x", "javascript:x", "\xa0"),
]
NESTED = [
    "*",
    "**a ",
    "_",
    "[",
    "![",
    "> ",
    ">",
    "- ",
    "1. ",
    "~~a ",
    "`",
    "<",
    "<!--",
    "(",
    "[a](",
    "\\",
    "| ",
    "> - 1. ",
]
WRITTEN = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=30).map("".join),
    st.text(st.characters(codec="utf-8", max_codepoint=0x24F), max_size=60),
    st.tuples(st.sampled_from(NESTED), st.integers(100, 2000)).map(lambda each: each[0] * each[1] + "a"),
)


@given(WRITTEN)
@example("~~100~~ 80")
@example("| ~~a~~ |\n|---|\n| **~~b~~** |")
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_written_becomes_text_and_html(written: str) -> None:
    """What was struck through ended in an AttributeError."""
    assert markdown_to_html(written).endswith("</body></html>\n")
    assert isinstance(markdown_to_text(written), str)


def test_what_is_struck_through_is_so_in_the_html() -> None:
    assert '<del style="text-decoration: line-through">100</del> 80' in markdown_to_html("~~100~~ 80")


# --- drafts ---

SETTINGS = Settings("Accounts <accounts@example.com>", SmtpServer("smtp.example.com"), copy_to="archive@example.com")


def test_a_draft_is_whole_and_opens_unsent_with_its_blind_copies() -> None:
    message = Message(
        "a@example.com", "Grüße", ["**Hello**", figure()], PDF, bcc="Jürgen <b@example.com>; c@example.com"
    )
    content = draft(message, SETTINGS)
    assert_fit_for_smtp(content)
    mail = email.message_from_bytes(content, policy=policy.default)
    assert (mail["X-Unsent"], mail["Subject"], mail["To"]) == ("1", "Grüße", "a@example.com")
    assert [each.addr_spec for each in mail["Bcc"].addresses] == [
        "b@example.com",
        "c@example.com",
        "archive@example.com",
    ]
    assert [part.get_content() for part in mail.iter_attachments()] == [PDF]
    assert not mail.defects
    assert email.message_from_bytes(draft(Message("a@example.com", "x"), ME))["Bcc"] is None


def read_by_mutt(content: bytes, folder: Path) -> str:
    """Return what mutt, which shares no code with Python's parser, shows of a mail."""
    mutt = require_program("mutt")
    mailbox, printed = folder / "mailbox", folder / "printed"
    mailbox.write_bytes(
        b"From accounts@example.com Wed Nov 25 10:00:00 2026\n" + content.replace(b"\r\n", b"\n") + b"\n"
    )
    settings = [
        f"set folder={folder} charset=utf-8 wait_key=no print=yes print_decode=yes",
        f"set print_command='cat > {printed}'",
        "alternative_order text/plain",
        "push <print-message><exit>",
    ]
    commands = [part for setting in settings for part in ("-e", setting)]
    environment = {"TERM": "xterm", "HOME": str(folder), "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    ours, its = os.openpty()  # without a terminal, mutt wants to write a mail
    termios.tcsetwinsize(its, (24, 80))  # and newer ones open none without a size
    command = [mutt, "-n", "-F", "/dev/null", *commands, "-R", "-f", str(mailbox)]
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment) as process:
        os.close(its)
        with contextlib.suppress(OSError):  # which is the end of what it says
            while os.read(ours, 65536):
                pass
        assert process.wait(30) == 0
    os.close(ours)
    return printed.read_text("utf-8")


@pytest.mark.timeout(30)
def test_another_program_reads_the_mail_as_it_was_meant(tmp_path: Path) -> None:
    message = Message("Ünal <a@example.com>", "Grüße aus Köln", ["# Hallo\n\nschöne **Grüße**", FRAME, figure()], PDF)
    shown = read_by_mutt(wire(message.render(ME)), tmp_path)
    for words in ("Grüße aus Köln", "Ünal", "schöne Grüße", "1,234.50", "[Revenue]"):
        assert words in shown
    assert "**" not in shown


@pytest.mark.timeout(30)
def test_another_program_shows_a_mail_that_is_attached(tmp_path: Path) -> None:
    inner = b"From: b@example.com\nSubject: =?utf-8?q?Angebot_f=C3=BCr_Sie?=\nContent-Type: text/plain; charset=utf-8\n"
    attached = Document.of(inner + "\nGrüße vom Lieferanten\n".encode(), name="Angebot.eml")
    shown = read_by_mutt(wire(Message("a@example.com", "Q3", "siehe unten", attached).render(ME)), tmp_path)
    for words in ("siehe unten", "Angebot für Sie", "Grüße vom Lieferanten"):
        assert words in shown


def test_the_fonts_of_the_rest_of_the_notebook_are_left_alone() -> None:
    before = mpl.rcParams["pdf.fonttype"]
    Message("a@example.com", "Q3", figure())
    assert mpl.rcParams["pdf.fonttype"] == before
