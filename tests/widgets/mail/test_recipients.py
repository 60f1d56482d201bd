from __future__ import annotations

import pytest

from docmail.widgets.mail.recipients import read


def addresses(text: str) -> list[str]:
    found = read(text, "to")
    assert found.problems == ()
    return [str(address) for address in found.addresses]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        (" \n\t\n ", []),
        ("a@example.com", ["a@example.com"]),
        ("a@example.com; b@example.com, c@example.com;", ["a@example.com", "b@example.com", "c@example.com"]),
        ("a@example.com\r\nb@example.com\r\n", ["a@example.com", "b@example.com"]),
        ("a@example.com\tb@example.com\n\tc@example.com", ["a@example.com", "b@example.com", "c@example.com"]),
        ("a@example.com b@example.com", ["a@example.com", "b@example.com"]),
        (
            "Smith, J <j@example.com>; Doe, A <a@example.com>;",
            ['"Smith, J" <j@example.com>', '"Doe, A" <a@example.com>'],
        ),
        (
            "Smith, J <j@example.com>, Doe, A <a@example.com>",
            ['"Smith, J" <j@example.com>', '"Doe, A" <a@example.com>'],
        ),
        ("a@example.com, J Smith <j@example.com>", ["a@example.com", "J Smith <j@example.com>"]),
        ('"Smith, J" <j@example.com>', ['"Smith, J" <j@example.com>']),
        ("'Quoted' <q@example.com>", ["'Quoted' <q@example.com>"]),
        ("<a@example.com>; <b@example.com>", ["a@example.com", "b@example.com"]),
        ("mailto:a@example.com?subject=x", ["a@example.com"]),
        ("a@example.com<mailto:a@example.com>", ["a@example.com"]),
        ("\u202aa@example.com\u202c\n\ufeffb@example.com\u200b", ["a@example.com", "b@example.com"]),
        ("שרה לוי <sara@example.com>", ["שרה לוי <sara@example.com>"]),
        # From a spreadsheet, with heads of columns and with what else stands in the row.
        ("Email\r\na@example.com\r\nb@example.com\r\n", ["a@example.com", "b@example.com"]),
        (
            "Name\tEmail\r\nAnna Meyer\ta@example.com\r\nDr. B. Mol\tb@example.com\r\n",
            ["Anna Meyer <a@example.com>", '"Dr. B. Mol" <b@example.com>'],
        ),
        ("a@example.com\tשרה לוי", ["שרה לוי <a@example.com>"]),
        ("1001\tMeyer\tAnna\ta@example.com\tBerlin", ["a@example.com"]),
        ('"a@example.com"\n"b@example.com"', ["a@example.com", "b@example.com"]),
        ("1. a@example.com\n2. b@example.com", ["a@example.com", "b@example.com"]),
        ("• a@example.com\n• B <b@example.com>", ["a@example.com", "B <b@example.com>"]),
    ],
)
def test_addresses_are_read_as_people_paste_them(text: str, wanted: list[str]) -> None:
    assert addresses(text) == wanted


def test_each_address_that_is_none_is_named_and_the_others_count() -> None:
    found = read("a@example.com\nnonsense\nb@\nc@example.com", "to")
    assert [address.addr_spec for address in found.addresses] == ["a@example.com", "c@example.com"]
    assert found.problems == ("“nonsense” is not an email address.", "“b@” is not an email address.")
    assert found.text == "a@example.com\nnonsense\nb@\nc@example.com", "what is wrong stays to be corrected"


def test_a_long_list_of_wrong_ones_is_cut() -> None:
    found = read("\n".join(f"wrong{number}" for number in range(50)), "to")
    assert "wrong3" in found.problem
    assert "wrong4" not in found.problem
    assert "46 more are no addresses." in found.problem


def test_who_stands_there_twice_gets_one_mail_and_is_named() -> None:
    found = read("A <a@example.com>; A@Example.com; b@example.com", "to")
    assert [address.addr_spec for address in found.addresses] == ["a@example.com", "b@example.com"]
    assert "2 recipients" in found.found
    assert "stands there twice" in found.found
    assert read("a@example.com", "to").found == "", "one is seen"


def test_a_header_cannot_be_smuggled_in_by_a_line_break() -> None:
    found = read("a@example.com\nBcc: b@example.com", "to")
    assert [address.addr_spec for address in found.addresses] == ["a@example.com"]
    assert "Bcc: b@example.com" in found.problems[0]


def test_a_column_of_many_addresses_is_read_at_once() -> None:
    found = read("\n".join(f"customer{number}@example.com" for number in range(2000)), "to")
    assert len(found.addresses) == 2000
