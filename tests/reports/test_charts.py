"""Charts of plotly's and altair's, and pictures of PIL's: in the text of a mail, attached, and in a report."""

from __future__ import annotations

import builtins
import importlib.util
import io
import re
from collections import OrderedDict
from typing import Any

import altair as alt
import kaleido
import pandas as pd
import plotly.graph_objects as go
import pypdf
import pytest
from PIL import Image

import docmail
from docmail.documents import Document
from docmail.errors import DocumentError, MessageError
from docmail.message import Message, markdown_to_html
from docmail.outbox import Outbox
from docmail.reports import Report, chart_file, charts
from docmail.text import chart_kind
from tests.message.test_body import kinds, parsed
from tests.message.test_message import ME, text_of
from tests.support.requires import require_program

FRAME = pd.DataFrame({"Region": ["North", "South"], "Sales": [120, 98]})


def altair_chart(title: str = "Orders by region", width: int = 400) -> Any:
    made = alt.Chart(FRAME, title=title, width=width, height=200) if title else alt.Chart(FRAME, width=width)
    return made.mark_bar().encode(x="Region", y="Sales")


def plotly_figure(title: str = "Orders by <b>region</b>", values: tuple[float, ...] = (120, 98), **layout: Any) -> Any:
    return go.Figure(go.Bar(x=["North", "South"], y=values, name="Orders"), layout={"title": title, **layout})


def size_of(content: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(content)).size


@pytest.fixture(autouse=True)
def _nothing_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "_drawn", OrderedDict())


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Have plotly's figures drawn as white pictures, without a browser, and return with which options."""
    calls: list[dict[str, Any]] = []

    def draw(figure: Any, opts: dict[str, Any], kopts: dict[str, Any]) -> bytes:
        assert figure["data"]
        calls.append({**opts, **kopts})
        file = io.BytesIO()
        Image.new("RGB", (round(opts["width"] * opts["scale"]), round(opts["height"] * opts["scale"]))).save(
            file, "PNG"
        )
        return file.getvalue()

    monkeypatch.setattr(kaleido, "calc_fig_sync", draw)
    return calls


def test_kinds_are_known_by_their_names() -> None:
    image = Image.new("RGB", (2, 2))
    given = [plotly_figure(), altair_chart(), altair_chart() | altair_chart(), image, image.convert("L"), FRAME, "x"]
    assert list(map(chart_kind, given)) == ["plotly", "altair", "altair", "PIL", "PIL", "", ""]


def test_a_chart_of_altair_stands_in_a_text() -> None:
    mail = parsed(Message("a@example.com", "Q3", ["Hello", altair_chart(), "Bye"]))
    assert kinds(mail) == ("multipart/alternative", ["text/plain", ("multipart/related", ["text/html", "image/png"])])
    assert re.search(r'<img [^>]*src="cid:[^"]+" width="600" alt="Orders by region"', text_of(mail, "html"))
    assert text_of(mail, "plain") == "Hello\n\n[Orders by region]\n\nBye\n"
    content = next(part for part in mail.walk() if part["Content-ID"]).get_content()
    assert size_of(content)[0] == pytest.approx(1200, abs=3)  # twice as many dots as pixels


def test_a_small_chart_of_altair_keeps_its_size() -> None:
    [picture] = Message("a@example.com", "Q3", altair_chart("", 100)).body.pictures
    assert 100 < picture.width < 300
    assert size_of(picture.content)[0] == pytest.approx(2 * picture.width, abs=1)
    assert picture.markdown == "![Figure 1](cid:figure-1)"


def test_a_figure_of_plotly_stands_in_a_text(drawn: list[dict[str, Any]]) -> None:
    body = Message("a@example.com", "Q3", ["Hello", plotly_figure(), plotly_figure("", width=200, height=100)]).body
    assert [picture.width for picture in body.pictures] == [600, 200]
    assert [size_of(picture.content)[0] for picture in body.pictures] == [1200, 400]
    assert "![Orders by region](cid:figure-1)" in body
    assert "![Figure 2](cid:figure-2)" in body
    assert [call["mathjax"] for call in drawn] == [False, False]  # it would come from another server


def test_formulas_of_plotly_are_drawn_with_mathjax(drawn: list[dict[str, Any]]) -> None:
    Message("a@example.com", "Q3", plotly_figure("$x^2$"))
    assert "mathjax" not in drawn[0]


def test_a_real_browser_draws_a_figure_of_plotly() -> None:
    require_program("chromium")
    content = chart_file(plotly_figure(width=400, height=300), "png")
    assert size_of(content) == (800, 600)
    assert len(Image.open(io.BytesIO(content)).convert("RGB").getcolors(1_000_000) or ()) > 5


def test_a_batch_draws_a_shared_figure_once(drawn: list[dict[str, Any]]) -> None:
    figure = plotly_figure()
    rows = [{"no": number, "email": f"a{number}@example.com"} for number in range(20)]
    messages = docmail.merge(rows, key="no", to="{{ email }}", subject="Q3", body=lambda _row: ["Hello", figure])
    Outbox().add_all(messages, batch="charts", settings=ME)
    assert len(drawn) == 1
    figure.update_layout(title="Another")
    Message("a@example.com", "Q3", figure)
    assert len(drawn) == 2


def test_the_same_chart_is_the_same_mail_and_another_one_is_not(drawn: list[dict[str, Any]]) -> None:
    def given(source: Any) -> str:
        return Message("a@example.com", "Q3", source).body.source

    assert given(plotly_figure()) == given(plotly_figure(plot_bgcolor="white", template="simple_white"))
    assert given(plotly_figure()) != given(plotly_figure(values=(120, 99)))
    assert given(plotly_figure()) != given(plotly_figure("Cost"))
    assert given(altair_chart()) == given(altair_chart().configure_axis(grid=False))
    assert given(altair_chart()) != given(altair_chart("Cost"))
    assert given(altair_chart()) != given(alt.Chart(FRAME.assign(Sales=[1, 2]), title="Orders by region").mark_bar())
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    assert given(red) == given(red.copy())
    assert given(red) != given(blue)
    assert drawn


@pytest.mark.parametrize(
    ("mode", "size", "kind", "width"),
    [
        ("RGBA", (300, 80), "png", 300),
        ("P", (300, 80), "png", 300),
        ("LA", (300, 80), "png", 300),
        ("I;16", (30, 8), "png", 30),
        ("F", (30, 8), "png", 30),
        ("1", (30, 8), "png", 30),
        ("CMYK", (1300, 20), "png", 600),
        ("RGB", (1300, 800), "png", 600),
    ],
)
def test_pictures_of_every_mode_stand_in_a_text(mode: str, size: tuple[int, int], kind: str, width: int) -> None:
    [picture] = Message("a@example.com", "Q3", Image.new(mode, size)).body.pictures
    assert (picture.kind, picture.width) == (kind, width)
    assert size_of(picture.content) == (min(size[0], 1200), round(size[1] * min(size[0], 1200) / size[0]))


def test_a_photo_travels_as_jpeg_without_where_it_was_taken() -> None:
    photo = Image.effect_noise((900, 700), 90).convert("RGB")
    photo.getexif()[0x010F] = "Secret Camera"
    mail = parsed(Message("a@example.com", "Q3", photo))
    part = next(part for part in mail.walk() if part["Content-ID"])
    assert (part.get_content_type(), part.get_filename()) == ("image/jpeg", "figure-1.jpg")
    assert b"Secret Camera" not in part.get_content()


def test_a_picture_stands_as_its_camera_was_held() -> None:
    photo = Image.new("RGB", (300, 100), "red")
    photo.getexif()[0x0112] = 6
    [picture] = Message("a@example.com", "Q3", photo).body.pictures
    assert (size_of(picture.content), picture.width) == ((100, 300), 100)


@pytest.mark.parametrize(
    ("ending", "start"), [("pdf", b"%PDF-"), ("png", b"\x89PNG"), ("svg", b"<svg"), ("jpg", b"\xff\xd8")]
)
def test_a_chart_of_altair_can_be_attached(ending: str, start: bytes) -> None:
    assert Document.of(altair_chart(), f"orders.{ending}").read().startswith(start)


def test_the_names_of_charts_and_pictures() -> None:
    assert Document.of(altair_chart()).name == "Orders by region.pdf"
    assert Document.of(altair_chart("")).name == "chart.pdf"
    image = Image.new("RGBA", (40, 20))
    assert (Document.of(image).name, Document.of(image).media_type) == ("picture.png", "image/png")
    assert Document.of(image, "logo.pdf").read().startswith(b"%PDF-")
    with pytest.raises(DocumentError, match=r"cannot make a \.svg file from this Image"):
        Document.of(image, "logo.svg")


@pytest.mark.parametrize(("source", "hint"), [(FRAME.style, "styler.data"), (pd.Series([1]).to_frame().style, "body=")])
def test_a_styled_table_is_no_document(source: Any, hint: str) -> None:
    with pytest.raises(DocumentError, match="A Styler cannot be attached") as caught:
        Document.of(source)
    assert hint in (caught.value.hint or "")


def test_charts_and_pictures_stand_in_a_report() -> None:
    report = Report("Q3").figure(altair_chart(), title="Orders").figure(Image.new("RGB", (600, 200), "red"))
    [page] = pypdf.PdfReader(io.BytesIO(report.pdf())).pages
    assert "Region" in page.extract_text()
    assert repr(report) == "<Report 'Q3', 0 tables, 2 figures>"


@pytest.mark.parametrize(
    ("chart", "module", "package", "extra"),
    [(plotly_figure, "kaleido", "kaleido", "plotly"), (altair_chart, "vl_convert", "vl-convert-python", "altair")],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, chart: Any, module: str, package: str, extra: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(MessageError, match=f"the package {package}, which is not installed") as caught:
        Message("a@example.com", "Q3", chart())
    assert caught.value.hint == f'Install it: pip install "docmail[{extra}]".'


def test_a_missing_browser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class ChromeNotFoundError(RuntimeError):
        pass

    def draw(*_args: Any, **_options: Any) -> bytes:
        raise ChromeNotFoundError

    monkeypatch.setattr(kaleido, "calc_fig_sync", draw)
    with pytest.raises(MessageError, match="kaleido finds neither Chrome nor Chromium") as caught:
        Message("a@example.com", "Q3", plotly_figure())
    assert "kaleido.get_chrome_sync()" in (caught.value.hint or "")


def test_what_a_library_cannot_draw_is_said() -> None:
    many = alt.Chart(pd.DataFrame({"a": range(6000)})).mark_point().encode(x="a")
    with pytest.raises(MessageError, match="altair cannot save this figure: ") as caught:
        Message("a@example.com", "Q3", many)
    assert caught.value.field == "body"


def test_a_picture_can_have_too_many_dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "_MOST_DOTS", 100)
    with pytest.raises(MessageError, match="The picture has 20 by 10 pixels"):
        Message("a@example.com", "Q3", Image.new("RGB", (20, 10)))


# --- pictures on other servers ---


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("![x](https://example.com/a.png) ![y](https://example.com/a.png)", ("https://example.com/a.png",)),
        ("![x][ref]\n\n[ref]: http://example.com/x.gif", ("http://example.com/x.gif",)),
        ("> - ![x](//example.com/x.png)", ("//example.com/x.png",)),
        ("| a |\n|---|\n| ![x](HTTPS://example.com/x.png) |", ("HTTPS://example.com/x.png",)),
        ("`![x](https://example.com)` [a](https://example.com) !", ()),
        ("![x](cid:figure-1) ![x](chart.png)", ()),
    ],
)
def test_pictures_on_other_servers_are_named(text: str, urls: tuple[str, ...]) -> None:
    body = Message("a@example.com", "Q3", [text, Image.new("RGB", (9, 9))]).body
    assert body.remote_images == urls
    assert all(f'src="{url}"' in markdown_to_html(body) for url in urls)  # as it was written


def test_a_batch_says_which_mails_show_pictures_on_other_servers() -> None:
    messages = [
        Message("a@example.com", "Q3", "![chart](https://example.com/a.png)", key="1"),
        Message("b@example.com", "Q3", "no picture", key="2"),
    ]
    with pytest.warns(UserWarning, match=r"another server: https://example\.com/a\.png"):
        added = Outbox().add_all(messages, batch="remote", settings=ME)
    assert [(note.row, note.key, note.field) for note in added.notes] == [(1, "1", "body")]


def test_nothing_is_imported_for_a_look_at_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    heavy = {"plotly", "altair", "kaleido", "vl_convert", "great_tables", "nh3", "css_inline"}
    load = builtins.__import__

    def counted(name: str, *args: Any, **options: Any) -> Any:
        assert name.partition(".")[0] not in heavy
        return load(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", counted)
    assert Message("a@example.com", "Q3", ["Hello", FRAME, "Bye"]).body


def test_a_picture_of_nothing_is_not_to_be_made_smaller() -> None:
    with pytest.raises(DocumentError, match=r"The picture has 0 by 0 pixels\. Make it again"):
        Document.of(Image.new("RGB", (0, 0)))
