"""What was said arrives intact at everybody who was meant and nobody else, in lines that every server takes."""

from __future__ import annotations

import base64
import email
import io
import itertools
import math
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email import policy
from email.header import decode_header, make_header
from functools import partial
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from docmail.addresses import Address
from docmail.documents import Document
from docmail.errors import AddressError, DocumentError, MessageError
from docmail.message import Mail, Message, base64_pieces, markdown_to_html, with_whole_names
from docmail.sandbox.inbox import ReceivedMail
from docmail.settings import HttpServer, Settings, SmtpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage
    from pathlib import Path

ME = Settings("Accounts <accounts@example.com>", SmtpServer("smtp.example.com"))

# Letters that matter to a parser of mail come up far more often than by chance.
SPECIAL = st.sampled_from(list(' ,;:"\\<>()@=?_.-/\täöüß日😀\u0301\u200d'))
LINE = st.text(st.one_of(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), SPECIAL), max_size=150)


def wire(mail: Mail) -> bytes:
    return b"".join(mail.wire())


def sent(message: Message, settings: Settings = ME) -> EmailMessage:
    """Return the message as its recipient's program reads it."""
    return email.message_from_bytes(wire(message.render(settings)), policy=policy.default)


def words(header: str) -> str:
    """Decode encoded words as RFC 2047 says; Python 3.11's newer parser puts a blank between two of them in a name."""
    return str(make_header(decode_header(re.sub(r"\r?\n", "", header))))


def text_of(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def assert_fit_for_smtp(content: bytes) -> None:
    assert b"\r\n\r\n" in content
    assert content.endswith(b"\r\n")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\x00", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998


# --- headers ---


def test_a_message_says_from_whom_to_whom_when_and_which() -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    mail = sent(Message("Ann <a@example.com>; b@example.com", "Q3", cc="c@example.com"))
    assert mail["From"] == "Accounts <accounts@example.com>"
    assert mail["To"] == "Ann <a@example.com>, b@example.com"
    assert mail["Cc"] == "c@example.com"
    assert mail["Subject"] == "Q3"
    assert before <= mail["Date"].datetime <= datetime.now(UTC)
    assert re.fullmatch(r"<[^<>@\s]+@example\.com>", mail["Message-ID"])
    assert mail["MIME-Version"] == "1.0"
    for name in ("From", "To", "Cc", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"):
        assert len(mail.get_all(name) or []) == 1


def test_every_rendering_has_a_message_id_of_its_own() -> None:
    message = Message("a@example.com", "Q3")
    assert len({message.render(ME).message_id for _ in range(500)}) == 500


def test_answers_go_where_the_message_says_or_else_the_settings_or_else_the_sender() -> None:
    settings = replace(ME, reply_to="office@example.com; B <b@example.com>")  # type: ignore[arg-type]
    assert sent(Message("a@example.com", "Q3"))["Reply-To"] is None
    assert sent(Message("a@example.com", "Q3"), settings)["Reply-To"] == "office@example.com, B <b@example.com>"
    assert sent(Message("a@example.com", "Q3", reply_to="c@example.com"), settings)["Reply-To"] == "c@example.com"


def test_over_http_the_sender_has_a_name_and_the_address_for_replies() -> None:
    settings = Settings("Accounts", HttpServer("mail.example.com"), reply_to=("office@example.com",))
    assert sent(Message("a@example.com", "Q3"), settings)["From"] == "Accounts <office@example.com>"


def test_blind_copies_and_the_archive_are_in_the_envelope_only() -> None:
    message = Message("a@example.com", "Q3", cc="c@example.com", bcc="blind@example.com")
    mail = message.render(replace(ME, copy_to="archive@example.com"))
    assert mail.recipients == ("a@example.com", "c@example.com", "blind@example.com", "archive@example.com")
    assert mail.archive == {"archive@example.com"}
    assert b"blind" not in wire(mail)
    assert b"archive" not in wire(mail)
    assert b"bcc" not in wire(mail).lower()


def test_an_archive_that_is_a_recipient_already_is_no_copy_to_be_forgiven() -> None:
    mail = Message("Archive@example.com", "Q3").render(replace(ME, copy_to="archive@Example.com"))
    assert mail.recipients == ("Archive@example.com",)
    assert mail.archive == frozenset()


def test_nobody_gets_the_mail_twice() -> None:
    message = Message("a@example.com, A@EXAMPLE.com", "Q3", cc="a@Example.com, b@example.com", bcc=["B@example.com"])
    assert message.render(ME).recipients == ("a@example.com", "b@example.com")
    assert message.bcc == ()


@given(st.lists(LINE, min_size=1, max_size=4), LINE, st.integers(0, 30))
@hypothesis_settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Found: Python's own writer hides the comma after such a name in an encoded word, and the next recipient with it.
@example(["\u00f6\u00a7L\u00c0\U0008f4ba\u00a8\u0019\U00097a55\u00db\u00c6\u56a7".replace("\u0019", "")] * 4, "x", 0)
@example(["Müller, Jürgen (Geschäftsführer der Musterfirma für Übersetzungen GmbH)"] * 3, "x", 0)
@example(["n" * 150], "s" * 150, 5)
@example(["=?utf-8?q?a?="], "=?utf-8?q?a?= =?utf-8?q?b?=", 0)
@example(['a\\"b'], "\t\u3000", 0)
def test_any_name_and_subject_arrive_intact(names: list[str], subject: str, more: int) -> None:
    to = [Address(name.strip(), f"u{number}", "example.com") for number, name in enumerate(names)]
    to += [Address("", f"more{number}", "example.com") for number in range(more)]
    try:
        message = Message(to, subject)
    except MessageError as exc:
        assert "U+" in str(exc)  # noqa: PT017 - a mark that turns the direction; nothing else may be refused
        return
    content = wire(message.render(ME))
    assert_fit_for_smtp(content)
    head = email.message_from_bytes(content)
    assert [each.addr_spec for each in email.message_from_bytes(content, policy=policy.default)["To"].addresses] == [
        each.addr_spec for each in message.to
    ]
    assert words(head["Subject"] or "") == message.subject
    lines = re.split(r"(?<=example\.com),\r\n |(?<=example\.com>),\r\n ", head["To"])
    for line, address in zip(lines, message.to, strict=True):
        name = words(line.rpartition("<")[0].strip()).strip()
        if name.startswith('"') and len(name) > 1 and "=?" not in line:
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
        assert name == address.name


def test_non_ascii_domains_go_out_as_idna_and_need_no_smtputf8() -> None:
    mail = Message("Jürgen <j@müller.example>", "Grüße").render(ME)
    assert mail.recipients == ("j@xn--mller-kva.example",)
    assert not mail.smtputf8
    assert wire(mail).isascii()


@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to"])
def test_a_non_ascii_local_part_needs_smtputf8_and_arrives(field: str) -> None:
    given: dict[str, Any] = {"to": "a@example.com", "subject": "Grüße", field: "Jürgen <jürgen@müller.example>"}
    mail = Message(**given).render(ME)
    assert mail.smtputf8
    assert_fit_for_smtp(wire(mail))
    if field != "bcc":
        name = {"to": "To", "cc": "Cc", "reply_to": "Reply-To"}[field]
        assert f"{name}: =?utf-8?q?J=C3=BCrgen?=\r\n <jürgen@xn--mller-kva.example>\r\n" in wire(mail).decode()
    assert Message("a@example.com", "x").render(replace(ME, copy_to="ü@example.com")).smtputf8
    assert Message("a@example.com", "x").render(Settings("ü@example.com", ME.server)).smtputf8


def test_a_quoted_local_part_stays_quoted_in_envelope_and_header() -> None:
    mail = Message('"jo smith"@example.com, Jo <"a,b"@example.com>', "x").render(ME)
    assert mail.recipients == ('"jo smith"@example.com', '"a,b"@example.com')
    assert [each.addr_spec for each in mail.parsed()["To"].addresses] == list(mail.recipients)


def test_two_thousand_recipients_are_rendered_quickly() -> None:
    """The standard library makes more than two thousand calls for each, which takes seconds."""
    message = Message([f"Jürgen Nº {number} <u{number}@example.com>" for number in range(2000)], "x")
    assert calls_of(lambda: message.render(ME)) < 2000 * 500
    assert_fit_for_smtp(wire(message.render(ME)))


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions written in Python a piece of work calls: a measure that no busy machine changes."""
    calls = itertools.count()
    sys.setprofile(lambda _frame, event, _argument: next(calls) if event == "call" else None)
    try:
        work()
    finally:
        sys.setprofile(None)
    return next(calls)


# --- what is refused ---

INJECTIONS = [
    "x\n",
    "x\r\nBcc: evil@example.com",
    "x\nBcc: evil@example.com",
    "x\rBcc:",
    "x\x00",
    "x\u2028y",
    "x\x85y",
    "x\ud800",
    "x\x0by",
]
ODD = [None, 5, True, float("nan"), b"x", object(), {"a": 1}, [None]]


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to", "subject", "key"])
def test_a_line_end_in_a_header_field_is_refused_by_the_name_of_the_field(field: str, text: str) -> None:
    values: dict[str, Any] = {"to": "a@example.com", "subject": "x"} | {
        field: text if field in {"subject", "key"} else f"{text} <a@example.com>"
    }
    with pytest.raises(MessageError, match=r"U\+") as caught:
        Message(**values)
    assert caught.value.field == field
    assert field in str(caught.value)


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to", "subject", "body", "key", "documents"])
def test_a_value_of_a_wrong_type_is_refused_by_the_name_of_the_field(field: str, value: Any) -> None:
    allowed = {("reply_to", None), ("key", None), ("key", 5)}
    if any(field == name and value is allowed_value for name, allowed_value in allowed):
        return
    with pytest.raises(MessageError) as caught:
        Message(**({"to": "a@example.com", "subject": "x"} | {field: value}))
    if field == "documents":
        assert isinstance(caught.value, DocumentError)
    else:
        assert caught.value.field == field
        assert field in str(caught.value)


@given(
    st.fixed_dictionaries(
        {name: st.text(max_size=40) for name in ("to", "subject")},
        optional={name: st.text(max_size=40) for name in ("body", "cc", "bcc", "reply_to", "key")},
    )
)
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_text_in_any_field_is_a_mail_or_a_sentence(values: dict[str, Any]) -> None:
    try:
        message = Message(**values)
    except MessageError as exc:
        assert exc.field in values  # noqa: PT017 - either end is right
        assert str(exc).endswith((".", ")", '"', ">"))  # noqa: PT017 - as above
    else:
        assert_fit_for_smtp(wire(message.render(ME)))


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"to": ""}, "to", "no recipient"),
        ({"to": []}, "to", "no recipient"),
        ({"to": "a@example.com", "cc": "boss"}, "cc", "cc: “boss” is not an email address"),
        ({"to": ["a@example.com, b@example.com"]}, "to", "not one email address"),
        ({"subject": "x" * 901}, "subject", "longer than 900"),
        ({"body": "x" * 250_001}, "body", "Attach it as a document"),
        ({"body": "x\x07"}, "body", "U+0007"),
        ({"body": "x\ud800"}, "body", "U+D800"),
        ({"key": ""}, "key", "is empty"),
        ({"key": "k" * 201}, "key", "longer than 200"),
        ({"key": 10**5000}, "key", "must be text"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_a_sentence(values: dict[str, Any], field: str, sentence: str) -> None:
    with pytest.raises(MessageError) as caught:
        Message(**({"to": "a@example.com", "subject": "x"} | values))
    assert caught.value.field == field
    assert sentence in str(caught.value)


class Column:
    """Stands in for a column of a data set, which is neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError

    def __iter__(self) -> Iterator[str]:
        return iter(["a@example.com", "b@example.com"])


def test_addresses_may_come_from_a_data_set() -> None:
    column: Any = Column()
    assert len(Message(column, "x", reply_to=column).reply_to) == 2
    with pytest.raises(AddressError, match="reply_to: An address must be text, not int"):
        Message("a@example.com", "x", reply_to=0)  # type: ignore[arg-type]


def test_an_address_error_keeps_its_address() -> None:
    with pytest.raises(AddressError) as caught:
        Message("a@example.com, boss", "x")
    assert caught.value.address == "boss"


def test_a_key_may_be_a_number_as_data_sets_have_them() -> None:
    class Int64(int):
        """Stands in for NumPy's."""

    assert Message("a@example.com", "x", key=7).key == Message("a@example.com", "x", key=Int64(7)).key == "7"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (118.0, "118"),
        (118.5, "118.5"),
        ("118.50", "118.50"),
        (-0.0, "0"),
        (1e15, "1000000000000000"),
        (1234567890123456.0, "1234567890123456"),
        (1234567890123457.0, "1234567890123457"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-7, "1e-07"),
        (2.0**53 - 1, "9007199254740991"),
        (2**60 + 1, "1152921504606846977"),
        (Decimal(118), "118"),
        (Decimal("118.00"), "118"),
        (Decimal(2**53 + 1), "9007199254740993"),
        (Decimal("2.50"), "2.50"),
        (np.int8(118), "118"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (np.float64(118), "118"),
        (np.float32(118), "118"),
        (np.float32(118.5), "118.5"),
        (np.float16(118), "118"),
        (np.longdouble(118), "118"),
        (np.array(118.0), "118"),
    ],
    ids=repr,
)
def test_a_number_is_one_key_whatever_its_type_and_no_two_are_one(key: Any, text: str) -> None:
    assert Message("a@example.com", "x", key=key).key == text
    assert replace(Message("a@example.com", "x"), key=key).key == text


@pytest.mark.parametrize(
    "key",
    [
        *(2.0**53, -(2.0**53), 1e300, math.inf, Decimal("Infinity")),
        *(np.float64(2**53), np.float32(2**24), np.float16(2**11), np.longdouble(2) ** 53 + 1),
    ],
    ids=repr,
)
def test_a_float_that_may_stand_for_several_numbers_is_refused_as_a_key(key: Any) -> None:
    with pytest.raises(MessageError, match=r"not exact.*Read the column as text") as caught:
        Message("a@example.com", "x", key=key)
    assert caught.value.field == "key"


@pytest.mark.parametrize("key", [math.nan, np.float32("nan"), Decimal("NaN"), Decimal("sNaN"), pd.NA, pd.NaT], ids=repr)
def test_what_stands_for_nothing_is_no_key(key: Any) -> None:
    with pytest.raises(MessageError, match="key is empty"):
        Message("a@example.com", "x", key=key)


def test_a_repr_is_short_and_names_no_blind_recipient() -> None:
    message = Message("Ann <a@example.com>", "Q3", "secret body", bcc="blind@example.com")
    assert repr(message) == "<Message to a@example.com: 'Q3'>"


# --- text ---


@given(
    st.text(
        st.one_of(
            st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), st.sampled_from("\n\t .*_`[]<>")
        ),
        max_size=500,
    )
)
@hypothesis_settings(max_examples=200, deadline=None)
@example("From the start\n.\n..\n.hidden\n")
@example("x" * 5000)
@example("ä" * 5000)
@example("trailing blanks  \n\n\n")
@example("")
@example(" ")
def test_any_text_is_a_mail_that_every_server_takes(body: str) -> None:
    mail = Message("a@example.com", "x", body).render(ME)
    assert_fit_for_smtp(wire(mail))
    assert wire(mail).isascii()  # servers on the way need not offer 8BITMIME
    parsed = email.message_from_bytes(wire(mail), policy=policy.default)
    assert (parsed.get_body(("html",)) is not None) == bool(body.strip())
    assert parsed.get_content_type() == ("multipart/alternative" if body.strip() else "text/plain")
    assert parsed.get_body(("plain",)) is not None
    assert not parsed.defects


@given(
    st.text(
        st.one_of(st.characters(codec="utf-8", categories=["L"]), st.sampled_from("\n\n  .,;:!?'()&%")), max_size=300
    )
)
@hypothesis_settings(max_examples=100, deadline=None)
@example("From the start\n.\n..\n.hidden\n")
@example("x" * 5000)
@example("ä" * 5000)
@example("trailing blanks  \n\n\n")
@example("see https://example.com/a_b?c=d\n")
def test_without_markup_the_plain_text_is_the_source(body: str) -> None:
    body = re.sub(r"^ +", "", body, flags=re.MULTILINE)  # four blanks would be code
    mail = sent(Message("a@example.com", "x", body))
    assert text_of(mail, "plain").removesuffix("\n") == body.removesuffix("\n")


@pytest.mark.parametrize("end", ["\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_every_kind_of_line_end_is_a_line_end(end: str) -> None:
    assert text_of(sent(Message("a@example.com", "x", f"one{end}two")), "plain") == "one\ntwo\n"


def test_markdown_is_rendered_and_a_line_break_is_a_line_break() -> None:
    html = text_of(
        sent(Message("a@example.com", "x", "# Q3\n\n**bold** [link](https://example.com/?a=1&b=2)\nnext")), "html"
    )
    assert re.search("<h1 style=[^>]+>Q3</h1>", html)
    assert '<strong>bold</strong> <a href="https://example.com/?a=1&amp;b=2">link</a><br />\nnext' in html
    assert re.search("<td style=[^>]+>1</td>", markdown_to_html("| a |\n|---|\n| 1 |"))


class Tags(HTMLParser):
    """Collects the tags that a mail program would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        self.found.append((tag, dict(attrs)))


HARMLESS = {
    *("html", "head", "meta", "body", "p", "br", "hr", "a", "img", "em", "strong", "del", "code", "pre", "blockquote"),
    *("span", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
}


def assert_harmless(html: str) -> None:
    # What stands around the text is ours, and the same whatever the text is.
    before, after = markdown_to_html("x").split('<p style="margin: 0 0 14px">x</p>\n')
    assert html.startswith(before)
    assert html.endswith(after)
    html = html[len(before) : -len(after)]
    for tag, attributes in Tags(html).found:
        assert tag in HARMLESS
        assert set(attributes) <= {"href", "src", "alt", "title", "class", "start", "style", "charset"}
        for name in ("href", "src"):
            target = re.sub(r"[\x00-\x20]", "", attributes.get(name) or "").lower()
            assert not re.match(r"(javascript|vbscript|data|file|view-source|ms-[a-z]+):", target)


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<!-- x --><style>*{}</style>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](javascript&#58;alert(1))",
        "[x](javascript&colon;alert(1))",
        "[x](<java\tscript:alert(1)>)",
        "[x](\u00a0javascript:alert(1))",
        "[x](data:text/html,<script>)",
        "[x](vbscript:x)",
        "[x](file:///etc/passwd)",
        "<javascript:alert(1)>",
        "[x][1]\n\n[1]: javascript:alert(1)",
        "![x](javascript:alert(1))",
        "![x](data:image/svg+xml,<svg>)",
        '![x" onerror="alert(1)](y)',
        '[x](http://a"onmouseover="b)',
        '[x](a "t" onclick="b")',
        '```x"><script>\ny\n```',
        'https://a.example/"><script>',
        "| <script> |\n|---|\n| <b> |",
        "# <iframe>",
    ],
)
def test_no_html_and_no_script_passes_from_the_body(body: str) -> None:
    assert_harmless(markdown_to_html(body))


@given(
    st.lists(
        st.sampled_from(
            [
                "<",
                ">",
                '"',
                "'",
                "[",
                "]",
                "(",
                ")",
                "!",
                "javascript:",
                "data:",
                "<script>",
                "`",
                "\n",
                " ",
                "&",
                "x",
                "|",
                "-",
            ]
        ),
        max_size=30,
    ).map("".join)
)
@hypothesis_settings(max_examples=400, deadline=None)
def test_no_arrangement_of_markup_lets_html_pass(body: str) -> None:
    assert_harmless(markdown_to_html(body))


@pytest.mark.parametrize(
    "piece", ["[", "[a](", "**a", "> ", "_a*", "  - x\n", "|a|b|\n|-|-|\n", "<a ", "![", "`a``", "1) a\n\n"]
)
def test_markup_made_to_be_slow_is_rendered_in_time(piece: str) -> None:
    """Regular expressions that backtrack make no calls that can be counted: the tests' time limit ends them."""
    short, long = (calls_of(partial(markdown_to_html, (piece * size)[:size])) for size in (1_000, 4_000))
    assert long < 6 * short, "four times as much takes four times as long, not sixteen times"
    assert markdown_to_html((piece * 100_000)[:100_000])


# --- attachments and the wire ---


@pytest.mark.parametrize("size", [1, 56, 57, 58, 114, 57 * 1024 - 1, 57 * 1024, 57 * 1024 + 1, 57 * 2048, 200_000])
def test_an_attachment_arrives_byte_for_byte(size: int) -> None:
    content = bytes(itertools.islice(itertools.cycle(range(251)), size))
    mail = Message("a@example.com", "x", "body", Document.of(content, name="data.bin")).render(ME)
    assert_fit_for_smtp(wire(mail))
    assert mail.size == len(wire(mail))
    parsed = email.message_from_bytes(wire(mail), policy=policy.default)
    (part,) = parsed.iter_attachments()
    assert part.get_content() == content
    assert text_of(parsed, "plain") == "body\n"
    assert not part.defects
    assert not parsed.defects


@given(st.binary(min_size=1, max_size=400))
def test_the_quick_encoder_writes_what_the_librarys_does(content: bytes) -> None:
    encoded = b"".join(base64_pieces(io.BytesIO(content), len(content)))
    assert encoded == base64.encodebytes(content).replace(b"\n", b"\r\n")


@given(LINE, st.sampled_from([".pdf", ".csv", ""]))
@hypothesis_settings(max_examples=300, deadline=None)
@example("Übersicht „Q3“; 100 % 'x' \"y\" (1)*2", ".pdf")
@example("日本語" * 25, ".pdf")
@example("=?utf-8?q?x?=", ".pdf")
@example("n" * 150, "")
@example("<>", "")
def test_any_file_name_arrives_intact(stem: str, ending: str) -> None:
    try:
        document = (
            Document.of(b"x", name=f"{stem}{ending}")
            if ending != ".pdf"
            else Document.of(b"%PDF-%%EOF", name=f"{stem}.pdf")
        )
    except DocumentError:
        return
    mail = Message("a@example.com", "x", "", document).render(ME)
    assert_fit_for_smtp(wire(mail))
    (part,) = email.message_from_bytes(wire(mail), policy=policy.default).iter_attachments()
    # Not get_filename(), which takes angle brackets off.
    assert part["Content-Disposition"].params["filename"] == document.name
    assert part.get_content_type() == document.media_type


def test_several_attachments_stand_in_their_order() -> None:
    documents = [Document.of(bytes([number]) * 100, name="same.bin") for number in range(5)]
    mail = Message("a@example.com", "x", "**b**", documents).render(ME)
    assert mail.size == len(wire(mail))
    parsed = email.message_from_bytes(wire(mail), policy=policy.default)
    assert [part.get_content()[0] for part in parsed.iter_attachments()] == [0, 1, 2, 3, 4]
    assert text_of(parsed, "html").count("<strong>b</strong>") == 1


def test_headers_and_text_can_be_read_without_the_attachments() -> None:
    message = Message("Ann <a@example.com>", "Q3", "Hello", Document.of(b"x" * 1000, name="x.bin"))
    parsed = message.render(ME).parsed()
    assert (parsed["Subject"], text_of(parsed, "plain")) == ("Q3", "Hello\n")
    assert not parsed.defects


@pytest.mark.parametrize("body", [".", ".\n.", "..", "a\n.\nb", ".hidden\n..x", "=2E\n.", "ü\n.\nü"])
@pytest.mark.parametrize("attached", [False, True])
def test_dots_at_the_start_of_a_line_are_stuffed_and_come_back(body: str, attached: bool) -> None:  # noqa: FBT001
    mail = Message("a@example.com", "x", body, [Document.of(b".\r\n.\r\n", name="x.bin")] if attached else []).render(
        ME
    )
    stuffed = b"".join(mail.wire(dot_stuffed=True))
    assert b"\r\n.\r\n" not in stuffed
    lines = stuffed.split(b"\r\n")
    assert all(line.startswith(b"..") for line in lines if line.startswith(b"."))
    assert b"\r\n".join(line.removeprefix(b".") for line in lines) == wire(mail)


def test_a_file_that_shrinks_or_grows_while_it_is_sent_does_not_end_as_a_whole_mail() -> None:
    for size in (9, 11):
        with pytest.raises(MessageError, match="changed before or while it was sent"):
            list(base64_pieces(io.BytesIO(b"0123456789"), size))


def test_a_large_attachment_is_streamed_in_small_pieces(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(b"x" * 5_000_000)
    mail = Message("a@example.com", "x", "", Document.of(path)).render(ME)
    sizes = [len(piece) for piece in mail.wire()]
    assert max(sizes) < 100_000
    assert sum(sizes) == mail.size


# --- a mail as an attachment ---


def attached_mail(text: str = "Grüße\n.dot\n", **headers: str) -> bytes:
    made = email.message.EmailMessage()
    for name, value in {"From": "a@example.com", "Subject": "Angebot", **headers}.items():
        made[name] = value
    made.set_content(text)
    made.add_attachment(b"\0\xff" * 100, maintype="application", subtype="pdf", filename="ä.pdf")
    return made.as_bytes()


@pytest.mark.parametrize(
    "content",
    [
        attached_mail(),
        attached_mail().replace(b"\n", b"\r\n"),
        attached_mail("Hello\n"),
        attached_mail("x" * 2000),
        attached_mail(Subject="Grüße " * 30),
    ],
    ids=["8bit", "CRLF", "7bit", "a long line", "a long subject"],
)
def test_a_mail_as_attachment_is_a_mail_to_its_reader(content: bytes) -> None:
    """RFC 2046 5.2.1: in base64 it was one that no program shows."""
    document = Document.of(content, name="Angebot.eml")
    assert document.read() == content
    mail = Message("a@example.com", "x", "y", [document, Document.of(b"a,b", name="a.csv")]).render(ME)
    content_sent = wire(mail)
    assert_fit_for_smtp(content_sent)
    assert len(content_sent) == mail.size
    inner, table = email.message_from_bytes(content_sent, policy=policy.default).iter_attachments()
    assert (inner.get_content_type(), inner["Content-Transfer-Encoding"]) == ("message/rfc822", "7bit")
    assert inner.get_filename() == "Angebot.eml"
    original, arrived = email.message_from_bytes(content, policy=policy.default), inner.get_content()
    assert arrived["Subject"] == original["Subject"]
    assert text_of(arrived, "plain") == text_of(original, "plain")
    assert [part.get_content() for part in arrived.iter_attachments()] == [b"\0\xff" * 100]
    assert table.get_content() in {"a,b", b"a,b"}
    stuffed = b"".join(mail.wire(dot_stuffed=True))
    assert not re.search(rb"\r\n\.(?!\.)", stuffed)
    assert stuffed.replace(b"\r\n..", b"\r\n.") == content_sent


@pytest.mark.parametrize(
    "content",
    [
        b"no mail at all",
        "Subject: Grüße\r\n\r\nx".encode(),
        b'Content-Type: multipart/signed; boundary="b"\r\n\r\n--b\r\n\r\n\xff\r\n--b--\r\n',
        b"Subject: x\r\n\r\n\0",
    ],
)
def test_a_mail_that_not_every_server_would_carry_arrives_as_a_file(content: bytes) -> None:
    mail = sent(Message("a@example.com", "x", "y", Document.of(content, name="Angebot.eml")))
    [part] = mail.iter_attachments()
    assert (part.get_content_type(), part.get_filename()) == ("application/octet-stream", "Angebot.eml")
    assert part.get_content() == content


# --- names, as they are read back ---

NAMES = [
    "Société Générale d'Électricité de Genève SA",
    "Österreichische Gesellschaft für Wirtschaft, Forschung & Entwicklung (ÖGWFE) Wien",
    "株式会社日本電気通信システム開発研究所東京本社営業部第一課",
    'Łódź "Zakłady Włókiennicze Przemysłu Bawełnianego" spółka z ograniczoną odpowiedzialnością',
    "Ann",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_long_name_is_whole_when_our_own_header_is_read_back(name: str) -> None:
    """The standard library puts blanks where a name continues in the next encoded word."""
    people = [Address(name, "a", "example.com"), Address("B", "b", "example.com")]
    settings = replace(ME, sender=f"{Address(name, 'me', 'example.com')}")
    read = Message(people, "x", cc=str(Address(name, "c", "example.com"))).render(settings).parsed()
    assert [(each.display_name, each.addr_spec) for each in read["To"].addresses] == [
        (name, "a@example.com"),
        ("B", "b@example.com"),
    ]
    assert read["Cc"].addresses[0].display_name == read["From"].addresses[0].display_name == name
    received = ReceivedMail.parse(wire(Message(people, "x").render(settings)))
    assert received["To"].addresses[0].display_name == received["From"].addresses[0].display_name == name


def test_neighbouring_words_in_a_strange_or_unknown_charset_do_no_harm() -> None:
    head = (
        b"To: =?iso-8859-1?q?J=FC?= =?utf-8?b?w7xyZ2Vu?= <a@example.com>\r\nSubject: =?x-no?q?a?= =?x-no?q?b?=\r\n\r\n"
    )
    read = email.message_from_bytes(with_whole_names(head), policy=policy.default)
    assert read["To"].addresses[0].display_name == "Jüürgen"
    assert with_whole_names(b"\r\n\r\n=?utf-8?q?a?= =?utf-8?q?b?=") == b"\r\n\r\n=?utf-8?q?a?= =?utf-8?q?b?="
