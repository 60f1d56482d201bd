"""A mail can name the one that it answers, in headers that mail programs read; what is no Message-ID is refused."""

from __future__ import annotations

import email
from dataclasses import dataclass, replace
from email import policy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import docmail
from docmail.errors import MessageError
from docmail.transport import SendResult

ME = docmail.Settings("Accounts <accounts@example.com>", docmail.SmtpServer("smtp.example.com"))


@dataclass(frozen=True)
class Earlier:
    """A mail of the record, as far as a message looks at it."""

    message_id: Any
    references: tuple[str, ...] = ()


def answer(to: Any) -> docmail.Message:
    return docmail.Message("ann@example.com", "Reminder", in_reply_to=to)


def test_the_headers_name_the_mail_and_those_before_it() -> None:
    message = answer(Earlier("<3@example.com>", ("<1@example.com>", "<2@example.com>")))
    head = message.render(ME).head.partition(b"\r\n\r\n")[0]
    assert b"\r\nIn-Reply-To: <3@example.com>\r\n" in head
    assert b"\r\nReferences: <1@example.com>\r\n <2@example.com>\r\n <3@example.com>\r\n" in head
    assert b"\r\nSubject: Reminder\r\n" in head  # without a Re: that nobody wrote


def test_a_mail_that_answers_none_has_neither_header() -> None:
    head = docmail.Message("ann@example.com", "Hello").render(ME).head
    assert b"In-Reply-To" not in head
    assert b"References" not in head


@pytest.mark.parametrize(
    "given_id",
    [
        "<CAF+x=1_2@mail.gmail.com>",
        " CAF+x=1_2@mail.gmail.com ",  # copied without the brackets
        "Message-ID: <CAF+x=1_2@mail.gmail.com>",  # copied with the header's name
        SendResult("<CAF+x=1_2@mail.gmail.com>", ("ann@example.com",)),
    ],
)
def test_an_id_is_taken_as_people_copy_it(given_id: Any) -> None:
    assert answer(given_id).in_reply_to == ("<CAF+x=1_2@mail.gmail.com>",)


@pytest.mark.parametrize(
    "real",
    [
        "<AM0PR04MB1234$1@AM0PR04MB1234.eurprd04.prod.outlook.com>",
        "<4711.1700000000@[192.168.1.5]>",
        "<0100018f-aa-000000@eu-west-1.amazonses.com>",
        "<owner/repo/issues/12/345@github.com>",
        "<a@b@c.example>",
    ],
)
def test_ids_of_real_servers_are_taken(real: str) -> None:
    assert answer(real).in_reply_to == (real,)


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        " ",
        "118",
        "<>",
        "<@>",
        "<a@b>\r\nBcc: eve@example.com",
        "<a@b>\nX: y",
        "<a@b> <c@d>",
        "<a b@c>",
        "<a@b>>",
        "<ä@example.com>",
        "<a\x00@b>",
        "<" + "a" * 2000 + "@b>",
        118,
        b"<a@b>",
        1.5,
        Earlier(None),
        Earlier("no id"),
        Earlier("<a@b>", ("<x@y>\r\nBcc: eve@example.com",)),
        {"message_id": "<a@b>"},
        docmail.Message("a@example.com", "x"),
    ],
)
def test_what_is_no_id_is_refused_in_a_sentence(hostile: Any) -> None:
    with pytest.raises(MessageError) as caught:
        answer(hostile)
    assert caught.value.field == "in_reply_to"
    assert "<4711@example.com>" in caught.value.hint
    assert "\n" not in str(caught.value)


@hypothesis_settings(max_examples=30)
@given(st.lists(st.from_regex(r"\A<[a-z0-9.+=_-]{1,200}@[a-z0-9.-]{1,60}>\Z"), min_size=1, max_size=60))
def test_a_conversation_of_any_length_keeps_its_beginning_and_its_end(ids: list[str]) -> None:
    message = answer(ids)
    thread = message.in_reply_to
    assert thread[-1] == ids[-1]
    assert len(thread) <= 20
    assert len(set(thread)) == len(thread)
    assert ids[0] in thread or ids.index(ids[0]) != len(ids) - 1 - ids[::-1].index(ids[0])
    assert sum(map(len, thread)) <= 4000 or len(thread) <= 2
    head = message.render(ME).head
    assert max(map(len, head.split(b"\r\n"))) <= 998
    parsed = email.message_from_bytes(head, policy=policy.default)
    assert parsed["References"].split() == list(thread)
    assert parsed["In-Reply-To"] == thread[-1]


def test_a_copy_of_a_message_keeps_what_it_answers() -> None:
    message = answer(["<1@example.com>", "<2@example.com>"])
    assert replace(message, subject="Once more").in_reply_to == message.in_reply_to


def test_a_form_that_cannot_say_it_is_a_word_to_the_writer() -> None:
    form = docmail.Settings("Accounts", docmail.HttpServer("mail.example.com"), reply_to=("office@example.com",))
    assert "which mail this one answers" in answer("<1@example.com>").render(form).advice
    assert answer("<1@example.com>").render(ME).advice == ""


def test_each_row_of_a_merge_answers_its_own_mail() -> None:
    rows = [
        {"no": 1, "to": "ann@example.com", "Mail": "<1@example.com>"},
        {"no": 2, "to": "bob@example.com", "Mail": Earlier("<2@example.com>", ("<0@example.com>",))},
        {"no": 3, "to": "eve@example.com", "Mail": None},
    ]
    found: list[tuple[tuple[str, ...], ...]] = []
    for value in ("Mail", " Mail ", lambda row: {1: "<1@example.com>", 2: rows[1]["Mail"]}.get(row["no"])):
        messages = docmail.merge(rows, key="no", to="{{ to }}", subject="Reminder", in_reply_to=value)
        found.append(tuple(message.in_reply_to for message in messages))
    assert set(found) == {(("<1@example.com>",), ("<0@example.com>", "<2@example.com>"), ())}


def test_a_merge_names_the_row_whose_id_is_none() -> None:
    rows = [
        {"no": 1, "to": "ann@example.com", "Mail": "<1@example.com>"},
        {"no": 2, "to": "bob@example.com", "Mail": "?"},
    ]
    messages = docmail.merge(rows, key="no", to="{{ to }}", subject="Reminder", in_reply_to="Mail")
    bad = list(messages.drafts())[1]
    assert (bad.row, "“?” is not a Message-ID" in str(getattr(bad, "error", ""))) == (2, True)


def test_a_column_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(MessageError, match="There is no column “Mial”") as caught:
        docmail.merge([{"no": 1, "Mail": "<1@x.y>"}], key="no", to="a@example.com", subject="R", in_reply_to="Mial")
    assert caught.value.hint == "The columns are: Mail, no."
