"""Whatever people write stands in the PDF as they write it, and can be searched and copied."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pypdfium2
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont, features

from docmail.errors import DocumentError
from docmail.reports import Report, font_files
from docmail.reports.fonts import Fonts
from docmail.reports.lines import Run, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEJAVU, LOHIT, GARUDA = "dejavusans", "lohit-devanagari", "garuda"

HINDI, THAI = "नमस्ते दुनिया, हिन्दी में कृपया।", "สวัสดีชาวโลก น้ำ ที่นี่ ครั้งนี้"
ACCENTED, POINTED = "q\u0303 x\u0302 Ω", "שָׁלוֹם"


def needs(font: str) -> Path:
    """Return the file of a font."""
    if font not in font_files._files():
        package = {DEJAVU: "fonts-dejavu-core", LOHIT: "fonts-lohit-deva", GARUDA: "fonts-tlwg-garuda-ttf"}[font]
        pytest.skip(f"needs the {package} package")
    return font_files._files()[font]


def text_of(pdf: bytes) -> str:
    opened = pypdfium2.PdfDocument(pdf)
    try:
        return str(opened[0].get_textpage().get_text_bounded()).replace("\r\n", "\n")
    finally:
        opened.close()


def ink(pdf: bytes) -> Any:
    """Return the picture of the first line of a page: how dark each point is, from 0 to 255."""
    opened = pypdfium2.PdfDocument(pdf)
    try:
        picture = 255 - opened[0].render(scale=6).to_numpy().astype(int)[: 6 * 80, :, 0]
    finally:
        opened.close()
    return cut(picture)


def cut(picture: Any) -> Any:
    """Return the part of a picture in which something is drawn."""
    rows, columns = np.nonzero(picture > 64)
    return picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def report(text: str) -> bytes:
    return Report().text(text, markdown=False).pdf()


def differ(first: Any, second: Any) -> float:
    """Return which part of the ink of two pictures stands elsewhere in the other; 1.0 if they are of another size."""
    height, width = (min(one, other) for one, other in zip(first.shape, second.shape, strict=True))
    if abs(np.subtract(first.shape, second.shape)).max() > 3:
        return 1.0
    shifted = (second[:height, :width], second[-height:, -width:])
    return float(min(abs(first[:height, :width] - each).sum() for each in shifted) / first.sum())


@pytest.mark.parametrize(
    ("text", "font"),
    [(HINDI, LOHIT), (THAI, GARUDA), (ACCENTED, DEJAVU), (POINTED, DEJAVU)],
    ids=["Devanagari", "Thai", "Latin", "Hebrew"],
)
def test_a_text_of_any_script_can_be_read_back(text: str, font: str) -> None:
    needs(font)
    assert text_of(report(text)) == text
    assert text in text_of(Report().table(pd.DataFrame({"a": [text]})).pdf())


@pytest.mark.skipif(not features.check("raqm"), reason="needs a Pillow that shapes text (raqm)")
@pytest.mark.parametrize(
    ("text", "font"),
    [
        ("क्षत्रिय", LOHIT),
        ("हिन्दी", LOHIT),
        ("ครั้งนี้", GARUDA),
        ("กำลังน้ำ", GARUDA),
        ("q\u0303x\u0302", DEJAVU),
        (POINTED, DEJAVU),
        ("السَّلام", DEJAVU),
    ],
)
def test_letters_and_marks_stand_where_another_program_puts_them(text: str, font: str) -> None:
    picture = Image.new("L", (600, 200))
    ImageDraw.Draw(picture).text((50, 50), text, 255, ImageFont.truetype(needs(font), 63))
    assert differ(ink(report(text)), cut(np.asarray(picture).astype(int))) < 0.4


def test_arabic_letters_take_the_shapes_that_their_neighbours_ask_for() -> None:
    needs(DEJAVU)
    # Seen in its own alphabet: seen-initial, lam-alef-final, meem-isolated.
    shapes = ink(report("\ufeb3\ufefc\ufee1"))
    assert differ(ink(report("\u0633\u0644\u0627\u0645")), shapes) < 0.02
    assert differ(ink(report("\u0633\u200c\u0644\u0627\u0645")), shapes) > 0.3  # parted by a non-joiner


def places(pdf: bytes) -> dict[str, float]:
    """Return where each piece of text begins, in points from the left."""
    opened = pypdfium2.PdfDocument(pdf)
    text = opened[0].get_textpage()
    boxes = [text.get_rect(index) for index in range(text.count_rects())]
    found = {text.get_text_bounded(*box).strip(): box[0] for box in boxes}
    opened.close()
    return found


def test_words_of_several_styles_in_a_line_are_read_from_the_right() -> None:
    needs(DEJAVU)
    found = places(Report().text("א **ב** ג").pdf())
    assert found["א"] > found["ב"] > found["ג"]


def test_a_table_whose_heads_are_written_from_the_right_begins_there() -> None:
    needs(DEJAVU)
    hebrew = places(Report().table(pd.DataFrame({"ש": ["ד"], "ג": [1.5]}), totals=True).pdf())
    assert 547 > hebrew["ש"] > hebrew["ג"] > 400
    assert hebrew["Total"] > hebrew["ג"]
    english = places(Report().table(pd.DataFrame({"Name": ["דנה"], "Amount": [1.5]})).pdf())
    assert 48 < english["Name"] < english["Amount"] < 200


def test_a_letter_that_the_font_of_a_style_lacks_comes_from_another() -> None:
    """In code, Hebrew was a row of boxes: the font of code has none."""
    needs(DEJAVU)
    assert differ(ink(Report().text("`שלום`").pdf()), ink(Report().text("שלום").pdf())) < 0.02


def test_what_is_written_as_letter_and_accent_is_western_as_well() -> None:
    pdf = report("Cafe\u0301")
    assert b"/FontFile2" not in pdf
    assert text_of(pdf) == "Café"


@pytest.fixture
def only_dejavu(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {DEJAVU: needs(DEJAVU)}
    monkeypatch.setattr(font_files, "_files", lambda: found)


@pytest.mark.usefixtures("only_dejavu")
@pytest.mark.parametrize("text", ["नमस्ते", "สวัสดี", "ខ្មែរ"])
def test_a_script_that_no_font_has_is_named_with_what_to_install(text: str) -> None:
    with pytest.raises(DocumentError, match=unicodedata.name(min(text)).split()[0]) as caught:
        report(text)
    assert "apt install fonts-noto-core" in str(caught.value.hint)


def lines(text: str, width: float) -> list[str]:
    fonts = Fonts([text])
    found = ["".join(run.text for run in line) for line in lines_of(fonts, [Run(text)], width)]
    assert all(fonts.typeset(line).width <= width + 0.01 for line in found)
    return found


def test_a_long_word_is_broken_between_letters_not_before_their_marks() -> None:
    needs(GARUDA)
    found = lines("สวัสดีชาวโลก" * 20, 12.0)
    assert len(found) > 5
    assert "".join(found) == "สวัสดีชาวโลก" * 20
    assert not any(unicodedata.category(line[0]).startswith("M") or line[-1] == "โ" for line in found)
    needs(LOHIT)
    assert not any(line.endswith("्") for line in lines("क्षत्रिय" * 20, 12.0))


def test_blanks_at_the_beginning_of_a_text_are_its_own() -> None:
    assert lines("  a\n   b", 9.0) == ["  a", "   b"]


@given(st.lists(st.sampled_from(["a", "bb", "   ", "\n", "ccc" * 9, "e\u0301"])).map("".join), st.integers(2, 9))
@hypothesis_settings(max_examples=60, deadline=None)
def test_lines_hold_everything_but_the_blanks_at_their_ends(text: str, width: float) -> None:
    found: Callable[[str], str] = lambda text: unicodedata.normalize("NFC", "".join(text.split()))  # noqa: E731
    assert found("".join(lines(text, width))) == found(text)
    assert not any(line.endswith(" ") for line in lines(text, width))
