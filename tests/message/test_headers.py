"""Headers that are put together by hand, for speed, are those that the standard library writes."""

from __future__ import annotations

import re
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage

import pytest

from docmail.documents import Document
from docmail.message import Attachment
from docmail.message.headers import subject_header


@pytest.mark.parametrize(
    "name",
    [
        "a.pdf",
        "Invoice 2026-118.pdf",
        "a_b-c.d.csv",
        "x" * 40 + ".pdf",
        "x" * 80 + ".pdf",
        "Übersicht.pdf",
        ".htaccess",
    ],
)
@pytest.mark.parametrize("media_type", ["application/pdf", "text/csv", "application/octet-stream"])
def test_the_header_of_an_attachment_is_what_the_library_writes(name: str, media_type: str) -> None:
    """Also where it is put together by hand, because the library takes as long for it as for the rest of the mail."""
    part = EmailMessage(policy=policy.SMTP)
    part["Content-Type"] = media_type
    part["Content-Transfer-Encoding"] = "base64"
    part.add_header("Content-Disposition", "attachment", filename=name)
    attachment = Attachment(name, media_type, 1, Document.of(b"x", name="x.txt"))
    assert attachment.header == bytes(part)


@pytest.mark.parametrize(
    "text",
    ["Q3", "Invoice 118: for you, Ann <3", "a" * 67, "a b " * 16 + "abc", "a b " * 40 + "c", "two  blanks", "12"],
)
def test_a_subject_of_plain_letters_is_what_the_library_writes(text: str) -> None:
    header = EmailMessage(policy=policy.SMTP)
    header["Subject"] = text
    assert subject_header(text) == bytes(header).removesuffix(b"\r\n")


@pytest.mark.parametrize("long", [67, 68, 75, 78, 200])
@pytest.mark.parametrize("form", ["Report {}", "See {} and {}", "{} of today", "{} " + "y" * 90])
def test_a_subject_with_a_word_as_long_as_a_line_arrives_with_its_own_blanks(form: str, long: int) -> None:
    text = form.replace("{}", "x" * long)
    line = re.sub(r"\r\n(?=[ \t])", "", subject_header(text).decode()).removeprefix("Subject:")  # RFC 5322 2.2.3
    assert str(make_header(decode_header(line.strip()))) == text
