from __future__ import annotations

from base64 import b64encode
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

import pytest

from docmail.message import arrived, text_in

PICTURE = b"\x89PNG" + bytes(range(200))


def mail(html: str, *pictures: bytes, text: str = "Hello\r\nyou") -> EmailMessage:
    """Return a mail as it is read back, whose pictures are 1@x, 2@x and so on."""
    made = EmailMessage()
    made.set_content(text)
    made.add_alternative(html, subtype="html")
    for number, content in enumerate(pictures, 1):
        rich = cast("list[EmailMessage]", made.get_payload())[1]
        rich.add_related(content, "image", "png", cid=f"<{number}@x>", disposition="inline", filename="a.png")
    made.add_attachment(b"cid:1@x", "application", "pdf", filename="a.pdf")
    return message_from_bytes(bytes(made), policy=policy.default)


def as_data(content: bytes) -> str:
    return f"data:image/png;base64,{b64encode(content).decode()}"


@pytest.mark.parametrize(
    "html",
    [
        '<img src="{}">',
        "<IMG SRC='{}'>",
        "<img src={}>",
        '<img src=" {}">',
        '<td style="background: url({})">',
        "<td style='background: url(\"{}\")'>",
        '<td background="{}">',
    ],
)
@pytest.mark.parametrize("reference", ["cid:1@x", "CID:1@x", "cid:1%40x", "cid:1&#64;x"])
def test_a_picture_that_travels_with_a_mail_becomes_part_of_its_html(html: str, reference: str) -> None:
    seen = arrived(mail(html.format(reference), PICTURE))
    assert seen.html.strip() == html.format(as_data(PICTURE))
    assert seen.pictures_left_out == 0


def test_besides_its_pictures_the_html_is_the_one_that_was_sent() -> None:
    html = "<p title='a\"b'>\n cid:1@x &amp; &lt; <img src='cid:other@x'> ünï \t</p>\n"
    assert arrived(mail(html, PICTURE)).html == html


def test_pictures_that_would_be_too_much_are_left_out_and_counted_once() -> None:
    html = "<img src='cid:1@x'>" + "<img src='cid:2@x'>" * 5
    seen = arrived(mail(html, b"a" * 60, b"b" * 3000), 1000)
    assert as_data(b"a" * 60) in seen.html
    assert "src='cid:2@x'" in seen.html
    assert seen.pictures_left_out == 3000
    assert not seen.shortened


def test_a_picture_that_stands_in_it_ten_thousand_times_does_not_fill_the_memory() -> None:
    seen = arrived(mail("<img src='cid:1@x'>" * 10_000, b"a" * 100_000))
    assert len(seen.html) < 13_000_000
    assert seen.pictures_left_out == 100_000


def test_what_is_too_long_says_so() -> None:
    seen = arrived(mail("<p>" + "long " * 100 + "</p>", text="x" * 300), 200)
    assert (seen.html, seen.text, seen.shortened) == ("", "x" * 200, True)


@pytest.mark.parametrize(
    ("raw", "kind", "text"),
    [
        (b"Content-Type: text/plain; charset=x-nobody-knows\n\nh\xc3\xa9llo\n", "plain", "héllo\n"),
        (b"Content-Type: text/plain; charset=us-ascii\n\nh\xc3\xa9llo\n", "plain", "h��llo\n"),
        (
            b"Content-Type: text/html; charset=iso-8859-1\n\nh\xe9llo\n",
            "html",
            "héllo\n",
        ),
        (b"Content-Type: multipart/alternative\n\nno boundary", "html", ""),
        (b"Content-Type: nonsense\n\nhello\r\n", "plain", "hello\n"),
        (b"\n", "html", ""),
    ],
)
def test_a_mail_of_another_program_is_read_as_far_as_it_can_be(raw: bytes, kind: str, text: str) -> None:
    read = message_from_bytes(raw, policy=policy.default)
    assert text_in(read, kind) == text  # type: ignore[arg-type]
