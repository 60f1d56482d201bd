"""A template says with a row's fields what it was written to say, or which field is missing; and it does no more."""

from __future__ import annotations

import datetime as dt
import html
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from docmail.errors import MessageError
from docmail.message import markdown_to_html
from docmail.templates import Template, fields_of, fill, forget, load, names, save
from docmail.text import escape

if TYPE_CHECKING:
    from pathlib import Path

ROW = {
    "name": "Ann",
    "qty": 12.0,
    "price": 4.5,
    "due": pd.Timestamp("2026-03-01"),
    "E-mail": "ann@example.com",
    "gone": float("nan"),
    "lines": [{"items": 3, "amount": 1234.5}, {"items": 4, "amount": None}],
    "rows": iter([1]),
    "blob": b"%PDF-1.4",
    "thing": object(),
}

# --- what it says ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Dear {{ name }},\n\nthank you.\n", "Dear Ann,\n\nthank you.\n"),
        ("{{ qty }} at {{ price }}", "12 at 4.5"),
        ("{{ qty * price }}, {{ 0.1 + 0.2 }}, {{ 3 * 1.0 }}", "54, 0.3, 3"),
        ("{{ row['E-mail'] }} {{ row.name }} {{ row['qty'] }}", "ann@example.com Ann 12"),
        ("{{ due }} {{ due.strftime('%d %B %Y') }}", "2026-03-01 01 March 2026"),
        ("{{ '{:,.2f}'.format(lines[0].amount) }} {{ '%.1f' | format(price) }}", "1,234.50 4.5"),
        ("{{ gone | default('-') }}{% if gone is defined %} known{% endif %}", "-"),
        ("{{ name | upper }} {{ name.lower() }} {{ 'x' if qty > 10 else 'y' }}", "ANN ann x"),
        (
            "{{ lines | map(attribute='items') | sum }} {{ lines | sum(attribute='items') }} {{ lines | length }}",
            "7 7 2",
        ),
        ("{{ lines[0]['items'] }}", "3"),
        ("{% raw %}{{ name }}{% endraw %}", "{{ name }}"),
        ("no field, { not } one %", "no field, { not } one %"),
        ("{{ due.replace(year=2027) }} {{ gone | default(2000) }}", "2027-03-01 2000"),
        ("", ""),
    ],
)
def test_a_template_says_what_the_row_holds(text: str, said: str) -> None:
    assert fill(text, ROW) == said


def test_a_line_with_only_a_tag_leaves_no_line_and_any_other_line_end_stays() -> None:
    loop = "{% for line in lines %}\n  {% if line.items > 3 %}\n| {{ line.items }} |\n{% endif %}\n{% endfor %}\n"
    assert fill(f"| item |\n|---|\n{loop}end", ROW) == "| item |\n|---|\n| 4 |\nend"
    assert fill("Dear {% if qty %}Sir{% endif %}\nthank you", ROW) == "Dear Sir\nthank you"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.int64(7), "7"),
        (np.float64(12), "12"),
        (np.float32(0.5), "0.5"),
        (np.str_("x"), "x"),
        (np.bool_(True), "True"),  # noqa: FBT003 - the value itself
        (np.datetime64("2026-03-01T10:30"), "2026-03-01 10:30:00"),
        (Decimal("1.50"), "1.50"),
        (dt.date(2026, 3, 1), "2026-03-01"),
        (pd.Period("2026-03"), "2026-03"),
        (1e20, "100000000000000000000"),
        (1e-7, "0.0000001"),
        (Decimal("1E+3"), "1000"),
        (np.float32(19.99), "19.99"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.3333333333333333"),
        (-0.0, "0"),
    ],
    ids=repr,
)
def test_numbers_and_dates_are_said_as_a_person_reads_them(value: Any, said: str) -> None:
    assert fill("{{ x }}", {"x": value}) == said


def test_a_data_frame_in_a_field_is_a_list_of_its_rows() -> None:
    frame = pd.DataFrame({"item": ["a", "b"], "n": [1.0, 2.0]})
    assert fill("{% for line in lines %}{{ line.item }}{{ line.n }} {% endfor %}", {"lines": frame}) == "a1 b2 "
    assert fill("{% for n in numbers %}{{ n }},{% endfor %}", {"numbers": frame["n"]}) == "1,2,"


def test_every_row_of_a_data_frame_can_be_the_fields() -> None:
    frame = pd.DataFrame({"no": [1, 2], "to": ["a", None]})
    first, second = frame.to_dict("records")
    assert fill("{{ no }} {{ to }}", {str(key): value for key, value in first.items()}) == "1 a"
    with pytest.raises(MessageError, match="“to”, which has no value here"):
        fill("{{ no }} {{ to }}", {str(key): value for key, value in second.items()})


# --- what is missing ---


@pytest.mark.parametrize(
    "nothing", [None, float("nan"), pd.NA, pd.NaT, Decimal("NaN"), np.datetime64("NaT", "s")], ids=repr
)
def test_a_value_that_is_none_is_missing(nothing: Any) -> None:
    with pytest.raises(MessageError) as caught:
        fill("Dear {{ name }}", {"name": nothing}, field="subject")
    assert caught.value.field == "subject"
    assert str(caught.value) == (
        "“subject” needs the field “name”, which has no value here. "
        "Fill it in, or write {{ name | default('-') }} in the template."
    )


def test_a_missing_address_is_to_be_filled_in_and_has_no_stand_in() -> None:
    with pytest.raises(MessageError) as caught:
        fill("{{ email }}", {"email": None}, field="to")
    assert str(caught.value) == "“to” needs the field “email”, which has no value here. Fill it in."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ nam }}", "the field “nam”, which does not exist. Write {{ name }}."),
        ("{{ NAME }}", "Write {{ name }}."),
        ("{{ number }}", "Use one of these fields: name, qty, price"),
        ("{{ row['Email'] }}", "Write {{ row['E-mail'] }}."),
        ("{{ zzzzzz }}", "Use one of these fields: name, qty, price"),
        ("{{ lines[1].amount }}", "the field “amount”, which has no value here"),
        ("{{ lines[0].amont }}", "Write {{ amount }}."),
        ("{% for x in nam %}{% endfor %}", "“nam”"),
        ("{{ nam ~ name }}", "“nam”"),
        ("{{ nam + 1 }}", "“nam”"),
        ("{{ nam | upper }}", "“nam”"),
        ("{{ nam.strip() }}", "“nam”"),
        ("{{ name.first }}", "is empty"),
        ("{{ {}.get('x') }}", "is empty"),
    ],
)
def test_a_field_that_is_not_there_is_named_with_the_one_that_was_meant(text: str, words: str) -> None:
    with pytest.raises(MessageError) as caught:
        fill(text, ROW)
    assert words in str(caught.value)
    assert caught.value.field == "body"


def test_without_any_field_the_hint_still_helps() -> None:
    with pytest.raises(MessageError, match="Give its value, or take it out"):
        fill("{{ x }}", {})


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ name", "in line 1"),
        ("one\n{% if %}", "in line 2"),
        ("one\n  {% for x in lines %}\n{% endif %}", "in line 3"),
        ("{{ name | nonsense }}", "nonsense"),
        ("{{" + "(" * 3000 + "1" + ")" * 3000 + "}}", "nested too deeply"),
        ("{% for a in lines %}" * 30 + "{% endfor %}" * 30, "in line 1"),
    ],
)
def test_a_template_that_cannot_be_understood_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(MessageError, match="cannot be understood") as caught:
        fill(text, ROW)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ name | map(attribute='__class__') | join }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ lines.append(1) }}",
        "{{ lines[0].update({'x': 1}) }}",
        "{% include 'x' %}",
        "{% set a %}{% for i in range(40000) %}a long text{% endfor %}{% endset %}",  # would grow unseen
        "{% import 'x' as x %}",
        "{% extends 'x' %}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% call name() %}{% endcall %}",
    ],
)
def test_a_template_may_only_look_at_its_fields(text: str) -> None:
    with pytest.raises(MessageError, match="uses something that templates may not use"):
        fill(text, ROW)


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(40000) %}{% for j in range(40000) %}{% endfor %}{% endfor %}",
        "{% for i in range(40000) %}{{ name }}{{ long }}{% endfor %}",
        "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 40,
        "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a + a %}" * 40,
        "{% set a = [1, 1, 1] %}" + "{% set a = a + a %}" * 40,
        "{{ 9 ** 9999999 }}",
        "{% set a = 10 ** 1000 %}" + "{% set a = a * a %}" * 40,
        "{{ '%999999999d' % 1 }}",
        "{{ '%*d' % (999999999, 1) }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ '{:{}}'.format(1, 999999999) }}",
        "{{ name.ljust(999999999) }}",
        "{{ long.replace('', long) }}",
        "{{ long | replace('x', long) }}",
        "{{ [long, long, long] | join(long) }}",
        "{{ long }}" * 10,
        "x" * 250_001,
        "{{ huge | int }}",  # took minutes, as the next two did
        "{{ '%d' % huge }}",
        "{{ '%d' | format(huge) }}",
        "{{ huge * huge }}",
    ],
)
def test_a_template_comes_to_an_end_and_its_text_fits_a_mail(text: str) -> None:
    with pytest.raises(MessageError, match="does not end, or its text grows too large"):
        fill(text, {**ROW, "long": "x" * 100_000, "huge": Decimal("1E+1000000")})


def test_a_list_longer_than_a_mail_can_want_is_refused() -> None:
    with pytest.raises(MessageError, match="attach the list as a document"):
        fill("{% for x in many %}{{ x }}{% endfor %}", {"many": list(range(10_001))})
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(MessageError):
        fill("{{ deep }}", {"deep": deep})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ name + 1 }}", "cannot be filled in"),
        ("{{ lines }}", "a list cannot stand in a text"),
        ("{{ row }}", "a dict cannot stand in a text"),
        ("{{ name.upper }}", "a function cannot stand in a text"),
        ("{{ name.encode() }}", "a bytes cannot stand in a text"),
        ("{{ rows }}", "a list_iterator cannot stand in a text"),
        ("{{ blob }}", "a bytes cannot stand in a text"),
        ("{{ thing }}", "a object cannot stand in a text"),
        ("{{ name ~ thing }}", "cannot be filled in"),
        ("{{ '%d' | format(name) }}", "cannot be filled in"),
        ("{{ 'x' * 3 }}", "* needs two numbers"),
    ],
)
def test_what_cannot_be_said_is_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(MessageError) as caught:
        fill(text, ROW)
    assert words in str(caught.value)


@given(
    st.lists(
        st.sampled_from(
            [
                *"[]~*9.|()'\n",
                *("{{", "}}", "{%", "%}", "{#", "#}", "for x in lines", "endfor", "if qty", "endif", "set a ="),
                *(" name ", "row['", "']", "join", "__class__", "format", "gone"),
            ]
        ),
        max_size=14,
    ).map("".join)
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_any_template_is_filled_or_refused_in_a_sentence(text: str) -> None:
    try:
        fill(text, ROW)
    except MessageError as exc:
        assert exc.field == "body"  # noqa: PT017 - either end is right
        assert str(exc).isprintable()  # noqa: PT017 - as above


# --- which fields ---


def test_the_names_that_a_template_uses_are_known_without_filling_it() -> None:
    text = "{{ a }}{{ row['E-mail'] }}{{ row.b }}{% for l in lines %}{{ l.q }}{{ loop.index }}{% endfor %}"
    assert fields_of(text + "{% set t = c %}{{ t }}") == {"a", "b", "c", "E-mail", "lines"}
    assert fields_of("plain {{ range(3) | length }}") == frozenset()
    with pytest.raises(MessageError, match="cannot be understood"):
        fields_of("{{ a")


def test_a_field_that_no_template_names_may_hold_anything() -> None:
    class Loud:
        def __str__(self) -> str:
            raise AssertionError

    assert fill("{{ a }}", {"a": 1, "b": Loud()}) == "1"


# --- Markdown ---


def shown(markdown: str) -> str:
    """Return the text that a reader of the HTML sees, blanks made one."""
    body = markdown_to_html(markdown).partition("<body")[2].partition(">")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " " if "<br" in body else "", body)).split())


def words_of(text: str) -> str:
    return " ".join(text.split())


MARKS = list("#*_`~[]()<>!|\\&+-=.:;{}1 9\n\tax'\"$^@/")


@given(
    st.lists(st.sampled_from([*MARKS, "https://a.example/x_y", "&amp;", "---", "1.", "```", "    "]), max_size=14).map(
        "".join
    ),
    st.sampled_from(["{}", "Dear {}, x", "a\n{}\nb", "{} b"]),
)
@hypothesis_settings(max_examples=200, deadline=None)
@example("-=", "a\n{}\nb")
@example("# x\n- y\n1. z\n> q\n    code", "{}")
@example("<b>&lt;</b> ![x](y) | *a*_b_", "Dear {}, x")
def test_a_value_is_shown_as_it_is_whatever_marks_it_holds(value: str, around: str) -> None:
    filled = fill(around.format("{{ x }}"), {"x": value}, markdown=True)
    assert shown(filled).replace(" ", "") == words_of(around.format(value)).replace(" ", "").replace("\u00a0", "")


def test_a_value_stays_in_its_cell_of_a_table() -> None:
    filled = fill("| a | b |\n|---|---|\n| {{ x }} | z |", {"x": "1|2 `|` \\|"}, markdown=True)
    assert len(re.findall(r"<td style=\"border-bottom", markdown_to_html(filled))) == 2
    assert "1|2 `|` \\|" in html.unescape(markdown_to_html(filled))


def test_an_indented_line_is_no_code_and_keeps_its_indentation() -> None:
    html = markdown_to_html(fill("{{ x }}", {"x": "a\n\n    b"}, markdown=True))
    assert "<pre" not in html
    assert "\u00a0" * 4 + "b" in html


def test_an_address_of_the_web_becomes_a_link_to_itself() -> None:
    link = '<a href="https://pay.example/?a_b=1_2">'
    assert link in markdown_to_html(fill("Pay: {{ x }}.", {"x": "https://pay.example/?a_b=1_2"}, markdown=True))
    assert link in markdown_to_html(fill("[Pay]({{ x }})", {"x": "https://pay.example/?a_b=1_2"}, markdown=True))


def test_the_writers_own_markdown_works_and_a_value_may_be_let_through() -> None:
    assert fill("**{{ x }}**", {"x": "a*b"}, markdown=True) == "**a\\*b**"
    assert fill("{{ x | safe }}", {"x": "*b*"}, markdown=True) == "*b*"
    assert fill("{{ x }}", {"x": "a*b"}) == "a*b"
    assert escape("Plain text, 3 x 4 - done.") == "Plain text, 3 x 4 - done."


# --- kept templates ---

INVOICE = Template("invoice", "Invoice {{ no }}", "Dear {{ name }},\n\n**attached**.")


def test_a_template_is_kept_under_its_name_until_it_is_forgotten(home: Path) -> None:
    assert names() == ()
    save(INVOICE)
    save(Template("Statement", "Statement", ""))
    save(Template("invoice", "Invoice no. {{ no }}", INVOICE.body))
    assert names() == ("invoice", "Statement")
    assert load("invoice") == Template("invoice", "Invoice no. {{ no }}", INVOICE.body)
    assert (home / "docmail" / "templates.json").stat().st_mode & 0o777 == 0o600
    save(Template("ours", "", ""))
    forget("ours")
    forget("ours")
    assert names() == ("invoice", "Statement")
    with pytest.raises(
        MessageError, match=r"no template “ours”\. Save one with this name, or choose one of: Statement"
    ):
        load("ours")


@pytest.mark.parametrize(
    ("template", "field"),
    [
        (Template("", "a", "b"), "template"),
        (Template("../x", "a", "b"), "template"),
        (Template("a\nb", "a", "b"), "template"),
        (Template("x", "{{", "b"), "subject"),
        (Template("x", "a", "{% if %}"), "body"),
        (Template("x", 5, "b"), "subject"),  # type: ignore[arg-type]
    ],
)
def test_a_template_that_would_not_work_is_not_kept(template: Template, field: str) -> None:
    with pytest.raises(MessageError) as caught:
        save(template)
    assert caught.value.field == field
    assert names() == ()


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"version": 1}', '{"version": 1, "templates": {"x": 5}}', '{"version": "1", "templates": {}}'],
)
def test_a_damaged_file_of_templates_is_reported_and_left_as_it_is(content: str, home: Path) -> None:
    path = home / "docmail" / "templates.json"
    path.parent.mkdir()
    path.write_text(content)
    for call in (names, lambda: save(INVOICE), lambda: load("x"), lambda: forget("x")):
        with pytest.raises(MessageError, match="is damaged"):
            call()
    assert path.read_text() == content


def test_the_templates_of_a_newer_docmail_are_left_alone(home: Path) -> None:
    path = home / "docmail" / "templates.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 2, "templates": {}}))
    with pytest.raises(MessageError, match="newer docmail"):
        save(INVOICE)


def test_a_folder_that_cannot_be_written_is_a_sentence(home: Path) -> None:
    (home / "docmail").write_text("a file")
    with pytest.raises(MessageError, match=r"cannot be saved in .*templates\.json"):
        save(INVOICE)
