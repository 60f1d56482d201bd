"""A report with a look has its company's letterhead, colour, font and footer, on every page where they belong."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pypdf
import pypdfium2
import pytest
from PIL import Image

from docmail.errors import DocumentError, SettingsError
from docmail.look import Look
from docmail.reports import Report
from tests.reports.test_report import figure, pages, sizes

BLUE = (10, 92, 140)
NAME = "Larkfield Analytics"
DAY = dt.date(2026, 11, 3)
FONT = Path(mpl.__file__).parent / "mpl-data/fonts/ttf/STIXGeneral.ttf"
LONG = pd.DataFrame({"Customer": [f"customer {number}" for number in range(90)], "Amount": range(90)})


def logo(size: tuple[int, int] = (120, 60), colour: Any = BLUE, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    return file.getvalue()


def picture(pdf: bytes, page: int = 0) -> np.ndarray[Any, Any]:
    opened = pypdfium2.PdfDocument(pdf)
    try:
        dots: np.ndarray[Any, Any] = opened[page].render(scale=2).to_numpy()[:, :, 2::-1].astype(int)
        return dots
    finally:
        opened.close()


def is_near(dots: np.ndarray[Any, Any], colour: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    return np.asarray(abs(dots - np.array(colour)).max(axis=2) < 12)


def test_the_first_page_has_logo_name_and_date_and_all_have_the_footer() -> None:
    look = Look(NAME, logo=logo(), colour="#0a5c8c", footer="Registered in **Dublin**\nVAT IE0000000X")
    pdf = Report("Statement", look=look, date=DAY).table(LONG).pdf()
    texts = pages(pdf)
    assert texts[0].startswith(f"{NAME}\n3 November 2026\nStatement")
    assert all("Registered in Dublin\nVAT IE0000000X" in text for text in texts)
    assert [text.count("3 November 2026") for text in texts] == [1] + [0] * (len(texts) - 1)
    top = is_near(picture(pdf)[: 2 * 100], BLUE)
    assert top[96:180, 96:240].mean() > 0.9  # the logo, two dots a point, at the margins
    assert not is_near(picture(pdf, 1)[: 2 * 80, : 2 * 200], BLUE)[:80].any()


def test_pages_after_the_first_have_a_running_head_and_all_have_numbers_where_there_are_several() -> None:
    texts = pages(Report("Statement", look=Look(NAME)).table(LONG).pdf())
    assert len(texts) > 1
    for number, text in enumerate(texts, 1):
        assert text.rstrip().endswith(f"page {number} of {len(texts)}")
        assert (f"Statement\n{NAME}" in text.splitlines()[-3:] or f"Statement {NAME}" in text) == (number > 1)
    assert "page" not in pages(Report("Statement", look=Look(NAME)).table(LONG.head()).pdf())[0]
    [_first, second, *_rest] = pages(Report("x" * 300, look=Look.PLAIN).table(LONG).pdf())
    assert f"{'x' * 59}…" in second


def test_nothing_overlaps_the_footer_or_the_letterhead() -> None:
    look = Look(NAME, logo=logo(), footer="\n".join(f"Line {number} of what the law wants" for number in range(15)))
    pdf = Report("Statement", look=look).table(LONG).text("word " * 3000).figure(figure()).pdf()
    opened = pypdfium2.PdfDocument(pdf)
    for page in opened:
        text = page.get_textpage()
        boxes = [
            text.get_charbox(index) for index in range(text.count_chars()) if text.get_text_range(index, 1).strip()
        ]
        lines = sorted({(round(bottom), round(top)) for _left, bottom, _right, top in boxes})
        assert min(bottom for bottom, _top in lines) > 20
        said = text.get_text_bounded()
        foot = [text.get_charbox(index)[3] for index in range(said.index("Line 0"), said.index("Line 0") + 6)]
        above = [box for box in boxes if box[1] > max(foot) + 2]
        assert above  # what is not the footer stands above its first line, and nothing in between
        assert not [box for box in boxes if max(foot) + 0.5 < box[1] < max(foot) + 4]
    opened.close()


def test_headings_tables_and_figures_are_bookmarks_below_each_other() -> None:
    text = "# Summary\nGood.\n\n## In detail\nBetter.\n\n# Outlook\nFine (in part)."
    pdf = Report("Q3", look=Look.PLAIN).text(text).table(LONG, title="All customers").figure(figure(), title="É").pdf()
    reader = pypdf.PdfReader(io.BytesIO(pdf), strict=True)

    def titles(marks: Any) -> list[Any]:
        return [titles(mark) if isinstance(mark, list) else mark["/Title"] for mark in marks]

    assert titles(reader.outline) == ["Q3", "Summary", ["In detail"], "Outlook", ["All customers", "É"]]
    last: Any = reader.outline[-1]
    assert reader.get_destination_page_number(last[-1]) == len(reader.pages) - 1


def test_the_file_says_title_author_and_language() -> None:
    look = Look(NAME, locale="de-AT")
    for report, author, language in (
        (Report("Q3 “É”", look=look), NAME, "de-AT"),
        (Report("Q3 “É”", look=Look.PLAIN), None, "en"),
        (Report("Q3 “É”", look=Look.PLAIN, locale="af"), None, "af"),
    ):
        reader = pypdf.PdfReader(io.BytesIO(report.pdf()), strict=True)
        assert reader.metadata is not None
        assert (reader.metadata.title, reader.metadata.author) == ("Q3 “É”", author)
        assert str(reader.root_object["/Lang"]) == language


def test_the_date_is_written_as_the_locale_does_and_can_be_left_out() -> None:
    def said(**options: Any) -> str:
        return pages(Report("Q3", **options).pdf())[0]

    assert "3. November 2026" in said(look=Look(NAME, locale="de"), date=DAY)
    assert "November" not in said(look=Look(NAME), date=None)
    assert f"{dt.datetime.now().astimezone().year}" in said(look=Look(NAME))
    assert said(look=Look.PLAIN, date=DAY) == "Q3"
    with pytest.raises(DocumentError, match="The date must be a date, not str"):
        Report("Q3", date="3 November")  # type: ignore[arg-type]


def test_an_own_font_is_used_for_all_but_code_and_made_bold_where_it_has_no_bold() -> None:
    look = Look(NAME, font=FONT)
    text = "Some **heavy** and *slanted* words, `code`, Ω and é."
    pdf = Report("Title", look=look).text(text).table(LONG.head()).pdf()
    assert "Some heavy and slanted words, code, Ω and é." in pages(pdf)[0].replace("\n", " ")
    used: Any = pypdf.PdfReader(io.BytesIO(pdf)).pages[0]["/Resources"]
    names = {font.get_object()["/BaseFont"].partition("+")[2] for font in used["/Font"].values()}
    assert names == {"Font", "DejaVuSansMono"}
    light = Report(look=look).text("heavy").pdf()
    heavy = Report(look=look).text("**heavy**").pdf()
    assert (picture(heavy)[200:] < 128).sum() > 1.1 * (picture(light)[200:] < 128).sum()


def test_a_look_gives_its_currency_and_locale_to_the_tables() -> None:
    look = Look(NAME, currency="EUR", locale="de")
    frame = pd.DataFrame({"Amount": [1850.5], "Share": [0.125]})
    text = pages(Report(look=look).table(frame, formats={"Amount": "currency", "Share": "percent"}).pdf())[0]
    assert "1.850,50 €" in text.replace("\xa0", " ")
    assert "12,5 %" in text.replace("\xa0", " ")
    text = pages(Report(look=look, locale="en").table(frame, formats={"Amount": "USD"}).pdf())[0]
    assert "$1,850.50" in text


def test_a_transparent_logo_lets_the_page_through_and_a_photo_lies_as_the_camera_was_held() -> None:
    clear = Look(logo=logo(colour=(*BLUE, 128), mode="RGBA"))
    dots = picture(Report(look=clear).pdf())[110:170, 110:230].mean(axis=(0, 1))
    assert dots == pytest.approx([132, 173, 197], abs=6)
    file = io.BytesIO()
    photo = Image.new("RGB", (100, 50), BLUE)
    exif = photo.getexif()
    exif[0x0112] = 6  # turned by a quarter
    photo.save(file, "JPEG", exif=exif)
    seen = is_near(picture(Report(look=Look(logo=file.getvalue())).pdf()), BLUE)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen[:, :200].any(axis=0))
    assert np.ptp(rows) > np.ptp(columns)


def test_a_table_of_some_columns_is_as_wide_as_the_page_with_its_numbers_at_the_right() -> None:
    frame = pd.DataFrame({"Text": ["a", "b"], "More": ["c", "d"], "Number": [1.5, 2.5]})
    ink = np.flatnonzero((picture(Report(look=Look.PLAIN).table(frame).pdf()) < 128).any(axis=(0, 2)))
    assert ink.min() == pytest.approx(96, abs=3)
    assert ink.max() == pytest.approx(2 * 547, abs=3)
    narrow = np.flatnonzero((picture(Report(look=Look.PLAIN).table(frame[["Text"]]).pdf()) < 128).any(axis=(0, 2)))
    assert narrow.max() < 300
    assert sizes(Report(look=Look.PLAIN).table(frame).pdf()) == [(595, 842)]


def test_what_is_no_look_is_refused() -> None:
    with pytest.raises(SettingsError, match="not str"):
        Report("Q3", look="blue")  # type: ignore[arg-type]


def test_a_last_row_of_a_markdown_table_that_is_all_bold_is_its_total() -> None:
    rows = "| Item | Amount |\n|---|---:|\n| One | 1 |\n"
    total = Report(look=Look.PLAIN).text(f"{rows}| **Total** | **1** |").pdf()
    usual = Report(look=Look.PLAIN).text(f"{rows}| Total | **1** |").pdf()
    assert pages(total)[0].split() == pages(usual)[0].split() == ["Item", "Amount", "One", "1", "Total", "1"]
    # Of all text, only the heads and the total are bold; and a rule stands above the total.
    assert (picture(total) < 128).sum() > (picture(usual) < 128).sum()
