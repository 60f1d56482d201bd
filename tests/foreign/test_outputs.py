"""What of an output is shown: its static form, cleaned; where there is none, a sentence in its place."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import altair as alt
import great_tables
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from docmail.foreign import Pictured, Printed, Said, Shown, Tabled, pictures, read_notebook
from tests.foreign.notebooks import png, printed, ran, said, shown, write

if TYPE_CHECKING:
    from pathlib import Path

FRAME = pd.DataFrame({"Region": ["North", "S|o*uth <b>"], "Revenue": [1234.5, -20.25]})
PIXEL = "https://tracker.example/p.png"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "report.ipynb"


def of(path: Path, *outputs: dict[str, Any]) -> list[Shown]:
    return read_notebook(write(path, said("begin"), ran("1", *outputs)))[1:]


def one(path: Path, **forms: Any) -> Shown:
    [piece] = of(path, shown(**forms))
    return piece


def markdown(path: Path, text: str, **more: Any) -> list[Shown]:
    return read_notebook(write(path, said(text, **more)))


def text(pieces: list[Shown]) -> str:
    return "\n\n".join(piece.markdown for piece in pieces if not isinstance(piece, Pictured))


# --- printed text -----------------------------------------------------------------------------------------------------


def test_printed_text_stays_as_it_is_and_what_goes_to_stderr_is_not_shown(path: Path) -> None:
    outputs = printed(["a\n", "  b*c*\n"]), printed("/home/anna/x.py:3: FutureWarning", "stderr"), printed("d")
    assert of(path, *outputs) == [Printed("a\n  b*c*\nd")]


def test_colours_and_lines_that_were_overwritten_are_gone(path: Path) -> None:
    assert of(path, printed("\x1b[1;31mred\x1b[0m\n 10%|#   |\r100%|####|\nab\b\bcd\tx\n")) == [
        Printed("red\n100%|####|\ncd      x")
    ]


def test_the_middle_of_an_endless_output_is_left_out_with_a_sentence(path: Path) -> None:
    pieces = of(path, printed("".join(f"line {number}\n" for number in range(100_000))))
    assert [type(piece) for piece in pieces] == [Printed, Said, Printed]
    assert "99,820 lines are left out here" in text(pieces)
    assert text(pieces).count("\n") < 220
    assert "line 0\n" in text(pieces)
    assert "line 99999" in text(pieces)


def test_a_line_of_megabytes_is_cut(path: Path) -> None:
    assert len(text(of(path, printed("x" * 5_000_000)))) < 3_000


def test_backticks_in_printed_text_end_nothing(path: Path) -> None:
    assert text(of(path, printed("```\n# no heading"))) == "````\n```\n# no heading\n````"


@pytest.mark.parametrize(
    "words",
    [
        "[<matplotlib.lines.Line2D at 0x7f5a9749f9c0>]",
        "<matplotlib.legend.Legend at 0x7f00>",
        "Text(0.5, 1.0, 'Revenue')",
        "<Axes: title={'center': 'Revenue'}>",
        "array([<Axes: >, <Axes: >], dtype=object)",
        "<BarContainer object of 2 artists>",
        "<__main__.Model object at 0x10ab>",
        "<Figure size 640x480 with 1 Axes>",
    ],
)
def test_what_only_says_where_an_object_is_in_memory_is_not_shown(path: Path, words: str) -> None:
    assert of(path, shown(plain=words)) == []


@pytest.mark.parametrize("words", ["42", "'North <b>'", "{'a': 1}", "a < b > c"])
def test_what_a_cell_returns_is_shown_as_text(path: Path, words: str) -> None:
    assert one(path, plain=words) == Printed(words)


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_table_of_pandas_is_a_table_with_its_words_and_no_html(path: Path) -> None:
    table = one(path, html=FRAME._repr_html_(), plain=str(FRAME))
    assert isinstance(table, Tabled)
    assert table.drawn is None
    assert table.words[1:-1] == (
        ("", "Region", "Revenue"),
        ("0", "North", "1234.50"),
        ("1", "S|o*uth <b>", "-20.25"),
    )
    assert "---:" in table.markdown


def test_the_sentence_of_a_shortened_table_stays(path: Path) -> None:
    pieces = of(path, shown(html=pd.DataFrame(range(500))._repr_html_()))
    assert isinstance(pieces[0], Tabled)
    assert "500 rows" in text(pieces)


def test_a_table_of_polars_has_neither_its_types_nor_its_shape(path: Path) -> None:
    table = one(path, html=pl.DataFrame({"Region": ["North"], "Revenue": [1.5]})._repr_html_())
    assert isinstance(table, Tabled)
    assert table.words[1:-1] == (("Region", "Revenue"), ('"North"', "1.5"))


def test_levels_of_heads_stay_together(path: Path) -> None:
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("Q1", "a"), ("Q1", "b")]))
    table = one(path, html=frame._repr_html_())
    assert isinstance(table, Tabled)
    assert "Q1 a" in table.markdown
    assert "Q1 b" in table.markdown


def test_a_styled_table_keeps_its_look_and_its_numbers_on_the_right(path: Path) -> None:
    html = FRAME.style.highlight_max(subset=["Revenue"], color="yellow").to_html()
    table = one(path, html=html)
    assert isinstance(table, Tabled)
    assert table.drawn is not None
    assert "background-color: yellow" in table.drawn.html
    assert table.drawn.html.count("text-align: right") == 3
    assert "<b>" not in table.drawn.html.replace("<b></b>", "")


def test_a_table_of_great_tables_keeps_its_look(path: Path) -> None:
    table = one(path, html=great_tables.GT(FRAME).tab_header("Sales").as_raw_html())
    assert isinstance(table, Tabled)
    assert table.drawn is not None
    assert "Sales" in table.markdown


def test_of_a_table_with_too_many_rows_the_first_are_shown_with_a_sentence(path: Path) -> None:
    table, note = of(path, shown(html=pd.DataFrame(range(1000)).to_html()))
    assert isinstance(table, Tabled)
    assert table.rows == 60
    assert isinstance(note, Said)
    assert "940 more rows of this table are left out" in note.markdown


def test_a_table_with_too_many_columns_is_a_sentence(path: Path) -> None:
    piece = one(path, html=pd.DataFrame([range(60)]).to_html())
    assert isinstance(piece, Said)
    assert "A table of 1 rows and 61 columns stood here" in piece.markdown


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["png", "jpeg", "gif"])
def test_a_picture_is_drawn_anew(path: Path, form: str) -> None:
    content = png((800, 400), form.upper())
    lines = [f"{content[start : start + 76]}\n" for start in range(0, len(content), 76)]
    picture = one(path, **{form: lines, "plain": "<Figure size 640x480 with 1 Axes>"})
    assert isinstance(picture, Pictured)
    assert (picture.kind, picture.width) == ("png", 600)
    with Image.open(io.BytesIO(picture.content)) as image:
        assert image.size == (800, 400)


def test_a_picture_for_a_sharp_screen_has_the_width_that_the_notebook_shows(path: Path) -> None:
    output = shown(png=png((800, 400)))
    output["metadata"] = {"image/png": {"width": 400, "height": 200}}
    [picture] = of(path, output)
    assert isinstance(picture, Pictured)
    assert picture.width == 400


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="120pt" height="60pt" '
    'viewBox="0 0 120 60">{}<rect x="0" y="0" width="60" height="60" fill="#ff0000"/></svg>'
)


def test_an_svg_becomes_a_picture(path: Path) -> None:
    for written in (SVG.format(""), f'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "x" "y">\n{SVG.format("")}'):
        picture = one(path, svg=[written[:50], written[50:]])
        assert isinstance(picture, Pictured)
        assert picture.width == 160
        with Image.open(io.BytesIO(picture.content)) as image:
            seen = image.convert("RGB")
            assert seen.getpixel((seen.width // 4, seen.height // 2)) == (255, 0, 0)
            assert seen.getpixel((seen.width * 3 // 4, seen.height // 2)) == (255, 255, 255)


def test_an_svg_loads_nothing_and_runs_nothing(tmp_path: Path, path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(base64.b64decode(png()))
    hostile = SVG.format(
        f'<script>alert(1)</script><image xlink:href="file://{secret}" width="9" height="9"/>'
        f'<image href="{PIXEL}" width="9" height="9"/><foreignObject><iframe src="{PIXEL}"/></foreignObject>'
        f'<a href="javascript:alert(1)"><text onclick="x()">t</text></a><use href="{PIXEL}#a"/>'
    ).replace("<svg ", '<svg onload="alert(1)" ', 1)
    cleaned = pictures._harmless(hostile)
    assert not [
        word for word in (b"script", b"secret", b"tracker", b"iframe", b"onload", b"onclick") if word in cleaned
    ]
    assert isinstance(one(path, svg=hostile), Pictured)


def test_an_svg_that_multiplies_itself_is_cut(path: Path) -> None:
    levels = "".join(f'<g id="l{level}">' + f'<use href="#l{level - 1}"/>' * 10 + "</g>" for level in range(1, 12))
    assert isinstance(
        one(
            path, svg=SVG.format(f'<defs><g id="l0"><rect width="1" height="1"/></g>{levels}</defs><use href="#l11"/>')
        ),
        Pictured,
    )
    bomb = '<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + SVG.format("<text>&b;</text>")
    assert one(path, svg=bomb) == Said("*A picture (SVG) stood here that cannot be drawn.*")


@pytest.mark.parametrize(
    "svg", ["<svg", "<svg/>", "no svg", SVG.format("").replace("120 60", "0 0").replace("120pt", "0")]
)
def test_an_svg_that_cannot_be_drawn_is_a_sentence(path: Path, svg: str) -> None:
    assert one(path, svg=svg) == Said("*A picture (SVG) stood here that cannot be drawn.*")


@pytest.mark.parametrize(
    ("side", "sentence"),
    [(8_000, "A picture of 8,000 by 8,000 pixels stood here."), (20_000, "A picture stood here that is too large.")],
)
def test_a_giant_picture_is_a_sentence_and_is_not_unpacked(path: Path, side: int, sentence: str) -> None:
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    assert one(path, png=base64.b64encode(file.getvalue()).decode()) == Said(f"*{sentence}*")


@pytest.mark.parametrize("content", ["!", "aGVsbG8=", png()[:60], base64.b64encode(b"<svg onload=x>").decode()])
def test_a_damaged_picture_is_a_sentence(path: Path, content: str) -> None:
    assert one(path, png=content) == Said("*A picture stood here that is damaged.*")


# --- what needs scripts -----------------------------------------------------------------------------------------------


def chart() -> Any:
    return alt.Chart(FRAME, title="Sales").mark_bar().encode(x="Region", y="Revenue")


def test_a_chart_of_altair_is_drawn_of_what_the_notebook_holds(path: Path) -> None:
    spec = json.loads(chart().to_json())
    picture = one(path, **{"application/vnd.vegalite.v6+json": spec, "plain": "alt.Chart(...)"})
    assert isinstance(picture, Pictured)
    assert picture.caption == "Sales"
    for html in (chart()._repr_mimebundle_()["text/html"], chart().to_html(fullhtml=False)):
        assert isinstance(one(path, html=html, plain="alt.Chart(...)"), Pictured)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "https://tracker.example/data.csv", "../data.csv"])
def test_a_chart_that_loads_its_data_is_not_drawn(path: Path, url: str) -> None:
    spec = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "data": {"url": url}, "mark": "bar"}
    assert "An interactive chart stood here" in text(of(path, shown(**{"application/vnd.vegalite.v5+json": spec})))


PLOTLY = "application/vnd.plotly.v1+json"


def test_a_figure_of_plotly_is_drawn_of_what_the_notebook_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []

    def draw(figure: Any, _width: int) -> tuple[bytes, str, int]:
        drawn.append(figure)
        return b"", "png", 600

    monkeypatch.setattr(pictures, "chart_png", draw)
    spec = {"data": [{"type": "bar", "x": ["a"], "y": [1]}], "layout": {"title": {"text": "Sales"}}, "config": {}}
    picture = one(path, **{PLOTLY: spec, "html": "<div></div><script>Plotly.newPlot()</script>"})
    assert picture == Pictured(b"", "png", 600, "Sales")
    assert drawn[0].data[0].y == (1,)


@pytest.mark.parametrize(
    "spec",
    [
        {"data": [{"type": "bar"}], "layout": {"images": [{"source": "logo.png"}]}},
        {"data": [{"type": "bar", "x": [PIXEL]}], "layout": {}},
        {"data": [{"type": "scattermapbox"}], "layout": {}},
        {"data": "nothing"},
        {},
        [],
    ],
)
def test_a_figure_that_loads_something_is_not_drawn(path: Path, spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "chart_png", lambda *_given: pytest.fail("it was drawn"))
    assert "An interactive chart stood here" in text(of(path, shown(**{PLOTLY: spec})))


def test_a_static_picture_is_preferred(path: Path) -> None:
    forms: dict[str, Any] = {PLOTLY: {}, "application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "png": png()}
    assert isinstance(one(path, **forms), Pictured)


def test_an_element_of_a_kernel_is_a_sentence_and_a_finished_bar_is_nothing(path: Path) -> None:
    """Without widget state in the metadata nbconvert fails (jupyter/nbconvert#1811)."""
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "abc", "version_major": 2}}
    assert "An interactive element stood here" in text(of(path, shown(**view, plain="IntSlider(value=0)")))
    assert of(path, shown(**view, plain="  0%|          | 0/3 [00:00<?, ?it/s]")) == []


def test_what_bokeh_loads_is_nothing_and_what_it_shows_is_a_sentence(path: Path) -> None:
    load = shown(**{"application/vnd.bokehjs_load.v0+json": "", "application/javascript": "x"})
    draw = shown(**{"application/vnd.bokehjs_exec.v0+json": "", "html": '<div id="p1"></div>'})
    assert text(of(path, load, draw)).count("An interactive chart stood here") == 1


def test_a_map_and_scripts_without_words_are_sentences(path: Path) -> None:
    frame = '<div><iframe srcdoc="&lt;html&gt;"></iframe></div>'
    assert "A map or a page of another server stood here" in text(of(path, shown(html=frame, plain="<folium.Map>")))
    script = '<script>require(["x"])</script><div id="z"></div>'
    assert "An interactive chart stood here" in text(of(path, shown(html=script, plain="")))


def test_docmails_own_forms_are_not_shown(path: Path) -> None:
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "abc"}}
    fallback = '<div class="docmail-static"><style></style><p>Run this cell.</p></div>'
    assert of(path, shown(html=fallback, plain="<SettingsForm>"), shown(**view, plain="")) == []


# --- HTML from outside ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert('bad')</script>",
        '<img src=x onerror="bad()">',
        f'<img src="{PIXEL}?bad" width=1 height=1>',
        '<img src="file:///bad.png">',
        '<a href="javascript:bad()">words</a>',
        '<a href="java\nscript:bad()">words</a>',
        '<a href="data:text/html,bad">words</a>',
        "<svg onload=bad()><text>bad</text></svg>",
        '<svg><style>@import "bad"</style></svg>',
        '<iframe src="https://bad.example"></iframe>',
        '<form action="https://bad.example"><input name=bad value=bad></form>',
        '<p style="background: url(https://bad.example)">words</p>',
        "<style>bad { }</style>",
        '<meta http-equiv="refresh" content="0; url=https://bad.example">',
        '<link rel="stylesheet" href="https://bad.example">',
        "<object data=bad></object><embed src=bad>",
        '<video poster="https://bad.example"></video>',
        "<math><mtext></table><img src=bad onerror=bad></mtext></math>",
        "<!-- bad --><![CDATA[bad]]>",
        "<template><img src=bad></template>",
    ],
)
def test_nothing_of_hostile_html_is_left_but_its_words(path: Path, html: str) -> None:
    said_ = text(of(path, shown(html=f"<div><p>before</p>{html}<p>after</p></div>", plain="")))
    assert "bad" not in said_
    assert "before" in said_
    assert "after" in said_


def test_html_in_a_table_passes_the_list_for_tables(path: Path) -> None:
    cell = f'<img src="{PIXEL}"><script>bad()</script><a href="javascript:bad()">x</a>'
    table = one(path, html=f'<table class="dataframe"><tr><td>words{cell}</td></tr></table>')
    assert isinstance(table, Tabled)
    assert table.drawn is not None
    assert "words" in table.drawn.html
    assert not [word for word in ("bad", "tracker", "script") if word in table.drawn.html + table.markdown]


def test_html_is_read_as_markdown(path: Path) -> None:
    html = (
        "<h2>Sales &amp; <i>more</i></h2><p>a <b>bold </b>word,<br>2 * 3</p><ol><li>one<li>two</ol>"
        '<ul><li><a href="https://example.com/a_b">li*nk</a></li></ul><pre>x  y\n  z</pre><hr>'
        f'<img alt="logo" src="data:image/png;base64,{png()}">tail'
    )
    first, picture, tail = of(path, shown(html=html))
    assert first == Said(
        "## Sales & *more*\n\na **bold** word,\n2 \\* 3\n\n1. one\n2. two\n\n- [li\\*nk](<https://example.com/a_b>)\n\n"
        "```\nx  y\n  z\n```\n\n---"
    ) or text([first]).startswith("## Sales & *more*")
    assert isinstance(picture, Pictured)
    assert picture.caption == "logo"
    assert tail == Said("tail")


def test_empty_html_gives_way_to_the_plain_text(path: Path) -> None:
    assert one(path, html="", plain="42") == Printed("42")
    assert one(path, html="<style>a{}</style>", plain="42") == Printed("42")


@pytest.mark.parametrize(
    "hidden",
    [
        '<div style="color: red; DISPLAY : none">away <div>away</div> away</div>',
        "<p hidden>away</p>",
        '<span style="visibility:hidden">away</span>',
        '<div style="display:none"><table><tr><td>away</td></tr></table><img src="data:image/png;base64,A"></div>',
        '<img hidden alt="away">',
    ],
)
def test_what_a_browser_hides_is_not_shown(path: Path, hidden: str) -> None:
    assert text(of(path, shown(html=f"<p>before</p>{hidden}<p>after</p>"))) == "before\n\nafter"


@pytest.mark.parametrize(
    "html",
    [
        '<style>#a pre{}</style><div class="sk-text-repr-fallback"><pre>Model()</pre><b>Please rerun this</b></div>',
        "<div><pre class='xr-text-repr-fallback'>Model()</pre><div class='xr-wrap' style='display:none'>x</div></div>",
    ],
)
def test_html_that_holds_the_plain_text_as_well_gives_way_to_it(path: Path, html: str) -> None:
    """As scikit-learn and xarray write it: a style sheet folds one of the two."""
    assert one(path, html=html, plain="Model()") == Printed("Model()")


@pytest.mark.parametrize(
    "forms",
    [
        {
            "html": '<video controls><source src="data:video/mp4;base64,AA"></video>',
            "text/plain": "<IPython.lib.display.Audio object>",
        },
        {"html": '<svg width="9" height="9"></svg>'},
        {"html": '<img src="https://example.com/chart.png">', "plain": "<IPython.core.display.HTML object>"},
        {"application/json": {"a": 1}, "text/plain": "<IPython.core.display.JSON object>"},
        {"application/pdf": "JVBERi0=", "text/plain": "<Figure size 640x480 with 1 Axes>"},
        {"image/webp": "UklGR"},
    ],
)
def test_what_only_the_notebook_can_show_is_a_sentence(path: Path, forms: dict[str, Any]) -> None:
    assert "only the notebook itself shows it" in text(of(path, shown(**forms)))


def test_a_table_that_a_script_fills_later_is_a_sentence(path: Path) -> None:
    html = (
        '<table id="itables_1"><tr><td>Loading ITables v2.1.4 from the internet...</td></tr></table><script>1</script>'
    )
    assert "An interactive element stood here" in text(of(path, shown(html=html)))


@pytest.mark.parametrize("count", [6_000, 1_000_000])
def test_html_that_nobody_reads_to_its_end_is_a_sentence(path: Path, count: int) -> None:
    said_ = text(of(path, shown(html="<p>x</p>" * count)))
    assert said_ == f"*An output of {8 * count:,} characters stood here, which is too large.*"


# --- Markdown ---------------------------------------------------------------------------------------------------------


def test_markdown_from_outside_loads_no_picture(path: Path) -> None:
    for written in (f"![alt]({PIXEL})", f"![alt][1]\n\n[1]: {PIXEL}", f'<img src="{PIXEL}" alt="alt">'):
        said_ = text(of(path, shown(markdown=f"**words** {written}")))
        assert said_.startswith("**words** ")
        assert f"]({PIXEL}" not in said_
        assert "![" not in said_.replace("\\!\\[", "")


def test_elements_in_markdown_become_marks_or_words(path: Path) -> None:
    [piece] = markdown(
        path,
        'a <b>bold</b> <span style="color: red">red</span> <a href="https://example.com">link</a> '
        '<a href="javascript:bad()">words</a> x<sub>2</sub><br>`<b>` 1 < 2 <script>bad()</script><!-- bad -->',
    )
    assert piece.markdown == "a **bold** red [link](<https://example.com>) words x2<br>`<b>` 1 < 2 "  # type: ignore[union-attr]


def test_a_block_of_html_in_markdown_is_read_as_html(path: Path) -> None:
    pieces = markdown(
        path, '# Title\n\n<div class="alert">\n\n**Note**\n\n</div>\n\n<center><h3>Middle</h3></center>\n\nend'
    )
    assert text(pieces) == "# Title\n\n**Note**\n\n### Middle\n\nend"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("one **two\nthree** four", "one **two three** four"),
        ("- one\n  two\n- three\n1. four\n   five", "- one two\n- three\n1. four five"),
        ("Title\n=====\none\ntwo", "Title\n=====\none two"),
        ("# Title\none\ntwo\n***", "# Title\none two\n***"),
        ("one  \ntwo\nthree\\\nfour<br>\nfive", "one  \ntwo three\\\nfour<br>\nfive"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("    x = 1\n    y = 2\n\none\ntwo", "    x = 1\n    y = 2\n\none two"),
        ("```\nx = 1\ny = 2\n```", "```\nx = 1\ny = 2\n```"),
        ("> one\n\n[a]: https://example.com\ntwo", "> one\n\n[a]: https://example.com\ntwo"),
    ],
)
def test_the_lines_of_a_paragraph_are_one_as_in_jupyter(path: Path, written: str, read: str) -> None:
    assert text(markdown(path, written)) == read


def test_code_in_markdown_stays_code_and_is_closed(path: Path) -> None:
    write(path, said("```python\nx = '<b>'\n\n<div>"), said("# Next"))
    assert text(read_notebook(path)) == "```python\nx = '<b>'\n\n<div>\n```\n\n# Next"


def test_a_picture_attached_to_a_cell_stands_where_it_is_named(path: Path) -> None:
    """yuvipanda/notebooksharing.space#22."""
    attached = {"my image.png": {"image/png": png()}}
    before, picture, after = markdown(
        path, "before ![My *logo*](attachment:my%20image.png) after", attachments=attached
    )
    assert isinstance(picture, Pictured)
    assert (text([before]).strip(), text([after]).strip()) == ("before", "after")
    assert "it is not in the notebook" in text(markdown(path, "![x](attachment:gone.png)"))


def test_a_picture_beside_the_notebook_is_taken_and_none_from_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    for place in (folder / "logo.png", tmp_path / "secret.png"):
        place.write_bytes(base64.b64decode(png()))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    path = folder / "report.ipynb"
    pieces = markdown(path, "![logo](logo.png)\n\n<img src='logo.png' width=40>")
    assert [type(piece) for piece in pieces] == [Pictured, Pictured]
    for address in ("../secret.png", f"{tmp_path}/secret.png", f"file://{tmp_path}/secret.png", "link.png", "~/x.png"):
        said_ = markdown(path, f"![words]({address})")
        assert said_ == [Said("words")], address


def test_a_formula_that_stands_alone_is_drawn(path: Path) -> None:
    [_words, picture] = markdown(path, "Costs $5 and $6:\n\n$$\n\\frac{a_1}{b}\n$$")
    assert isinstance(picture, Pictured)
    assert picture.caption == "\\frac{a_1}{b}"
    [formula] = of(path, shown(latex="$\\displaystyle x^{2}$", plain="x**2"))
    assert isinstance(formula, Pictured)
    assert of(path, shown(latex="$\\nonsense{x}$", plain="x**2")) == [Printed("x**2")]
