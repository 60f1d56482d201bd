"""One message per row: filled in, checked as a whole, recognised when the same is run again."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.errors import BatchError, DocmailError, DocumentError, MessageError, RowProblem
from docmail.message import data_sets
from docmail.outbox import Outbox, table_of
from docmail.outbox.batch import _Keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docmail.sandbox import Sandbox

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"
ROWS = [
    {"invoice_no": 118.0, "name": "Ann", "E-mail": "ann@example.com"},
    {"invoice_no": 119.0, "name": "Ben", "E-mail": "ben@example.com"},
    {"invoice_no": 120.0, "name": "Cho", "E-mail": "cho@example.com"},
]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with docmail.Sandbox() as sandbox:
        sandbox.settings.save()
        yield sandbox


def make_pdf(row: Mapping[str, Any]) -> bytes:
    """Return a document that differs from row to row."""
    return b"%%PDF-1.4\n%d\n%%%%EOF\n" % row["invoice_no"]


def invoices(rows: Any = ROWS, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "key": "invoice_no",
        "to": "{{ row['E-mail'] }}",
        "subject": "Invoice {{ invoice_no }}",
        "body": "Dear {{ name }},\n\nattached.",
        "documents": make_pdf,
        "name": "Invoice {{ invoice_no }}.pdf",
        **changes,
    }
    return docmail.merge(rows, **values)


def states(outbox: Outbox) -> list[str]:
    return [row.state for row in outbox]


# --- the rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_is_read_a_portion_at_a_time_as_it_was_when_it_was_given(library: str) -> None:
    """As dicts, its rows take ten times its memory."""
    module = pytest.importorskip(library)
    frame = module.DataFrame({"n": list(range(600)), "x": [0.5, 1.5] * 300})
    portions: list[int] = []
    records = data_sets._records

    def counted(part: Any) -> list[dict[str, Any]]:
        portions.append(len(part))
        return records(part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_sets, "_records", counted)
        merge = docmail.merge(frame, key="n", to="a@example.com", subject="{{ n }}|{{ x }}")
        if library == "pandas":
            frame.loc[:, "n"] = 7
        subjects = [message.subject for message in merge]
    assert len(merge) == len(subjects) == 600
    assert (subjects[0], subjects[-1]) == ("0|0.5", "599|1.5")
    assert max(portions) < 600


def test_a_key_is_known_however_many_there_are() -> None:
    keys = _Keys()
    assert [keys.first(f"key {each}", each) for each in range(1, 5_001)] == list(range(1, 5_001))
    assert [keys.first(f"key {each}", 9_999) for each in (1, 2_500, 5_000)] == [1, 2_500, 5_000]
    assert keys.first("", 5_001) == 5_001


def test_each_row_becomes_the_message_that_its_templates_say() -> None:
    first, *_others = invoices()
    assert [str(address) for address in first.to] == ["ann@example.com"]
    assert (first.subject, first.body, first.key) == ("Invoice 118", "Dear Ann,\n\nattached.", "118")
    assert [(document.name, document.read()) for document in first.documents] == [
        ("Invoice 118.pdf", b"%PDF-1.4\n118\n%%EOF\n")
    ]


@pytest.mark.parametrize("library", ["pandas", "polars", "csv"])
def test_rows_come_from_data_frames_and_csv_files_with_their_odd_numbers(library: str, tmp_path: Path) -> None:
    """A missing value turns a column of whole numbers into floats; "12.0" is no invoice number."""
    columns = {"invoice_no": [118, None, 120], "E-mail": ["ann@example.com", "ben@example.com", "cho@example.com"]}
    if library == "csv":
        rows: Any = tmp_path / "rows.csv"
        rows.write_text(
            "\ufeffinvoice_no;E-mail\n118;ann@example.com\n;ben@example.com\n120;cho@example.com\n", "utf-8"
        )
    else:
        rows = pytest.importorskip(library).DataFrame(columns)
    merged = invoices(rows, body="", documents=(), name=None)
    found = [getattr(draft, "error", None) or draft.message.subject for draft in merged.drafts()]
    assert (found[0], found[2]) == ("Invoice 118", "Invoice 120")
    assert "makes a row unique" in str(found[1])
    assert len(merged) == 3


def csv_of(folder: Path, text: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(text, "utf-8")
    return path


def test_a_row_of_a_csv_file_with_too_many_cells_is_no_row_of_other_values(tmp_path: Path, box: Sandbox) -> None:
    """As “1,234.50” without quotes, where a mail would say “1”; empty cells at the end are Excel's."""
    path = csv_of(tmp_path, "no,email,amount\n1,a@example.com,1,234.50\n2,b@example.com,12,,\n")
    merged = docmail.merge(path, key="no", to="{{ email }}", subject="{{ amount }}")
    added = Outbox().add_all(merged, batch="b", settings=box.settings, bad_rows="skip")
    assert [(problem.row, problem.field) for problem in added.problems] == [(1, "rows")]
    assert "more cells" in added.problems[0].message
    assert [row.subject for row in Outbox()] == ["12"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("no,email,email\n1,a@example.com,b@example.com\n", "the name “email”"),
        ("PK\x03\x04\x14 a sheet", "an Excel workbook"),
        (f"no,email\n1,{'x' * 131_073}\n", r"a cell is longer than 131,072 characters\. Shorten it"),
    ],
)
def test_a_csv_file_that_cannot_be_understood_is_refused(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(MessageError, match=word) as caught:
        docmail.merge(csv_of(tmp_path, text), key="no", to="{{ email }}", subject="x")
    assert caught.value.field == "rows"


GOOD_CELLS = [
    ('"Anna"', "Anna"),
    ('"An{s}na"', "An{s}na"),
    ('"Anna{n}Meyer"', "Anna\nMeyer"),
    ('"Anna{n}{n}119{s}b"', "Anna\n\n119{s}b"),
    ('"Anna ""Nan"" Meyer"', 'Anna "Nan" Meyer'),
    ('"""Nan"""', '"Nan"'),
    ('""""', '"'),
    ('""', None),
    ("O'Neil", "O'Neil"),
    ("“Nan”", "“Nan”"),
]
BAD_CELLS = [
    '"Anna" Meyer',
    'Anna "Nan" Meyer',
    ' "Anna"',
    '"Anna" ',
    '"Anna',
    'Anna"',
    '"',
    '"""',
    'Anna""',
    '"Anna""',
    '"Anna"Meyer"',
    '5" pipe',
    '"Anna{n}Meyer" x',
]
SEPARATORS = [";", ",", "\t", "|"]
LINE_ENDS = ["\n", "\r\n", "\r"]


def three_lines(cell: str, separator: str, line_end: str, *, header: str = "name") -> str:
    lines = [("no", "email", header), ("118", "anna@example.com", cell), ("119", "bob@example.com", "Bob")]
    text = "".join(separator.join(line) + line_end for line in lines)
    return text.replace("{s}", separator).replace("{n}", line_end)


def rows_of(folder: Path, text: str) -> list[str]:
    """Return the subjects of what a CSV file becomes, which show its cells in JSON."""
    path = folder / "rows.csv"
    path.write_bytes(text.encode())
    merged = docmail.merge(path, key="no", to="{{ email }}", subject=lambda row: json.dumps(row["name"]))
    return [json.loads(message.subject) for message in merged]


@pytest.mark.parametrize("line_end", LINE_ENDS, ids=repr)
@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_csv_file_is_read_as_rfc_4180_says(separator: str, line_end: str, tmp_path: Path) -> None:
    for cell, value in GOOD_CELLS:
        expected = None if value is None else value.replace("{s}", separator)
        assert rows_of(tmp_path, three_lines(cell, separator, line_end)) == [expected, "Bob"], cell
    quoted = three_lines("Anna", separator, line_end).replace("name", f'"na{separator}{line_end}me"')
    path = tmp_path / "rows.csv"
    path.write_bytes(quoted.encode())
    message, _other = docmail.merge(path, key="no", to="{{ email }}", subject=lambda row: json.dumps(list(row)[2]))
    assert json.loads(message.subject) == f"na{separator}\nme"


def test_a_head_in_several_levels_is_one_name() -> None:
    """It was “('no', '')”, which nobody finds in a template."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"no": [118, 118], "email": ["a@example.com"] * 2, "kind": ["In", "Out"], "net": [1.5, 2]})
    wide = frame.pivot_table(index=["no", "email"], columns="kind", values=["net"]).reset_index()

    def subject(row: Any) -> str:
        return f"x {row['net', 'Out']}"

    (message,) = docmail.merge(wide, key="no", to="{{ email }}", subject=subject, body="{{ row['net In'] }}")
    assert (message.key, message.subject, str(message.body)) == ("118", "x 2", "1.5")
    with pytest.raises(MessageError, match=r"no column “nr”. The columns are: no, email, net In, net Out"):
        docmail.merge(wide, key="nr", to="{{ email }}", subject="x")


@pytest.mark.parametrize("above", ["\n", "\n\n", ";;\n", " ; ;\n\n"])
def test_empty_rows_above_the_heads_of_a_csv_file_say_nothing(above: str, tmp_path: Path) -> None:
    path = csv_of(tmp_path, f"{above}no;email;x\n118;a@example.com;\n")
    (message,) = docmail.merge(path, key="no", to="{{ email }}", subject="x")
    assert (message.key, str(message.to[0])) == ("118", "a@example.com")


@pytest.mark.parametrize("line_end", LINE_ENDS, ids=repr)
@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_csv_file_with_a_quotation_mark_where_none_can_be_is_refused_with_its_line(
    separator: str, line_end: str, tmp_path: Path
) -> None:
    """Its cell went on to the next quotation mark, or the end: one mail to Anna held Bob's line, and Bob got none."""
    for cell in BAD_CELLS:
        with pytest.raises(MessageError, match=r"\bline 2 of .*rows\.csv") as caught:
            rows_of(tmp_path, three_lines(cell, separator, line_end))
        assert caught.value.field == "rows", cell
        with pytest.raises(MessageError, match=r"\bline 1 of "):
            rows_of(tmp_path, three_lines("Anna", separator, line_end, header=cell))
        # Also without an end of the last line, and below a cell of several lines.
        whole = three_lines('"{n}{n}"', separator, line_end)
        with pytest.raises(MessageError, match=r"\bline 6 of "):
            rows_of(tmp_path, f"{whole}120{separator}c@example.com{separator}{cell.replace('{n}', line_end)}")


def test_a_quotation_mark_that_is_closed_by_one_of_another_line_is_refused_with_both(tmp_path: Path) -> None:
    text = 'no;email;name\n118;anna@example.com;"Anna\n119;bob@example.com;"Bob"\n'
    with pytest.raises(MessageError, match=r"opens a cell in line 2 of .* is closed in line 3, inside a text"):
        rows_of(tmp_path, text)


@pytest.mark.parametrize("line_end", LINE_ENDS, ids=repr)
@pytest.mark.parametrize("separator", [*SEPARATORS, ":"])
@pytest.mark.parametrize("first", ["sep={s}", '"sep={s}"', "SEP={s}", "\ufeffsep={s}", "sep={s}{s}{s}"])
def test_a_first_line_that_says_the_separator_is_no_head(
    first: str, separator: str, line_end: str, tmp_path: Path
) -> None:
    """Excel writes it; docmail found no column “no”."""
    said = first.replace("{s}", separator) + line_end
    assert rows_of(tmp_path, said + three_lines("Anna", separator, line_end)) == ["Anna", "Bob"]
    with pytest.raises(MessageError, match=r"\bline 3 of "):
        rows_of(tmp_path, said + three_lines('An"na', separator, line_end))


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize(
    "head", ["na{o}me, {o}{o}", '"na{o}{o}{o}{o}me"', '"na{n}{o}{o}{o}me"', '"na ""{o}{o}{o}me"""']
)
def test_the_separator_is_what_the_rows_have_in_common(head: str, separator: str, tmp_path: Path) -> None:
    for other in set(SEPARATORS) - {separator}:
        plain = head if '"' in head else head.replace(", ", "")
        filled = plain.replace("{o}", other).replace("{n}", "\n")
        text = three_lines("Anna", separator, "\n", header=filled)
        merged = docmail.merge(csv_of(tmp_path, text), key="no", to="{{ email }}", subject="{{ no }}")
        assert [message.subject for message in merged] == ["118", "119"], (separator, other)


BLANKS = [" ", "  ", "\t", "\u00a0", "\u200b", " \n"]


@pytest.mark.parametrize("library", ["csv", "pandas", "polars", "dicts"])
@pytest.mark.parametrize("blank", BLANKS, ids=ascii)
def test_blanks_around_names_keys_and_values_are_none_of_theirs(blank: str, library: str, tmp_path: Path) -> None:
    """It was “Dear  Anna ,”, and a column “ email ” that was not there."""
    columns = {f"no{blank}": [f"118{blank}"], f"{blank}E-mail": [f"a@example.com{blank}"]}
    columns |= {f"{blank}name{blank}": [f"{blank}Anna Meyer{blank}"]}
    rows: Any = [{name: values[0] for name, values in columns.items()}]
    if library == "csv":
        lines = [columns, [values[0] for values in columns.values()]]
        rows = csv_of(tmp_path, "".join(";".join(f'"{cell}"' for cell in line) + "\n" for line in lines))
    elif library != "dicts":
        rows = pytest.importorskip(library).DataFrame(columns)
    for key in ("no", f"no{blank}"):
        merged = docmail.merge(
            rows,
            key=key,
            to="{{ row['E-mail'] }}",
            subject=lambda row: f"{row['name']}{row[f'{blank}name{blank}']}",
            body="Dear {{ name }}, {{ name | upper }}",
        )
        (message,) = merged
        assert (message.key, message.subject) == ("118", "Anna MeyerAnna Meyer")
        assert (message.body, str(message.to[0])) == ("Dear Anna Meyer, ANNA MEYER", "a@example.com")


def test_a_template_may_name_a_column_with_the_blanks_of_the_data_set() -> None:
    rows = [{"no": 1, "E-mail ": "a@example.com"}]
    (message,) = docmail.merge(rows, key="no", to="{{ row['E-mail '] }}", subject="{{ row['E-mail'] }}")
    assert (str(message.to[0]), message.subject) == ("a@example.com", "a@example.com")


@pytest.mark.usefixtures("box")
def test_a_text_without_its_blanks_is_no_other_mail() -> None:
    """0.1.0 wrote them, and recorded the digest of what it wrote."""
    rows = [{"no": 1, "name": "Anna "}]
    fields: dict[str, Any] = {"subject": "To {{ name }}!", "body": "Dear {{ name }}, {{ name | upper }}"}
    outbox = Outbox()
    outbox.add(docmail.Message("a@example.com", "To Anna !", "Dear Anna , ANNA ", key="1"))
    outbox.add_all([docmail.Message("a@example.com", "To Anna !", "Dear Anna , ANNA ", key="1")], batch="b")
    merged = docmail.merge(rows, key="no", to="a@example.com", **fields)
    assert outbox.add_all(merged, batch="b").known == 1
    (message,) = merged
    assert (message.subject, message.body) == ("To Anna!", "Dear Anna, ANNA")
    with pytest.raises(BatchError, match="another"):
        outbox.add_all(docmail.merge([{"no": 1, "name": "Anne "}], key="no", to="a@example.com", **fields), batch="b")


@pytest.mark.usefixtures("box")
def test_a_key_that_was_recorded_with_its_blanks_is_known() -> None:
    outbox = Outbox()
    for key in ("118\u00a0", "119", "\u200b120"):
        outbox.add_all([docmail.Message("a@example.com", "x", key=key)], batch="b")
    rows = [{"no": "118\u00a0"}, {"no": " 119 "}, {"no": "\u200b120"}]
    added = outbox.add_all(docmail.merge(rows, key="no", to="a@example.com", subject="x"), batch="b")
    assert (added.known, added.added) == (3, 0)


def test_a_blank_beside_the_quotation_marks_of_a_cell_is_said_with_the_cell_as_it_should_be(tmp_path: Path) -> None:
    """The hint led to `Dear  "Anna Meyer",`."""
    for cell in (' "Anna Meyer"', '"Anna Meyer" ', '\u00a0"Anna Meyer"'):
        with pytest.raises(MessageError, match=r'line 2 of .*, there is a space .* so that the cell is "Anna Meyer"\.'):
            rows_of(tmp_path, three_lines(cell, ";", "\n"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_refused_with_the_cure(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("no\temail\n1\ta@example.com\n", encoding)
    with pytest.raises(MessageError, match=r"it is UTF-16.*“CSV UTF-8”.*encoding=\"utf-16\"") as caught:
        docmail.merge(path, key="no", to="{{ email }}", subject="x")
    assert caught.value.field == "rows"


def test_a_file_in_another_encoding_is_refused_with_its_line_and_the_cure_works(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "rows.csv"
    path.write_bytes("no;email;name\r\n007;a@example.com;Jörg\r\n".encode("cp1252"))
    with pytest.raises(MessageError, match=r"not UTF-8 in line 2.*“CSV UTF-8”") as caught:
        docmail.merge(path, key="no", to="{{ email }}", subject="{{ name }}")
    line = str(caught.value.hint).partition("rows: ")[2].rstrip(".").replace("...", "path")
    rows = eval(line, {"pandas": pandas, "path": path})  # noqa: S307 - as the user would run it
    (message,) = docmail.merge(rows, key="no", to="{{ email }}", subject="{{ name }}")
    assert (message.key, message.subject) == ("007", "Jörg")


@pytest.mark.parametrize("library", ["csv", "pandas", "polars", "dicts"])
def test_rows_without_any_value_are_left_out_and_counted(library: str, tmp_path: Path, box: Sandbox) -> None:
    """As Excel leaves them at the end; each was a row that cannot be sent."""
    nothing = float("nan")
    columns = {"no": [None, 118.0, nothing, None], "email": [None, "a@example.com", " ", ""], "x": [nothing] * 4}
    rows: Any = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if library == "csv":
        rows = csv_of(tmp_path, "no;email;x\n;;\n118;a@example.com;\n; ;\n;;;\n")
    elif library != "dicts":
        rows = pytest.importorskip(library).DataFrame(columns)
    merged = docmail.merge(rows, key="no", to="{{ email }}", subject="{{ no }}")
    assert (len(merged), merged.left_out, repr(merged)) == (1, 3, "<Merge of 1 rows, 3 empty left out>")
    added = Outbox().add_all(merged, batch="b", settings=box.settings)
    assert (added.added, added.left_out) == (1, 3)
    assert "3 empty left out" in repr(added)
    bad = docmail.merge(rows, key="no", to="nonsense", subject="x")
    with pytest.raises(BatchError) as caught:
        Outbox().add_all(bad, batch="c", settings=box.settings)
    assert [problem.row for problem in caught.value.problems] == [2], "the row's number in the data set"


def test_a_row_with_a_zero_or_a_no_has_a_value() -> None:
    assert len(docmail.merge([{"no": 0, "x": None}, {"no": None, "x": False}], key="no", to="x", subject="x")) == 2


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mailto:a@example.com", "a@example.com"),
        (" MAILTO:a@example.com ", "a@example.com"),
        ("mailto:a@example.com?subject=Hello%20you", "a@example.com"),
        ("mailto:anna%2Bnews@example.com", "anna+news@example.com"),
        ("<mailto:a@example.com>", "a@example.com"),
        ("Anna <mailto:a@example.com>", "Anna <a@example.com>"),
        ("a@example.com<mailto:a@example.com>", "a@example.com"),
        ('"Meyer, Anna" <mailto:a@example.com>', '"Meyer, Anna" <a@example.com>'),
    ],
)
def test_an_address_in_a_cell_may_be_the_link_that_excel_and_outlook_make_of_it(text: str, address: str) -> None:
    for to in ("{{ email }}", lambda row: row["email"], lambda row: [row["email"]]):
        (message,) = docmail.merge([{"no": 1, "email": text}], key="no", to=to, subject="x")
        assert [str(each) for each in message.to] == [address]


@pytest.mark.parametrize("separator", [";", ",", "\n", "; "])
def test_two_addresses_in_a_cell_are_refused_with_the_line_that_sends_to_both(separator: str) -> None:
    rows = [{"no": 1, "E-mail": f"a@example.com{separator}Bob <b@example.com>"}]
    fields: dict[str, Any] = {"key": "no", "subject": "x"}
    for field in ("to", "cc"):
        merged = docmail.merge(rows, **{"to": "c@example.com", **fields, field: "{{ row['E-mail'] }}"})
        with pytest.raises(docmail.errors.AddressError, match="contains several addresses") as caught:
            list(merged)
        assert caught.value.field == field
        name, _equals, line = str(caught.value.hint).partition("write ")[2].rstrip(".").partition("=")
        assert name == field
        fields[field] = eval(line)  # noqa: S307 - as the user would run it
        (message,) = docmail.merge(rows, **{"to": "c@example.com", **fields})
        assert [address.addr_spec for address in getattr(message, field)] == ["a@example.com", "b@example.com"]
        del fields[field]


def test_an_address_with_a_comma_in_its_name_is_refused_with_itself_in_quotation_marks() -> None:
    rows = [{"no": 1, "email": "Meyer, Anna <anna@example.com>"}]
    with pytest.raises(docmail.errors.AddressError) as caught:
        list(docmail.merge(rows, key="no", to="{{ email }}", subject="x"))
    right = '"Meyer, Anna" <anna@example.com>'
    assert caught.value.hint == f"Put the name in quotes: {right}."
    (message,) = docmail.merge([{"no": 1, "email": right}], key="no", to="{{ email }}", subject="x")
    assert message.to[0].name == "Meyer, Anna"


def test_a_csv_file_in_the_home_of_nobody_is_one_that_is_not_there() -> None:
    with pytest.raises(MessageError, match="cannot be read"):
        docmail.merge(Path("~nobody-of-this-name/rows.csv"), key="no", to="x", subject="x")


def test_an_address_field_that_a_template_fills_is_one_address_whatever_it_holds() -> None:
    rows = [{**ROWS[0], "E-mail": "ann@example.com, boss@example.com"}]
    with pytest.raises(docmail.errors.AddressError):
        list(invoices(rows))


def test_functions_of_the_row_may_take_the_place_of_templates() -> None:
    merged = invoices(
        to=lambda row: [row["E-mail"], "copy@example.com"],
        subject=lambda row: f"No. {row['invoice_no']}",
        cc=lambda _: None,
    )
    first = next(iter(merged))
    assert (first.subject, len(first.to), first.cc) == ("No. 118", 2, ())


def test_documents_may_be_made_per_row_or_shared_and_none_is_made_before_it_is_needed(tmp_path: Path) -> None:
    made: list[int] = []
    terms = tmp_path / "terms.pdf"
    terms.write_bytes(PDF)

    def make(row: Mapping[str, Any]) -> bytes | None:
        made.append(row["invoice_no"])
        return None if row["invoice_no"] == 119 else make_pdf(row)

    messages = iter(invoices(documents=[make, terms]))
    assert made == []
    assert [document.name for document in next(messages).documents] == ["Invoice 118.pdf", "terms.pdf"]
    assert [document.name for document in next(messages).documents] == ["terms.pdf"]
    assert made == [118, 119]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"rows": "rows.csv"}, "Path"),
        ({"rows": {"invoice_no": 1}}, "list of dicts"),
        ({"rows": [1, 2]}, "must be a dict"),
        ({"key": "number"}, "There is no column"),
        ({"key": None}, "name of a column"),
        ({"subject": "Invoice {{ invoice_no "}, "The template of the subject cannot be understood"),
        ({"documents": [make_pdf, make_pdf]}, "“name” names the document that one function makes"),
        (
            {"documents": docmail.Document.of(PDF, name="terms.pdf")},
            "“name” names the document that one function makes",
        ),
        ({"to": ["a@example.com"]}, "template or a function"),
    ],
)
def test_what_is_no_merge_is_refused_at_once_in_a_sentence(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(MessageError, match=word):
        invoices(changes.pop("rows", ROWS), **changes)


def test_a_document_that_is_none_is_refused_when_the_merge_is_made() -> None:
    with pytest.raises(DocumentError):
        invoices(documents="terms.pdf")


# --- the batch --------------------------------------------------------------------------------------------------------


def test_a_batch_is_added_once_and_sent_once_however_often_the_cell_is_run(box: Sandbox) -> None:
    outbox = Outbox()
    for run in range(3):
        added = outbox.add_all(invoices(), batch="november")
        assert (added.added, added.known) == ((3, 0) if run == 0 else (0, 3))
        assert outbox.run(batch="november") == {"sent": 3}
    assert [mail.subject for mail in box.inbox] == ["Invoice 118", "Invoice 119", "Invoice 120"]
    assert [mail.attachments[0].name for mail in box.inbox][:1] == ["Invoice 118.pdf"]
    assert {row.batch for row in outbox} == {"november"}


def test_rows_that_are_there_already_cost_no_second_document(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add_all(invoices(), batch="november", settings=box.settings)
    assert outbox.add_all(invoices(documents=pytest.fail), batch="november", settings=box.settings).known == 3


def test_all_problems_are_told_at_once_with_their_rows_and_nothing_is_added(box: Sandbox) -> None:
    rows = [
        ROWS[0],
        {**ROWS[1], "E-mail": "nonsense"},
        {**ROWS[2], "invoice_no": 118},
        {"invoice_no": 121, "E-mail": "dee@example.com", "name": None},
        {"invoice_no": 122, "E-mail": "eve@example.com", "name": "Eve"},
    ]

    def make(row: Mapping[str, Any]) -> bytes:
        return b"" if row["invoice_no"] == 122 else make_pdf(row)

    outbox = Outbox()
    with pytest.raises(BatchError) as caught:
        outbox.add_all(invoices(rows, documents=make), batch="november", settings=box.settings)
    assert [(problem.row, problem.key, problem.field) for problem in caught.value.problems] == [
        (2, "119", "to"),
        (3, "118", "key"),
        (4, "121", "body"),
        (5, "122", "documents"),
    ]
    assert "4 rows of 5" in str(caught.value)
    assert caught.value.problems[0].message.startswith("“nonsense” is not"), "the field has a column of its own"
    assert "Row 1 has the same key" in str(caught.value)
    assert len(outbox) == 0
    (shown,) = caught.value._render_traceback_()
    assert "nonsense" in shown, "without a notebook that shows a table"


def test_what_jupyter_keeps_of_a_bad_batch_names_no_address_and_stands_in_columns() -> None:
    long = (
        "This key is in the batch already (sent), for a different mail. Undo the change, use another key, or take back."
    )
    problems = [
        RowProblem(2, "118", "to", "“a@example.org; b@example.org” is not one email address."),
        RowProblem(1203, "ann@example.org", None, long),
        *(RowProblem(number, "k", "to", "\x1b[31mNo.") for number in range(1300, 1329)),
    ]
    error = BatchError("31 rows cannot be sent.", problems=problems, table=table_of(problems))
    lines = str(error).splitlines()
    assert lines[2:7] == [
        "  Row  Key  Field  What is wrong",
        "    2  118  to     “…@…; …@…” is not one email address.",
        "1,203  …@…  -      This key is in the batch already (sent), for a different mail. Undo the",
        "                   change, use another key, or take back.",
        "1,300  k    to     ·[31mNo.",
    ]
    assert lines[-1] == "and 1 more row"
    assert str(problems[0]) == "2  118  to  “…@…; …@…” is not one email address."
    assert problems[1].key == "ann@example.org"


def test_a_key_is_the_text_that_a_template_would_show(box: Sandbox, tmp_path: Path) -> None:
    """So that a row is known again, whether it comes from a file or from a data set."""
    pandas = pytest.importorskip("pandas")
    values = [pandas.Timestamp("2026-11-01"), 1.5, Decimal("2.50"), 10**18, 118.0]
    texts = ["2026-11-01", "1.5", "2.50", "1000000000000000000", "118"]
    file = tmp_path / "rows.csv"
    file.write_text("n|to\n" + "".join(f"{text}|a@example.com\n" for text in texts))
    outbox = Outbox()
    for rows, known in (([{"n": value, "to": "a@example.com"} for value in values], 0), (file, 5)):
        merged = docmail.merge(rows, key="n", to="{{ to }}", subject="No. {{ n }}")
        assert outbox.add_all(merged, batch="b", settings=box.settings).known == known
    assert [row.key for row in outbox] == texts
    merged = docmail.merge([{"n": [1]}], key="n", to="a@example.com", subject="x")
    with pytest.raises(MessageError, match="A list cannot make a row unique"):
        list(merged)


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize("library", ["pandas", "polars", "dicts"])
def test_two_long_numbers_are_two_keys_and_one_number_is_one(library: str) -> None:
    """As floats of 16 digits they were written with 15, and the second mail was never sent."""
    numbers = [1234567890123456.0, 1234567890123457.0, 999999999999999.0, 2.0**53 - 1, 118.0, 0.1 + 0.2, 0.3]
    texts = ["1234567890123456", "1234567890123457", "999999999999999", "9007199254740991", "118"]
    texts += ["0.30000000000000004", "0.3"]
    columns: dict[str, list[Any]] = {"n": numbers, "to": [f"p{number}@example.com" for number in range(len(numbers))]}
    rows: Any = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if library != "dicts":
        rows = pytest.importorskip(library).DataFrame(columns)
    outbox = Outbox()
    for again in (rows, [{"n": text, "to": to} for text, to in zip(texts, columns["to"], strict=True)]):
        added = outbox.add_all(docmail.merge(again, key="n", to="{{ to }}", subject="x"), batch="b")
    assert added.known == len(texts)
    assert [row.key for row in outbox] == texts


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("kind", "number"),
    [("float64", 2.0**53), ("float32", 2.0**24), ("Float64", 2.0**53), ("Float32", 2.0**24), ("float16", 2.0**11)],
)
def test_a_float_that_may_stand_for_several_numbers_is_no_key(kind: str, number: float) -> None:
    """Also in a narrow column, whose rows no longer say that it was one."""
    pandas = pytest.importorskip("pandas")
    for value in (number, -number, number * 4):
        frame = pandas.DataFrame({"no": pandas.Series([118.0, 119.5, value], dtype=kind)})
        with pytest.raises(BatchError, match="not exact") as caught:
            Outbox().add_all(docmail.merge(frame, key="no", to="a@example.com", subject="x"), batch="b")
        (problem,) = caught.value.problems
        assert (problem.row, problem.field) == (3, "key")
        assert 'dtype={"no": str}' in problem.message


def test_a_narrow_column_of_polars_is_known_as_one() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"no": [2.0**24 - 1, 2.0**24]}, schema={"no": polars.Float32})
    good, bad = docmail.merge(frame, key="no", to="a@example.com", subject="x").drafts()
    assert good.message.key == "16777215"  # type: ignore[union-attr]  # a draft
    assert "not exact" in str(bad.error)  # type: ignore[union-attr]  # a bad row


@pytest.mark.usefixtures("box")
def test_the_keys_of_earlier_versions_are_known() -> None:
    """They wrote some numbers in another way, and two long ones as one."""
    outbox = Outbox()

    def message(key: str, to: str) -> docmail.Message:
        return docmail.Message(to, "x", key=key)

    former = [("118.00", "a@example.com"), ("1.23456789012346e+15", "b@example.com"), ("2.50", "c@example.com")]
    outbox.add_all([message(key, to) for key, to in former], batch="b")
    rows = [
        {"n": Decimal("118.00"), "to": "a@example.com"},
        {"n": 1234567890123456.0, "to": "b@example.com"},
        {"n": 1234567890123457.0, "to": "d@example.com"},
        {"n": 1234567890123455.0, "to": "b@example.com"},
        {"n": Decimal("2.50"), "to": "c@example.com"},
    ]
    added = outbox.add_all(docmail.merge(rows, key="n", to="{{ to }}", subject="x"), batch="b")
    assert (added.known, added.added) == (3, 2)
    assert [row.key for row in outbox][3:] == ["1234567890123457", "1234567890123455"]


def test_columns_whose_names_are_no_texts_can_be_the_key_and_an_index_is_explained() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([[1, "a@example.com"]])
    (message,) = docmail.merge(frame, key=0, to="{{ row['1'] }}", subject="x")
    assert message.key == "1"
    frame.columns = pandas.MultiIndex.from_tuples([("x", "n"), ("x", "to")])
    (message,) = docmail.merge(frame, key=("x", "n"), to="a@example.com", subject="x")
    assert message.key == "1"
    frame = pandas.DataFrame({"n": [1], "to": ["a@example.com"]}).set_index("n")
    with pytest.raises(MessageError, match="reset_index"):
        docmail.merge(frame, key="n", to="{{ to }}", subject="x")


def test_a_name_for_several_documents_of_a_row_is_a_problem() -> None:
    with pytest.raises(MessageError, match="“name” names only one") as caught:
        list(invoices(documents=lambda _row: [PDF, PDF]))
    assert caught.value.field == "name"
    assert next(iter(invoices(documents=lambda _row: [PDF]))).documents[0].name == "Invoice 118.pdf"


def test_a_copy_that_is_missing_may_be_left_out_with_nothing_in_its_place() -> None:
    rows = [{**ROWS[0], "boss": None}]
    with pytest.raises(MessageError, match=r"default\(''\)"):
        list(invoices(rows, cc="{{ boss }}"))
    (message,) = invoices(rows, cc="{{ boss | default('') }}")
    assert message.cc == ()


def test_a_cell_that_holds_too_much_is_the_problem_of_its_row(box: Sandbox) -> None:
    rows = [ROWS[0], {**ROWS[1], "lines": [0] * 10_001}]
    with pytest.raises(BatchError) as caught:
        Outbox().add_all(invoices(rows), batch="november", settings=box.settings)
    assert [(problem.row, problem.field) for problem in caught.value.problems] == [(2, "lines")]


def test_bad_rows_may_be_skipped_and_are_then_in_the_result(box: Sandbox) -> None:
    outbox = Outbox()
    added = outbox.add_all(
        invoices([*ROWS, {"invoice_no": 121, "E-mail": "", "name": "X"}]),
        batch="november",
        settings=box.settings,
        bad_rows="skip",
    )
    assert (added.added, [problem.row for problem in added.problems]) == (3, [4])
    assert repr(added) == "<Added 3 to 'november', 0 known, 1 skipped>"


def test_what_a_function_of_the_user_s_raises_is_the_problem_of_its_row(box: Sandbox) -> None:
    def make(row: Mapping[str, Any]) -> bytes:
        return make_pdf({"invoice_no": 1 // (row["invoice_no"] - 119)})

    with pytest.raises(BatchError, match="ZeroDivisionError"):
        Outbox().add_all(invoices(documents=make), batch="november", settings=box.settings)
    with pytest.raises(BatchError, match="KeyError"):
        Outbox().add_all(invoices(subject=lambda row: row["x"]), batch="november", settings=box.settings)
    with pytest.raises(BatchError, match="The name must be text, not int"):
        Outbox().add_all(invoices(name=lambda row: row["invoice_no"]), batch="november", settings=box.settings)


def test_a_changed_mail_under_a_key_that_was_sent_is_a_problem(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add_all(invoices(), batch="november", settings=box.settings)
    outbox.run(settings=box.settings)
    with pytest.raises(BatchError, match=r"(?s)already \(sent\).*another subject"):
        outbox.add_all(invoices(subject="Reminder {{ invoice_no }}"), batch="november", settings=box.settings)
    assert outbox.run(settings=box.settings) == {"sent": 3}


def test_a_row_that_nobody_got_may_be_corrected_and_added_again(box: Sandbox) -> None:
    outbox = Outbox()
    wrong = [{**ROWS[0], "E-mail": "nobody@example.com"}, *ROWS[1:]]
    outbox.add_all(invoices(wrong), batch="november", settings=box.settings)
    assert outbox.run(settings=box.settings) == {"refused": 1, "sent": 2}
    assert outbox.add_all(invoices(wrong), batch="november", settings=box.settings).added == 0
    added = outbox.add_all(invoices(), batch="november", settings=box.settings)
    assert (added.added, added.known) == (1, 2)
    assert outbox.run(settings=box.settings) == {"sent": 3}
    assert "refused" in states(outbox), "the record stays"
    assert len(box.inbox) == 3


def test_what_waits_can_be_withdrawn_and_added_anew(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add_all(invoices(), batch="november", settings=box.settings)
    assert outbox.withdraw("november") == 3
    assert outbox.retry() == 0
    assert outbox.add_all(invoices(subject="New {{ invoice_no }}"), batch="november", settings=box.settings).added == 3
    assert outbox.run(settings=box.settings) == {"sent": 3}, "what was withdrawn is not among what needs a person"
    assert [mail.subject for mail in box.inbox] == ["New 118", "New 119", "New 120"]


def test_messages_without_a_key_and_what_is_no_message_are_problems(box: Sandbox) -> None:
    things: list[Any] = [docmail.Message("a@example.com", "x"), "a@example.com"]
    with pytest.raises(BatchError) as caught:
        Outbox().add_all(things, batch="november", settings=box.settings)
    assert [problem.field for problem in caught.value.problems] == ["key", None]


@pytest.mark.parametrize("wrong", [{"batch": ""}, {"batch": None}, {"bad_rows": "ignore"}])
def test_a_batch_without_a_name_or_with_an_unknown_wish_is_refused(box: Sandbox, wrong: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        Outbox().add_all(invoices(), **{"batch": "x", "settings": box.settings, **wrong})


def test_an_interrupt_while_documents_are_made_leaves_nothing_behind(box: Sandbox) -> None:
    def make(row: Mapping[str, Any]) -> bytes:
        if row["invoice_no"] == 120:
            raise KeyboardInterrupt
        return make_pdf(row)

    with pytest.raises(KeyboardInterrupt):
        Outbox().add_all(invoices(documents=make), batch="november", settings=box.settings)
    assert len(Outbox()) == 0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"cc": "boss@example.com", "bcc": "audit@example.com"}, None),
        ({"cc": "audit@example.com", "bcc": "boss@example.com"}, "in other places"),
        ({"cc": "boss@example.com"}, "other recipients"),
        (
            {"cc": "boss@example.com", "bcc": "audit@example.com", "reply_to": "a@example.com"},
            "another reply-to address",
        ),
    ],
)
def test_another_role_or_reply_to_is_another_mail(box: Sandbox, changes: dict[str, str], word: str | None) -> None:
    outbox = Outbox()
    copies = {"cc": "boss@example.com", "bcc": "audit@example.com", "reply_to": '"Office, Ä" <OFFICE@example.com>'}
    outbox.add_all(invoices(**copies), batch="b", settings=box.settings)
    again = invoices(**{"reply_to": "office@example.com", **changes})
    if word is None:
        assert outbox.add_all(again, batch="b", settings=box.settings).known == 3
        return
    with pytest.raises(BatchError) as caught:
        outbox.add_all(again, batch="b", settings=box.settings)
    assert word in caught.value.problems[0].message


def contents(outbox: Outbox) -> list[Path]:
    return list((outbox.folder / "spool").iterdir())


def test_a_batch_that_is_refused_leaves_no_documents_behind_but_those_of_other_mails(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add_all(invoices(ROWS[:1]), batch="before", settings=box.settings)
    kept = contents(outbox)
    with pytest.raises(BatchError):
        outbox.add_all(invoices([*ROWS, {**ROWS[2], "E-mail": "x"}]), batch="b", settings=box.settings)
    assert contents(outbox) == kept
    assert outbox.run(settings=box.settings) == {"sent": 1}


def test_a_document_that_another_program_has_just_kept_is_missed_in_a_sentence_and_never_sent_without(
    box: Sandbox,
) -> None:
    """One program keeps its documents; another keeps the same, is refused, and removes them; the first continues."""
    outbox, other = Outbox(), Outbox()

    def messages() -> Iterator[docmail.Message]:
        yield from invoices()
        with pytest.raises(BatchError):
            other.add_all(invoices([*ROWS, ROWS[0]]), batch="other", settings=box.settings)

    with pytest.raises(DocmailError, match="A document vanished from the outbox's folder"):
        outbox.add_all(messages(), batch="b", settings=box.settings)
    assert (len(outbox), contents(outbox)) == (0, [])
    assert outbox.add_all(invoices(), batch="b", settings=box.settings).added == 3
    assert outbox.run(settings=box.settings) == {"sent": 3}


def test_what_another_program_has_written_down_meanwhile_stays(box: Sandbox) -> None:
    outbox = Outbox()

    def messages() -> Iterator[docmail.Message]:
        yield from invoices()
        Outbox().add_all(invoices(), batch="other", settings=box.settings)
        yield docmail.Message("a@example.com", "has no key")

    with pytest.raises(BatchError):
        outbox.add_all(messages(), batch="b", settings=box.settings)
    assert len(contents(outbox)) == 3
    assert outbox.run(settings=box.settings) == {"sent": 3}


def test_the_temporary_folder_of_the_computer_is_not_needed(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    assert Outbox().add_all(invoices(), batch="b", settings=box.settings).added == 3


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_disk_that_is_full_while_a_batch_is_made_is_the_outbox_s_own_sentence(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, buffering: int
) -> None:
    def full(**_options: Any) -> Any:
        return Path("/dev/full").open("wb", buffering=buffering)

    monkeypatch.setattr("docmail.outbox.prepared_mails.TemporaryFile", full)
    monkeypatch.setattr("docmail.outbox.prepared_mails._PORTION", 1)  # the first row goes to the disk
    with pytest.raises(DocmailError, match=r"The outbox in .* cannot be used: No space left"):
        Outbox().add_all(invoices(ROWS[:1]), batch="b", settings=box.settings)


@pytest.mark.parametrize(
    ("messages", "options", "words"),
    [
        (None, {}, "messages, not of NoneType. Make them with"),
        ("rows.csv", {}, "messages, not of str"),
        (docmail.Message("a@example.com", "x", key="1"), {}, "Write add_all"),
        ([], {"executor": 4}, "Write executor=ThreadPoolExecutor"),
        ([], {"batch": ["b"]}, "must be text, not list"),
    ],
)
def test_what_is_no_batch_is_refused_in_a_sentence(
    box: Sandbox, messages: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(MessageError, match=words) as caught:
        Outbox().add_all(messages, **{"batch": "b", "settings": box.settings, **options})
    assert not isinstance(caught.value, BatchError)


def test_blanks_around_the_name_of_a_batch_do_not_count_and_a_list_of_names_is_none(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add_all(invoices(), batch=" november ", settings=box.settings)
    assert len(outbox.preview(batch="november ")) == 3
    assert outbox.withdraw("\tnovember") == 3
    wrong: Any = ["november"]
    for ask in (outbox.run, outbox.preview, outbox.retry):
        with pytest.raises(MessageError, match="must be text, not list"):
            ask(batch=wrong)


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize("number", [-1, None, "3", True])
def test_a_preview_of_no_number_is_refused(number: Any) -> None:
    with pytest.raises(MessageError, match=r"Write preview\(3\)"):
        Outbox().preview(number)


def test_a_closed_outbox_says_that_it_is_closed(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.close()
    with pytest.raises(DocmailError, match=r"This outbox was closed\. Open it again"):
        outbox.add_all(invoices(), batch="b", settings=box.settings)


# --- looking first ----------------------------------------------------------------------------------------------------


def test_a_preview_shows_the_first_mails_as_they_will_arrive(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add_all(invoices(cc="boss@example.com"), batch="november", settings=box.settings)
    preview = outbox.preview(2)
    assert repr(preview) == "<Preview of 2 of 3 waiting mails>"
    first = preview[0]
    outbox.run(settings=box.settings)
    arrived = box.inbox[0]
    assert first.headers["To"] == arrived["To"]
    assert first.headers["Cc"] == arrived["Cc"]
    assert (first.subject, first.text, first.html) == (arrived.subject, arrived.text, arrived.html)
    assert first.attachments == (("Invoice 118.pdf", arrived.attachments[0].size),)
    assert first.recipients == arrived.recipients


def test_a_rehearsal_goes_to_oneself_and_to_nobody_else_and_counts_as_nothing(box: Sandbox) -> None:
    outbox = Outbox()
    settings = replace(box.settings, copy_to="archive@example.com")
    outbox.add_all(invoices(cc="boss@example.com", bcc="spy@example.com"), batch="november", settings=settings)
    run = outbox.run(settings=settings, redirect_to="me@example.com", limit=2)
    assert run == {"queued": 3}
    assert run.rehearsed == 2
    for mail in box.inbox:
        assert mail.recipients == ("me@example.com",)
        assert (mail["To"], mail["Cc"]) == ("me@example.com", None)
        assert mail["X-Docmail-Rehearsal-For"]
    real = {row.message_id for row in outbox}
    assert not real & {mail["Message-ID"] for mail in box.inbox}
    assert outbox.run(settings=settings) == {"sent": 3}


# --- executors --------------------------------------------------------------------------------------------------------


def test_documents_are_made_by_any_executor_in_the_order_of_the_rows(box: Sandbox) -> None:
    rows = [{**ROWS[0], "invoice_no": number} for number in range(100)]
    outbox = Outbox()
    with ThreadPoolExecutor(4) as threads:
        outbox.add_all(invoices(rows), batch="threads", settings=box.settings, executor=threads)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as processes:
        outbox.add_all(invoices(rows), batch="processes", settings=box.settings, executor=processes)
    subjects = [row.subject for row in outbox]
    assert subjects == [f"Invoice {number}" for number in range(100)] * 2


def test_a_document_that_all_rows_share_does_not_travel_to_the_executor_and_is_kept_once(box: Sandbox) -> None:
    outbox, carried = Outbox(), []

    class Noted(ThreadPoolExecutor):
        def submit(self, function: Any, /, *arguments: Any, **keywords: Any) -> Any:
            carried.append(arguments)
            return super().submit(function, *arguments, **keywords)

    terms = docmail.Document.of(PDF, name="terms.pdf")
    with Noted(2) as threads:
        merged = invoices(documents=[terms, make_pdf], name="{{ invoice_no }}.pdf")
        outbox.add_all(merged, batch="b", settings=box.settings, executor=threads)
    assert [row.documents for row in outbox] == [("terms.pdf", f"{number}.pdf") for number in (118, 119, 120)]
    assert len(carried) == 3
    assert not any(terms in parts for parts, *_others in carried)


# What a notebook is to the processes that it starts: a program whose main module nobody can import.
NOTEBOOK = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import docmail
def make_pdf(row):
    return b"%PDF-1.4 %%EOF"
with docmail.Sandbox() as box, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
    messages = docmail.merge([{"n": 1}], key="n", to="a@example.com", subject="x", documents=make_pdf)
    try:
        docmail.Outbox().add_all(messages, batch="b", settings=box.settings, executor=processes)
    except docmail.errors.MessageError as exc:
        print(exc.field, exc)
"""


def test_a_function_that_is_defined_in_a_notebook_is_explained_where_processes_begin_anew() -> None:
    result = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("executor A process of the executor ended")
    assert "%%writefile" in result.stdout


def test_a_function_that_an_executor_cannot_carry_is_explained(box: Sandbox) -> None:
    """As one that is defined in a notebook."""

    def local(row: Mapping[str, Any]) -> bytes:
        return make_pdf(row)

    outbox = Outbox()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as processes:
        with pytest.raises(MessageError, match="write it into a file") as caught:
            outbox.add_all(invoices(documents=local), batch="x", settings=box.settings, executor=processes)
        assert caught.value.field == "executor"
    with pytest.raises(MessageError, match=r"takes no more work.*make a new one"):
        outbox.add_all(invoices(), batch="x", settings=box.settings, executor=processes)
    assert len(outbox) == 0


@pytest.mark.filterwarnings("ignore")  # Dask's own
def test_a_dask_cluster_makes_the_documents_of_a_function_that_only_this_program_has(box: Sandbox) -> None:
    distributed = pytest.importorskip("distributed")
    outbox = Outbox()
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        added = outbox.add_all(
            invoices(documents=lambda row: b"%%PDF-1.4\n%d\n%%%%EOF\n" % row["invoice_no"]),
            batch="dask",
            settings=box.settings,
            executor=client.get_executor(),
        )
    assert added.added == 3
