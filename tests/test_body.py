"""The text of a mail arrives as people read it: HTML with pictures and tables, and plain text that needs neither."""

from __future__ import annotations

import contextlib
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
from matplotlib.figure import Figure
from PIL import Image

from docmail.entry import body_digest
from docmail.errors import MessageError
from docmail.markdown import to_html, to_text
from docmail.message import Message, draft
from docmail.settings import Settings, SmtpServer
from docmail.transport.form import fields_of
from tests.support.requires import require_program
from tests.test_message import ME, assert_fit_for_smtp, text_of, wire

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

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
    sources = re.findall(r'<img [^>]*src="cid:([^"]+)" width="384" alt="([^"]+)"', html)
    related = next(part for part in mail.walk() if part.get_content_type() == "multipart/related")
    assert related.get_param("type") == "text/html"
    _html, *parts = related.iter_parts()
    assert [part["Content-ID"] for part in parts] == [f"<{name}>" for name, _alt in sources]
    assert [alt for _name, alt in sources] == ["Revenue", "Cost"]
    assert [part.get_content_disposition() for part in parts] == ["inline", "inline"]
    assert Image.open(io.BytesIO(parts[0].get_content())).size == (768, 384)  # twice as many dots as pixels
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


@pytest.mark.parametrize("frame", [FRAME, pl.DataFrame(DATA)], ids=["pandas", "polars"])
def test_a_small_table_is_a_table_in_both(frame: Any) -> None:
    mail = parsed(Message("a@example.com", "Q3", ["Hello", frame]))
    html = text_of(mail, "html")
    assert html.count("<tr>") == 3
    assert re.search(r'<th style="[^"]*text-align: right[^"]*">Revenue</th>', html)
    assert re.search(r'<td style="border: 1px solid[^"]*">S\|o\*uth</td>', html)
    assert text_of(mail, "plain") == (
        "Hello\n\nRegion    Revenue  Note\n-------  --------  ----\nNorth    1,234.50\nS|o*uth     20.25  x y\n"
    )


def test_a_message_keeps_its_pictures_when_it_is_changed_and_its_text_can_be_compared() -> None:
    message = Message("a@example.com", "Q3", ["Hello", figure()])
    again = replace(message, key="q3")
    assert again.pictures == message.pictures
    assert len(again.pictures) == 1
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
        ([["x"]], "must be text, not list"),
        (iter("x"), "must be text, not str_"),
        (figure(size=(8, 6)), "larger than 0 MB"),
        (figure("$\\nonsense{$"), "cannot save this figure"),
    ],
)
def test_what_cannot_stand_in_a_text_is_refused(body: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docmail.body._MAX_PICTURES", 10_000)
    with pytest.raises(MessageError, match=re.escape(words)) as caught:
        Message("a@example.com", "Q3", body)
    assert caught.value.field == "body"


def test_a_title_that_is_markup_or_has_lines_is_an_honest_caption() -> None:
    body = Message("a@example.com", "Q3", figure("*Q3*](x)\n<b>")).body
    assert 'alt="*Q3*](x) &lt;b&gt;"' in to_html(body)
    assert to_text(body) == "[*Q3*](x) <b>]\n"


def test_the_http_protocol_finds_the_html_and_says_that_it_carries_no_pictures() -> None:
    fields = fields_of(Message("a@example.com", "Q3", ["**Hello**", FRAME]).render(ME).parsed())
    assert "<strong>Hello</strong>" in fields["body"]
    with pytest.raises(MessageError, match="cannot carry the pictures"):
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
        ("![logo](https://a.example/l.png) ~~old~~ `code`", "[logo] old code\n"),
        ("a \\* b \\_c\\_", "a * b _c_\n"),
        ("one\n\n---\n\ntwo", f"one\n\n{'-' * 40}\n\ntwo\n"),
        ("<b>no html</b> **x**", "<b>no html</b> x\n"),
        ("| " + "w" * 60 + " | b |\n|---|---|\n| x | y |", f"{'w' * 60}  b\n{'-' * 40}  -\nx{' ' * 39}  y\n"),
    ],
)
def test_the_plain_text_says_it_without_marks(markdown: str, text: str) -> None:
    assert to_text(markdown) == text


def test_every_element_of_the_html_carries_its_own_style() -> None:
    html = to_html(
        "# a\n\n> b\n\n```\nc\n```\n\n| d |\n|---|\n| e |\n\n`f`\n\n- g\n\n---\n\n![h](https://a.example/h.png)"
    )
    for tag in ("h1", "blockquote", "pre", "table", "th", "td", "code", "ul", "hr", "img", "p"):
        assert re.search(rf'<{tag} style="[^"]+"', html), tag
    assert html.count("style=") == len(re.findall(r"<[a-z][^>]*style=", html))
    assert "class=" not in html
    assert "<style" not in html


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


@pytest.mark.timeout(30)
def test_another_program_reads_the_mail_as_it_was_meant(tmp_path: Path) -> None:
    """Mutt, which shares no code with Python's parser, shows the headers and the plain text."""
    mutt = require_program("mutt")
    message = Message("Ünal <a@example.com>", "Grüße aus Köln", ["# Hallo\n\nschöne **Grüße**", FRAME, figure()], PDF)
    mailbox, printed = tmp_path / "mailbox", tmp_path / "printed"
    content = wire(message.render(ME)).replace(b"\r\n", b"\n")
    mailbox.write_bytes(b"From accounts@example.com Wed Nov 25 10:00:00 2026\n" + content + b"\n")
    settings = [
        f"set folder={tmp_path} charset=utf-8 wait_key=no print=yes print_decode=yes",
        f"set print_command='cat > {printed}'",
        "alternative_order text/plain",
        "push <print-message><exit>",
    ]
    commands = [part for setting in settings for part in ("-e", setting)]
    environment = {"TERM": "xterm", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
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
    shown = printed.read_text("utf-8")
    for words in ("Grüße aus Köln", "Ünal", "schöne Grüße", "1,234.50", "[Revenue]"):
        assert words in shown
    assert "**" not in shown


def test_the_fonts_of_the_rest_of_the_notebook_are_left_alone() -> None:
    before = mpl.rcParams["pdf.fonttype"]
    Message("a@example.com", "Q3", figure())
    assert mpl.rcParams["pdf.fonttype"] == before
