"""A report shows everything that it was given, where a reader looks for it; what it cannot show it names."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import math
import re
import time
import warnings
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pypdf
import pypdfium2
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from docmail.documents import Document
from docmail.errors import DocumentError
from docmail.reports import Report, font_files
from docmail.text import columns_of
from tests.message.test_body import WRITTEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Write = Callable[[str], str]


def pages(pdf: bytes) -> list[str]:
    """Return the text of each page, read by pdfium; pypdf, being strict, finds no fault in the file."""
    assert len(pypdf.PdfReader(io.BytesIO(pdf), strict=True).pages) > 0
    opened = pypdfium2.PdfDocument(pdf)
    try:
        return [page.get_textpage().get_text_bounded().replace("\r\n", "\n") for page in opened]
    finally:
        opened.close()


def sizes(pdf: bytes) -> list[tuple[int, int]]:
    opened = pypdfium2.PdfDocument(pdf)
    try:
        return [(round(page.get_width()), round(page.get_height())) for page in opened]
    finally:
        opened.close()


def table(frame: Any, **options: Any) -> bytes:
    return Report().table(frame, **options).pdf()


def cells(values: list[Any], **options: Any) -> list[str]:
    (column,) = columns_of(pd.DataFrame({"x": pd.Series(values, dtype=object)}), **options)
    return list(column.cells)


def figure(title: str = "Revenue", size: tuple[float, float] = (6, 3)) -> Figure:
    made = Figure(figsize=size)
    axes = made.subplots()
    axes.plot([1, 3, 2])
    axes.set_title(title)
    return made


UPRIGHT, ACROSS = (595, 842), (842, 595)

# --- what stands in a cell ---


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([2025, 2026, 1_000_000], ["2025", "2026", "1000000"]),
        ([12.0, float("nan"), 7.0], ["12", "", "7"]),
        ([1234.5, 2.25, 7.0], ["1,234.50", "2.25", "7.00"]),
        ([1234.5, 2.25, -0.001, 7.0], ["1,234.5", "2.25", "-0.001", "7"]),
        ([1234567.891234, 2.0], ["1,234,567.891234", "2"]),
        ([1 / 3, 100 / 3], ["0.33", "33.33"]),
        ([1 / 3, 2 / 3], ["0.3333", "0.6667"]),
        ([1e-7, 2e-7], ["0.0000001", "0.0000002"]),
        ([1e-7 / 3, 1 / 3], ["0.00000003333", "0.3333"]),
        ([1e16, -1e23], ["10000000000000000", f"-1{'0' * 23}"]),
        ([1e300, -1e300], [f"1{'0' * 300}", f"-1{'0' * 300}"]),
        ([Decimal("1E+3"), Decimal("2E-7")], ["1,000", "0.0000002"]),
        ([np.float32(19.99), np.float32(0.1)], ["19.99", "0.10"]),
        ([0.1 + 0.2, 1.1 * 3], ["0.3", "3.3"]),
        ([float("inf"), float("-inf"), 1.5], ["inf", "-inf", "1.5"]),
        ([-0.00001, 1 / 3, 15.0], ["-0.00001", "0.33", "15.00"]),
        ([True, False, None], ["yes", "no", ""]),
        ([Decimal("1234.50"), Decimal(1)], ["1,234.50", "1"]),
        ([dt.datetime(2026, 3, 1), None], ["2026-03-01", ""]),  # noqa: DTZ001 - as data sets have them
        ([dt.datetime(2026, 3, 1), dt.datetime(2026, 3, 1, 10, 30)], ["2026-03-01 00:00", "2026-03-01 10:30"]),  # noqa: DTZ001
        ([dt.date(2026, 3, 1), dt.timedelta(days=1)], ["2026-03-01", "1 day, 0:00:00"]),
        ([pd.NA, pd.NaT, None, float("nan")], ["", "", "", ""]),
        (["<b>&amp;</b>", "tab\there", "bell\x07"], ["<b>&amp;</b>", "tab    here", "bell "]),
        ([1, "a", 2.5, None, True, [1, 2], {"k": 1}], ["1", "a", "2.5", "", "yes", "[1, 2]", "{'k': 1}"]),
    ],
    ids=repr,
)
def test_values_are_written_as_people_write_them(values: list[Any], said: list[str]) -> None:
    assert cells(values) == said


def test_a_report_is_the_same_file_each_time_and_another_one_is_not() -> None:
    report = Report("Q3").text("Sales rose.")
    before = report.pdf()
    time.sleep(1.1)  # a date of creation counts whole seconds
    assert report.pdf() == before
    assert Report("Q3").text("Sales rose.").pdf() != before


def test_every_kind_of_column_is_read_and_numbers_stand_at_the_right() -> None:
    frame = pd.DataFrame(
        {
            "int": [1, 2],
            "float": np.array([1.5, np.nan]),
            "float32": np.array([0.5, 2], dtype="float32"),
            "nullable": pd.array([1, None], dtype="Int64"),
            "category": pd.Categorical(["x", None]),
            "string": pd.array(["a", None], dtype="string"),
            "bool": [True, False],
            "zone": pd.to_datetime(["2026-03-01 10:00", None], utc=True),
            "period": pd.period_range("2026-01", periods=2, freq="M"),
            "delta": pd.to_timedelta(["1 day", None]),
        }
    )
    columns = columns_of(frame)
    assert [column.cells[0] for column in columns] == [
        *("1", "1.5", "0.5", "1", "x", "a", "yes", "2026-03-01 10:00+00:00", "2026-01", "1 days 00:00:00"),
    ]
    assert [column.heads[0] for column in columns if column.right] == ["int", "float", "float32", "nullable"]
    other = pl.DataFrame({"a": [1, None], "b": [dt.date(2026, 1, 1), None], "c": [True, None], "d": [1.5, 2.0]})
    assert [list(column.cells) for column in columns_of(other)] == [
        *(["1", ""], ["2026-01-01", ""], ["yes", ""], ["1.5", "2.0"]),
    ]
    assert [column.heads for column in columns_of(other["a"])] == [("a",)]


def test_formats_and_totals_are_as_asked_for() -> None:
    frame = pd.DataFrame({"Region": ["N", "S"], "Revenue": [1234.5, 2.25], "Year": [2025, 2026], "When": ["x", "y"]})
    by_name = columns_of(frame, totals=["Revenue"], formats={"Revenue": ",.0f", "Year": lambda year: f"'{year % 100}"})
    assert [column.total for column in by_name] == ["", "1,237", "", ""]
    assert list(by_name[2].cells) == ["'25", "'26"]
    assert [column.total for column in columns_of(frame, totals=True)] == ["", "1,236.75", "", ""]
    assert "Total 1,236.75" in pages(table(frame, totals="Revenue"))[0]
    assert columns_of(pd.DataFrame({"a": [Decimal("0.1")] * 3}), totals=True)[0].total == "0.3"
    assert columns_of(pd.DataFrame({"a": [0.1] * 10}), totals=True)[0].total == "1.0"
    for options, words in (
        ({"totals": ["Region"]}, "“Region” has no numbers to add up"),
        ({"totals": ["Nope"]}, "no column “Nope”. Name one of its columns: Region, Revenue"),
        ({"formats": {"Nope": ""}}, "no column “Nope”"),
        ({"formats": {"Region": ",.0f"}}, "does not suit the value N"),
    ):
        with pytest.raises(DocumentError, match=re.escape(words)):
            columns_of(frame, **options)


@pytest.mark.parametrize(
    ("values", "cells", "total"),
    [
        ([1e308, 1e308], [f"{10**308:,}"] * 2, f"{2 * 10**308:,}"),
        ([math.inf, 1.5], ["inf", "1.5"], "inf"),
        ([math.inf, -math.inf], ["inf", "-inf"], "NaN"),
        ([1e308, 1e308, math.inf, -math.inf], [*[f"{10**308:,}"] * 2, "inf", "-inf"], "NaN"),
        ([0.5, 10**20], ["0.5", f"{10**20:,}"], f"{10**20:,}.0"),
        ([1.5, 10**400], ["1.5", f"{10**400:,}"], None),
        ([Decimal("Infinity"), Decimal("-Infinity")], ["Infinity", "-Infinity"], ""),
    ],
)
def test_numbers_beyond_what_a_float_holds_are_written_and_added_up(
    values: list[Any], cells: list[str], total: str | None
) -> None:
    (column,) = columns_of(pd.DataFrame({"a": pd.Series(values, dtype=object)}), totals=True)
    assert list(column.cells) == cells
    assert total is None or column.total == total
    assert table(pd.DataFrame({"a": pd.Series(values, dtype=object)}), totals=True)


def test_an_index_is_shown_unless_it_only_counts() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    assert [column.heads for column in columns_of(frame)] == [("a",)]
    assert [column.heads for column in columns_of(frame.rename_axis("no"))] == [("no",), ("a",)]
    assert list(columns_of(frame.set_axis(["x", "y"]))[0].cells) == ["x", "y"]
    rows = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["group", None])
    heads = pd.MultiIndex.from_product([["2025", "2026"], ["Q1", "Q2"]])
    columns = columns_of(pd.DataFrame(np.ones((2, 4)), index=rows, columns=heads))
    assert [column.heads for column in columns] == [
        *(("", "group"), ("", ""), ("2025", "Q1"), ("2025", "Q2"), ("2026", "Q1"), ("2026", "Q2")),
    ]
    (page,) = pages(table(pd.DataFrame(np.ones((2, 4)), index=rows, columns=heads)))
    assert page.count("2025") == 1  # one head above both quarters


# --- where it stands ---


def lines_of(pdf: bytes, page: int = 0) -> dict[str, tuple[float, float]]:
    """Return where each line of a page begins and ends, in points from the left."""
    opened = pypdfium2.PdfDocument(pdf)
    text = opened[page].get_textpage()
    found = {}
    for index in range(text.count_rects()):
        left, bottom, right, top = text.get_rect(index)
        found[text.get_text_bounded(left, bottom, right, top).strip()] = (left, right)
    return found


def test_numbers_end_below_each_other_and_texts_begin_so() -> None:
    placed = lines_of(table(pd.DataFrame({"Name": ["a", "bbbbbb"], "Amount": [1.5, 1000.25]})))
    assert placed["1.50"][1] == pytest.approx(placed["1,000.25"][1], abs=0.6)
    assert placed["Amount"][1] == pytest.approx(placed["1,000.25"][1], abs=0.9)
    assert placed["a"][0] == pytest.approx(placed["bbbbbb"][0], abs=0.6)


def test_a_long_table_has_its_heads_and_a_number_on_every_page() -> None:
    frame = pd.DataFrame({"Customer": [f"customer {number}" for number in range(200)], "Amount": range(200)})
    texts = pages(Report("Sales").table(frame).pdf())
    assert len(texts) == 5
    assert all("Customer Amount" in text for text in texts)
    assert [text.strip().splitlines()[-1] for text in texts] == [f"page {number} of 5" for number in range(1, 6)]
    assert texts[0].startswith("Sales")
    said = "\n".join(texts)
    assert [said.count(f"customer {number} {number}\n") for number in range(200)] == [1] * 200


def test_a_wide_table_lies_across_and_a_wider_one_goes_on_on_further_pages() -> None:
    narrow = pd.DataFrame({f"c{number}": [1.5] for number in range(6)})
    wide = pd.DataFrame({f"column {number}": ["x" * 12] for number in range(10)})
    assert sizes(Report("Narrow").table(narrow).pdf()) == [UPRIGHT]
    assert sizes(Report("Wide").table(wide).pdf()) == [ACROSS]
    assert sizes(Report("Both").text("Hello").table(wide).text("Bye").pdf()) == [UPRIGHT, ACROSS, UPRIGHT]
    widest = pd.DataFrame(
        np.arange(600).reshape(3, 200), columns=[f"c{number}" for number in range(200)], index=["one", "two", "three"]
    )
    texts = pages(table(widest))
    assert set(sizes(table(widest))) == {ACROSS}
    assert all("one" in text and "three" in text for text in texts)
    words = " ".join(texts).split()
    assert {str(number) for number in range(600)} | {f"c{number}" for number in range(200)} <= set(words)


def test_long_texts_are_broken_into_lines_and_nothing_is_lost() -> None:
    long = " ".join(f"word{number}" for number in range(300))
    text = pages(table(pd.DataFrame({"n": [1], "note": [long], "id": ["x" * 200]})))[0]
    assert re.findall(r"word\d+", text) == long.split()
    assert text.count("x") == 200
    tall = pages(table(pd.DataFrame({"n": [1, 2], "note": ["\n".join(f"line {number}" for number in range(200)), ""]})))
    assert len(tall) > 3
    assert re.findall(r"line (\d+)", " ".join(tall)) == [str(number) for number in range(200)]


def test_a_heading_stays_with_what_it_stands_above() -> None:
    report = Report("Q3").text("\n\n".join(["paragraph"] * 27)).table(pd.DataFrame({"a": range(10)}), title="Numbers")
    first, second = pages(report.pdf())
    assert "Numbers" not in first
    assert second.startswith("Numbers\na\n0")
    fig = Report("Q3").text("\n\n".join(["paragraph"] * 27)).figure(figure(), title="Curve")
    assert "Curve" in pages(fig.pdf())[1]


# --- text and figures ---


def test_markdown_becomes_text_with_links_lists_and_tables() -> None:
    text = (
        "# One\n\nSome **bold**, *slanted* and `code`,\na new line and [a link](https://example.com/a?b=1).\n\n"
        "- first\n- second\n  1. inner\n\n> quoted\n\n"
        "```\ncode  block\n```\n\n| a | b |\n|---|--:|\n| x | 1 |\n\n---\n\nEnd <b>"
    )
    pdf = Report("Q3").text(text).pdf()
    (page,) = pages(pdf)
    for line in ("Q3", "One", "Some bold, slanted and code,", "a new line and a link.", "•first", "1.inner", "quoted"):
        assert line.replace(" ", "") in page.replace(" ", "")
    assert "x 1" in page
    assert "End <b>" in page
    (page_object,) = pypdf.PdfReader(io.BytesIO(pdf)).pages
    notes: Any = page_object["/Annots"]
    assert [note["/A"]["/URI"] for note in notes] == ["https://example.com/a?b=1"]
    assert "*plain*" in pages(Report().text("*plain*", markdown=False).pdf())[0]
    assert pypdf.PdfReader(io.BytesIO(pdf)).metadata.title == "Q3"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("markdown", "lines"),
    [
        ("31. Oktober: 100 EUR\n30. November: 120 EUR", ["31. Oktober: 100 EUR", "30. November: 120 EUR"]),
        ("3) a\n9) b\n22) c", ["3) a", "9) b", "22) c"]),
        ("007. a\n\n1986. A great year\n\n2026.", ["007. a", "1986. A great year", "2026."]),
        ("999999999. a\n1. b", ["999999999. a", "1. b"]),
        ("- x\n\n  31. y\n  30. z", ["• x", "31. y", "30. z"]),
        ("> 5. a\n> 9. b", ["5. a", "9. b"]),
        ("12. # H\n10. - x\n11. ```\n    c\n    ```", ["12.", "H", "10.", "• x", "11.", "c"]),
        ("31. Ω\n30. Ж", ["31. Ω", "30. Ж"]),
    ],
)
def test_each_item_of_a_list_keeps_its_number_and_its_sign(markdown: str, lines: list[str]) -> None:
    pdf = Report().text(markdown).pdf()
    assert [line.strip() for line in pages(pdf)[0].split("\n") if line.strip()] == lines
    opened = pypdfium2.PdfDocument(pdf)
    page = opened[0].get_textpage()
    boxes = [page.get_charbox(index) for index in range(page.count_chars()) if page.get_text_range(index, 1).strip()]
    opened.close()
    assert min(left for left, *_others in boxes) >= 48  # the margin


def test_what_is_struck_through_has_a_line_through_it() -> None:
    """As wide as the text, at a third of its height, also where it is bold or a link."""
    plain = Report().text("**100** [80](https://a.example)").pdf()
    struck = Report().text("~~**100**~~ [~~80~~](https://a.example)").pdf()
    assert pages(struck)[0].startswith("100 80")
    plain_content, struck_content = (
        page.get_contents() for pdf in (plain, struck) for page in pypdf.PdfReader(io.BytesIO(pdf)).pages
    )
    assert plain_content is not None
    assert struck_content is not None
    assert struck_content.get_data().count(b" l S") - plain_content.get_data().count(b" l S") == 2


@given(WRITTEN)
@example("~~100~~ 80")
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_written_becomes_a_whole_pdf_or_a_sentence(written: str) -> None:
    with contextlib.suppress(DocumentError):  # a letter that no font here has
        pages(Report().text(written).pdf())


def test_a_figure_stays_a_vector_with_its_fonts_in_the_file() -> None:
    pdf = Report("Q3").text("before").figure(figure("Umsatz Ω")).figure(figure("Cost")).text("after").pdf()
    said = " ".join(pages(pdf))
    for word in ("before", "Umsatz Ω", "Cost", "after"):
        assert word in said
    assert b"/Subtype /Image" not in pdf
    alone = Document.of(figure("Umsatz Ω"), name="f.pdf").read()
    assert "Umsatz Ω" in pages(alone)[0]
    assert b"/FontFile2" in alone
    assert b"/Type3" not in alone
    large = Report("Q3").figure(figure(size=(20, 30))).pdf()
    assert sizes(large) == [UPRIGHT]


def test_a_figure_of_every_kind_looks_in_a_report_as_it_does_alone() -> None:
    made = Figure(figsize=(6, 3), layout="constrained")
    first, second = made.subplots(1, 2)
    made.colorbar(first.imshow(np.arange(100).reshape(10, 10), alpha=0.8), ax=first)
    second.bar([1, 2], [2, 3], hatch="//", alpha=0.5)
    second.set_title("endobj 5 0 R $\\alpha^2$")
    alone, within = Document.of(made).read(), Report().figure(made).pdf()
    pictures = []
    # In a report it is as wide as the text, which the 432 points of six inches nearly are.
    for pdf, scale, left, top in ((alone, 2.0 * 499.28 / 432, 0.0, 0.0), (within, 2.0, 48.0, 48.0)):
        opened = pypdfium2.PdfDocument(pdf)
        whole = opened[0].render(scale=scale).to_numpy().astype(int)[:, :, :3]
        pictures.append(whole[round(2 * top) :][:490, round(2 * left) :][:, :990])
        opened.close()
    assert "endobj 5 0 R" in pages(within)[0]
    assert (abs(pictures[0] - pictures[1]).sum(axis=2) > 200).mean() < 0.02
    assert pictures[0].std() > 20


def test_what_was_given_is_what_is_shown_whatever_happens_to_it_later() -> None:
    frame, curve = pd.DataFrame({"a": ["before"]}), figure("first")
    report = Report("Q3").table(frame).figure(curve)
    frame.loc[0, "a"] = "later"
    curve.axes[0].set_title("second")
    said = pages(report.pdf())[0]
    assert "before" in said
    assert "first" in said
    assert "later" not in said
    assert "second" not in said
    assert report.text("more") is report
    assert repr(report) == "<Report 'Q3', 1 tables, 1 figures>"


def test_a_report_may_be_empty_and_a_page_be_broken() -> None:
    assert len(pages(Report().pdf())) == 1
    assert len(pages(Report("Q3").text("a").page_break().page_break().text("b").pdf())) == 2
    assert "no rows" in pages(table(pd.DataFrame({"a": []})))[0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Report(5), "The title must be text, not int"),  # type: ignore[arg-type]
        (lambda: Report("Q3\x07"), "The title contains the invisible character U+0007. Remove it from the text."),
        (lambda: Report().text(pd.DataFrame()), "Add a DataFrame with .table()"),
        (lambda: Report().text("a\x00b"), "The text contains the invisible character U+0000"),
        (lambda: Report().text("\x1b[31mred", markdown=False), "The text contains the invisible character U+001B"),
        (lambda: Report().text("a\ud800b"), "The text contains the invisible character U+D800"),
        (lambda: Report().table(pd.DataFrame({"a": [1]}), title=5), "The title must be text"),  # type: ignore[arg-type]
        (lambda: Report().figure(figure(), title="a\x7fb"), "The title contains the invisible character U+007F"),
        (lambda: Report().table([1]), "A list is not a table"),
        (lambda: Report().figure(figure().axes[0]), "an axes has it as axes.figure"),
        (lambda: Report().figure(figure("$\\nonsense{$")), "matplotlib cannot save this figure"),
        (lambda: Report().figure(figure("\u65e5")), "Glyph 26085"),
        (lambda: Report().table(pd.DataFrame()), "The table has no columns"),
        (lambda: Report().table(pd.DataFrame(np.zeros((50_001, 10)))), "too large for a readable PDF"),
    ],
)
def test_what_makes_no_report_is_refused_in_a_sentence(make: Any, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.parametrize("end", ["\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028"])
def test_a_line_ends_where_readers_of_the_text_see_an_end(end: str) -> None:
    for markdown in (True, False):
        assert "one\ntwo" in pages(Report().text(f"one{end}two", markdown=markdown).pdf())[0]


# --- letters ---


def test_western_texts_need_no_font_in_the_file_and_others_bring_theirs() -> None:
    western = Report("Übersicht - 5 € „Q3“ (100 %)").pdf()
    assert b"/FontFile2" not in western
    assert "Übersicht - 5 € „Q3“ (100 %)" in pages(western)[0]
    others = Report("Żółć Ωμέγα Привет ∑ 😀").pdf
    assert "Żółć Ωμέγα Привет ∑ 😀" in pages(others())[0]
    assert b"/CIDFontType2" in others()


def test_what_is_written_from_the_right_stands_so() -> None:
    said = pages(Report().text("שלום עולם (abc) 123\n\n\u0633\u0644\u0627\u0645").pdf())[0]
    assert "שלום עולם" in said
    placed = lines_of(Report().text("שלום").pdf())
    assert placed["שלום"][1] > 500


@pytest.mark.parametrize(
    ("report", "where"),
    [
        (lambda: Report().table(pd.DataFrame({"Name": ["a", "b\U0001fae8"]})), "column “Name”, row 2"),
        (lambda: Report().table(pd.DataFrame({"N\U0001fae8": ["a"]})), "the heading of column “N\U0001fae8”"),
        (lambda: Report().text("Hello\n\nsee \U0001fae8"), "the text “see \U0001fae8”"),
        (lambda: Report("\U0001fae8"), "the text"),
    ],
)
def test_a_character_that_no_font_has_is_named_with_its_place(report: Any, where: str) -> None:
    with pytest.raises(DocumentError) as caught:
        report().pdf()
    assert "U+1FAE8" in str(caught.value)
    assert where in str(caught.value)


def test_half_a_character_as_damaged_data_has_it_is_named_in_a_sentence_that_can_be_printed() -> None:
    with pytest.raises(DocumentError, match=r"The title contains the invisible character U\+D83E") as caught:
        Report("half \ud83e")
    assert str(caught.value).encode()


@pytest.fixture
def fresh_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Path]], None]]:
    def use(files: dict[str, Path]) -> None:
        monkeypatch.setattr(font_files, "_files", lambda: files)

    yield use
    font_files._opened.cache_clear()


def test_a_letter_that_one_font_lacks_comes_from_another(
    fresh_fonts: Callable[[dict[str, Path]], None], tmp_path: Path
) -> None:
    dejavu = font_files._files()["dejavusans"]
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((500, 0))
    pen.lineTo((500, 700))
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "one"])
    builder.setupCharacterMap({0x4E00: "one"})
    outline = pen.glyph()
    builder.setupGlyf({".notdef": outline, "one": outline})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "one": (1000, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupOS2(fsType=0)
    builder.setupPost()
    builder.save(tmp_path / "other.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    fresh_fonts({"dejavusans": dejavu, "broken": tmp_path / "broken.ttf", "other": tmp_path / "other.ttf"})
    said = pages(Report("Ω 一 Ω").table(pd.DataFrame({"x": ["a 一 b"]})).pdf())[0]
    assert "Ω 一 Ω" in said
    assert "a 一 b" in said
    builder.setupOS2(fsType=2)  # its owner does not want it embedded
    builder.save(tmp_path / "forbidden.ttf")
    fresh_fonts({"dejavusans": dejavu, "forbidden": tmp_path / "forbidden.ttf"})
    with pytest.raises(DocumentError, match=r"U\+4E00"):
        Report("一").pdf()


def test_a_computer_without_fonts_still_writes_western_texts(fresh_fonts: Callable[[dict[str, Path]], None]) -> None:
    fresh_fonts({})
    assert "Grüße" in pages(Report("Grüße").pdf())[0]
    with pytest.raises(DocumentError, match=r"No font on this computer has the character Ω \(U\+03A9"):
        Report("Ω").pdf()


@given(
    st.lists(
        st.one_of(
            st.text(st.characters(codec="utf-8", max_codepoint=0x24FF), max_size=30),
            st.floats(),
            st.integers(),
            st.booleans(),
            st.none(),
            st.datetimes(),
            st.lists(st.integers(), max_size=2),
        ),
        min_size=1,
        max_size=12,
    )
)
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(["\u202eabc", "a\x00b", "\u0301", "\ufeff", "\u00ad", "(((", "\\"])
@example([10**400, -(10**400)])
def test_any_table_is_a_whole_pdf_or_a_sentence(values: list[Any]) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object), "y": range(len(values))})
    try:
        with warnings.catch_warnings():
            pdf = table(frame, totals=True)
    except DocumentError as exc:
        assert "U+" in str(exc)  # noqa: PT017 - either end is right
    else:
        assert "".join(pages(pdf)[0].split()).startswith("xy")


@pytest.mark.parametrize("sign", ["x", "\n"])
def test_a_long_cell_says_how_much_of_it_is_missing(sign: str) -> None:
    [column] = columns_of(pd.DataFrame({"a": ["x" * 19_999 + sign + "y" * 1_234]}))
    assert column.cells[0].endswith("… (1,234 more characters)")


def test_html_in_a_text_is_refused_with_the_line_that_does_it_right() -> None:
    with pytest.raises(DocumentError, match="is HTML") as caught:
        Report().text(pd.DataFrame({"a": [1]}).to_html())
    assert caught.value.hint == "Give the table itself: .table(df)."
    with pytest.raises(DocumentError, match="is HTML"):
        Report().text("<p>Hello</p>")
    assert Report().text("<p>Hello</p>", markdown=False).pdf()
