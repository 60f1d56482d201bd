"""Pasted host names and addresses are read as they were meant, and everything else is refused in a sentence."""

from __future__ import annotations

import itertools
import sys
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from docmail.addresses import (
    Address,
    ascii_host,
    first_control,
    is_loopback,
    parse_address,
    parse_addresses,
    trimmed,
)
from docmail.errors import AddressError, DocmailError

# Letters that matter to a parser of addresses come up far more often than by chance.
TEXT = st.text(st.one_of(st.characters(), st.sampled_from('@<>",;:\\()[]. %äß\u200b\x00\r\n')), max_size=80)


def read(text: str) -> list[tuple[str, str]]:
    return [(address.name, address.addr_spec) for address in parse_addresses(text, "to")]


def test_every_character_that_controls_a_line_is_found_and_no_other() -> None:
    """By Unicode's own categories; in several lines, line feeds, tabs and the direction of writing are the writer's."""
    turning = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    for character in map(chr, range(sys.maxunicode + 1)):
        controls = character in turning or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        assert bool(first_control(character)) == controls
        assert bool(first_control(character, lines=True)) == (controls and character not in f"\n\t{turning}")
    assert first_control("ab\x85") == "U+0085"


# --- hosts ---


@pytest.mark.parametrize(
    ("typed", "wire"),
    [
        ("smtp.gmail.com", "smtp.gmail.com"),
        ("SMTP.Gmail.COM.", "smtp.gmail.com"),
        ("mail", "mail"),
        ("relay_1.corp.local", "relay_1.corp.local"),
        ("müller.example", "xn--mller-kva.example"),
        ("MÜLLER.Example", "xn--mller-kva.example"),
        ("почта.рф", "xn--80a1acny.xn--p1ai"),
        ("メール。例。jp", "xn--4dkua4c.xn--fsq.jp"),  # the full stop of Japanese keyboards
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_a_host_may_be_a_name_in_any_script_or_an_ip_address(typed: str, wire: str) -> None:
    assert ascii_host(typed) == wire


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "missing"),
        (".", "missing"),
        ("https://smtp.example.com", "without https:// and slashes"),
        ("smtp.example.com/", "without https:// and slashes"),
        ("smtp.example.com:587", "the port has a field of its own"),
        ("me@example.com", "This is an email address"),
        ("smtp example.com", "not a server's name"),
        ("-smtp.example.com", "not a server's name"),
        ("smtp..example.com", "not a server's name"),
        ("a" * 64 + ".example.com", "not a server's name"),
        ("ä" * 60 + ".example.com", "not a server's name"),
        ("a." * 200 + "com", "too long"),
        ("192.0.2", "not a complete IP address"),
        ("smtp.example.com\r\nX: y", "invisible character U+000D"),
        ("smtp\u202e.example.com", "invisible character U+202E"),
        ("fe80::1%> SIZE=1", "port has a field of its own"),  # Python takes anything as a zone
    ],
)
def test_what_is_no_host_is_refused_with_the_reason(typed: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("+", r"\+")):
        ascii_host(typed)


@given(TEXT)
@example("xn--a.example")
@example("\u1e9e.example")
def test_any_text_is_a_host_that_stays_the_same_or_is_refused_in_a_sentence(text: str) -> None:
    try:
        host = ascii_host(text)
    except ValueError as exc:
        assert type(exc) is ValueError  # noqa: PT017 - either end is right
        assert str(exc).endswith(".")  # noqa: PT017 - as above
    else:
        assert host.isascii()
        assert first_control(host) is None
        assert not set(host) & set(" <>@,;\"'/\\")
        assert ascii_host(host) == host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_this_computer_is_known_by_name_and_number(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.com", "128.0.0.1", "::2", "mail", "127.0.0.1.example.com"])
def test_another_computer_is_never_taken_for_this_one(host: str) -> None:
    assert not is_loopback(host)


# --- addresses ---


@pytest.mark.parametrize(
    ("typed", "name", "addr_spec"),
    [
        ("cfo@example.com", "", "cfo@example.com"),
        ("CFO@Example.COM", "", "CFO@example.com"),
        ("Jo Smith <jo@example.com>", "Jo Smith", "jo@example.com"),
        ('"Smith, Jo" <jo@example.com>', "Smith, Jo", "jo@example.com"),
        (r'"Jo \"JS\" Smith" <jo@example.com>', 'Jo "JS" Smith', "jo@example.com"),
        ("Müller <müller@müller.example>", "Müller", "müller@xn--mller-kva.example"),
        ("<jo@example.com>", "", "jo@example.com"),
        ("jo@corp.local", "", "jo@corp.local"),
        ("root@localhost", "", "root@localhost"),
        ("jo@[192.0.2.7]", "", "jo@[192.0.2.7]"),
        ("jo@[IPv6:2001:DB8::1]", "", "jo@[IPv6:2001:db8::1]"),
        ('"jo smith"@example.com', "", '"jo smith"@example.com'),
        ("a.b+c_d-e'f@example.com", "", "a.b+c_d-e'f@example.com"),
        ("\ufeff jo@example.com\u00a0\r\n", "", "jo@example.com"),
        ("\u2003\u200bJo\u200b <\u200bjo@example.com >\t\u200b\u2003", "Jo", "jo@example.com"),
    ],
)
def test_an_address_is_read_as_people_write_and_paste_it(typed: str, name: str, addr_spec: str) -> None:
    address = parse_address(typed, "to")
    assert (address.name, address.addr_spec) == (name, addr_spec)


@pytest.mark.parametrize(
    "typed",
    [
        "boss",
        "boss@",
        "@example.com",
        "boss@company",
        "a b@example.com",
        "a@b@example.com",
        "a..b@example.com",
        ".a@example.com",
        "a@exa_mple.com",
        "a@192.0.2.7",
        "a@[192.0.2.7x",
        "a@[192.0.2]",
        "a@[IPv6:fe80::1%>x]",
        "a@[IPv6:fe80::1%eth0]",
        "a@example.com>",
        "<a@example.com",
        "<<a@example.com>>",
        "a@example.com\r\nBcc: b@example.com",
        "a@exam\u202eple.com",
        "a\x00@example.com",
        "a\ud800@example.com",
        "a" * 65 + "@example.com",
        "ä" * 33 + "@example.com",
        "a@" + "b" * 63 + ("." + "b" * 63) * 3 + ".com",
        "a" * 64 + "@" + ("b" * 47 + ".") * 4 + "com",
        "n" * 256 + " <a@example.com>",
        "mailto:a@example.com",
    ],
)
def test_what_is_no_address_is_refused_with_the_field_and_a_hint(typed: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(typed, "copy_to")
    assert caught.value.field == "copy_to"
    assert caught.value.address == typed
    assert caught.value.hint.endswith(".")
    assert first_control(str(caught.value)) is None


def test_several_addresses_are_separated_outside_quotes() -> None:
    text = 'a@example.com; "Smith, J; jr" <b@example.com>,c@example.com;;, '
    assert read(text) == [("", "a@example.com"), ("Smith, J; jr", "b@example.com"), ("", "c@example.com")]


def test_where_one_address_is_wanted_several_are_refused() -> None:
    for text in ("a@example.com, b@example.com", "", " "):
        with pytest.raises(AddressError, match="not one email address"):
            parse_address(text, "sender")


def test_a_name_with_a_comma_is_told_about_quotes() -> None:
    with pytest.raises(AddressError, match="quotes"):
        parse_address("Acme, Inc. <accounts@example.com>", "sender")


def test_an_open_quotation_mark_is_named() -> None:
    with pytest.raises(AddressError, match="quotation mark that is not closed"):
        parse_addresses('"Smith, J <b@example.com>, c@example.com', "to")


def test_an_item_of_a_list_never_becomes_two_recipients() -> None:
    assert len(parse_addresses(["a@example.com", "B <b@example.com>"], "to")) == 2
    with pytest.raises(AddressError):
        parse_addresses(["a@example.com, b@example.com"], "to")
    with pytest.raises(AddressError):
        parse_addresses(["a@example.com", ""], "to")


def test_the_same_address_twice_is_one_recipient_whatever_its_capitals() -> None:
    assert read("Ann <a@example.com>, A@EXAMPLE.com") == [("Ann", "a@example.com")]


def test_addresses_that_only_look_the_same_are_two_recipients() -> None:
    assert len(parse_addresses("strauß@example.com, strauss@example.com", "to")) == 2


@pytest.mark.parametrize(
    "value",
    [
        *(None, 5, True, float("nan"), b"a@example.com", object(), [None], [5], [b"a@b.example"]),
        {"a@example.com": "Ann"},  # as other mail programs for Python take it: the name would be lost
    ],
)
def test_what_is_no_text_is_no_address(value: object) -> None:
    wrong = value[0] if isinstance(value, list) else value
    with pytest.raises(AddressError, match=f"must be text, not {type(wrong).__name__}") as caught:
        parse_addresses(value, "cc")  # type: ignore[arg-type]
    assert caught.value.field == "cc"


def test_an_endless_source_of_what_is_no_address_does_not_hang() -> None:
    with pytest.raises(AddressError):
        parse_addresses(itertools.count(), "to")  # type: ignore[arg-type]


def test_an_address_object_is_judged_like_a_text() -> None:
    good = Address("Smith, J", "j", "example.com")
    assert parse_addresses(good, "to") == (good,)
    for bad in (Address("x\r\nBcc: y", "a", "example.com"), Address("", "a@b, c", "example.com")):
        with pytest.raises(AddressError):
            parse_addresses([bad], "to")


def test_an_international_domain_is_shown_in_its_own_script() -> None:
    assert parse_address("a@müller.example", "to").shown == "a@müller.example"
    assert Address("", "a", "xn--\u0300.example").shown == "a@xn--\u0300.example"


def test_only_a_non_ascii_local_part_needs_smtputf8() -> None:
    assert parse_address("müller@example.com", "to").needs_smtputf8
    assert not parse_address("Müller <mueller@müller.example>", "to").needs_smtputf8


@given(TEXT)
@example('"a" "b"@example.com')
@example("a@xn--a.example")
def test_any_text_is_an_address_that_survives_being_written_or_is_refused(text: str) -> None:
    try:
        found = parse_addresses(text, "to")
    except DocmailError as exc:
        assert exc.field == "to"  # noqa: PT017 - either end is right
        return
    for address in found:
        assert parse_address(str(address), "to") == address
        assert first_control(str(address)) is None


@given(st.text(max_size=60))
def test_any_name_survives_being_written_and_read(name: str) -> None:
    address = Address(trimmed(name), "a", "example.com")
    try:
        read_again = parse_address(str(address), "to")
    except AddressError:
        assert first_control(address.name) is not None  # nothing else may be refused
    else:
        assert read_again == address


@pytest.mark.parametrize("text", ["a" + " " * 10**6 + "b", "<" * 10**6, "@" * 10**6, '"' * 10**6, "a@" * 10**6])
def test_a_megabyte_in_the_field_is_refused_at_once(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(AddressError) as caught:
        parse_addresses(text, "to")
    assert time.perf_counter() - started < 3
    assert len(str(caught.value)) < 300


@given(TEXT)
def test_trimming_twice_is_trimming_once(text: str) -> None:
    once = trimmed(text)
    assert trimmed(once) == once
    assert once in text


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Meyer, Anna <a@example.com>", '"Meyer, Anna" <a@example.com>'),
        ("Smith, John, Jr. <j@example.com>", '"Smith, John, Jr." <j@example.com>'),
        ("Meyer, Anna <a@example.com>; Bob <b@example.com>", '"Meyer, Anna" <a@example.com>; Bob <b@example.com>'),
        (
            "Acme, Inc. <a@example.com>;Müller, Ö. <b@example.com>;",
            '"Acme, Inc." <a@example.com>; "Müller, Ö." <b@example.com>',
        ),
        (
            "Meyer, Anna <a@example.com>, Bob <b@example.com>, Li, Wei <c@example.com>",
            '"Meyer, Anna" <a@example.com>; Bob <b@example.com>; "Li, Wei" <c@example.com>',
        ),
    ],
)
def test_a_name_with_a_comma_is_refused_with_the_line_that_does_it_right(text: str, right: str) -> None:
    """It said that “Meyer” is not an email address."""
    with pytest.raises(AddressError) as caught:
        parse_addresses(text, "to")
    assert caught.value.hint == f"Put the name in quotes: {right}."
    assert len(parse_addresses(right, "to")) == len(right.split(";"))
    if ";" not in text:
        with pytest.raises(AddressError) as caught:
            parse_addresses([text], "to")
        assert caught.value.hint == f"Put the name in quotes: {right}."


def test_addresses_that_are_separated_by_commas_stay_so() -> None:
    for text in ("a@example.com, Bob <b@example.com>", "Ann <a@example.com>, Bob <b@example.com>"):
        assert len(parse_addresses(text, "to")) == 2


def test_two_addresses_in_one_item_are_refused_with_the_list_that_does_it_right() -> None:
    with pytest.raises(AddressError) as caught:
        parse_addresses(['a@example.com; "B, C" <b@example.com>'], "to")
    assert caught.value.hint == """For several, give a list: ["a@example.com", '"B, C" <b@example.com>']."""


@pytest.mark.parametrize("between", [" ", " / ", " | ", " and ", "\u00a0"])
def test_addresses_that_nothing_separates_are_refused_with_the_list_that_does_it_right(between: str) -> None:
    for read in (parse_address, parse_addresses):
        with pytest.raises(AddressError) as caught:
            read(f"a@example.com{between}b@example.org", "to")
        assert caught.value.hint == """For several, give a list: ["a@example.com", "b@example.org"]."""


@pytest.mark.parametrize("sign", ["\u200b", "\u200e", "\u00a0", "\u2060"])
@pytest.mark.parametrize("form", ["an{}n@example.com", "Ann <an{}n@example.com>", "\u200e{}ann@example.com"])
def test_what_nobody_sees_in_an_address_is_named(form: str, sign: str) -> None:
    """It said that “ann@example.com” is not an email address, and looks like name@example.com."""
    with pytest.raises(AddressError, match=r"contains the invisible character U\+(00A0|20)"):
        parse_address(form.format(sign), "to")
