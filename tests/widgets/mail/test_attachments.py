from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pandas as pd
import polars as pl
import pytest

from docmail.documents import Document
from docmail.message import Message
from docmail.settings import Settings, SmtpServer
from docmail.widgets.mail import notebook_tables
from docmail.widgets.mail.attachments import Attachments, on_the_way

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TABLE = Document.of(b"a,b\n", name="table <1>.csv")
GMAIL = Settings("A <a@gmail.com>", SmtpServer("smtp.gmail.com", username="a@gmail.com"))


def press(view: Attachments, action: str, which: str = "", **values: str) -> None:
    view._handle_custom_msg({"press": action, "id": which, "values": values}, [])


def upload(view: Attachments, name: str, content: bytes) -> None:
    message = {"piece": "1", "name": name, "size": len(content), "at": 0}
    view._handle_custom_msg(message, [memoryview(content)])


def names(view: Attachments) -> list[str]:
    return [document.name for document in view.documents]


def test_files_come_by_upload_and_by_path_and_go_again(tmp_path: Path) -> None:
    changes: list[int] = []
    view = Attachments([TABLE])
    view.changed = lambda: changes.append(len(view.documents))
    assert "table &lt;1&gt;.csv" in view.html
    upload(view, "C:\\fakepath\\notes.txt", b"Notes")
    (tmp_path / "more.csv").write_text("1")
    press(view, "path")
    assert 'data-name="path"' in view.html
    press(view, "add-path", path=f" {tmp_path / 'more.csv'} ")
    assert names(view) == ["table <1>.csv", "notes.txt", "more.csv"]
    assert 'data-name="path"' not in view.html, "it is done"
    press(view, "remove", "0")
    press(view, "remove", "9")
    assert names(view) == ["notes.txt", "more.csv"]
    assert changes == [2, 3, 2]
    press(view, "remove", "0")
    press(view, "remove", "0")
    assert "nothing is attached" in view.html


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [("empty.txt", b"", "is empty"), ("wrong.pdf", b"text", "is not a PDF"), ("..", b"x", "file name")],
)
def test_a_file_that_cannot_be_attached_is_refused_in_a_sentence(name: str, content: bytes, sentence: str) -> None:
    view = Attachments([TABLE])
    upload(view, name, content)
    assert sentence in view.html
    assert names(view) == [TABLE.name]


def test_a_table_of_the_notebook_is_attached_in_the_form_that_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    view = Attachments([])
    assert "+ a table" not in view.html, "there is none"
    names_there = {"sales": pd.DataFrame({"a": [1, 2]}), "_7": pd.DataFrame(), "n": 3, "p": pl.DataFrame()}
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(user_ns=names_there))
    assert list(notebook_tables.tables()) == ["p", "sales"]
    press(view, "table")
    assert '<option value="sales">sales</option>' in view.html
    press(view, "add-table", table="sales", ending=".csv")
    assert 'data-name="table"' not in view.html, "it is done"
    press(view, "add-table", table="sales", ending=".xlsx")
    press(view, "add-table", table="sales", ending="../x")
    assert names(view) == ["sales.csv", "sales.xlsx"]
    assert "sales.xlsx is attached already" in view.html
    assert view.documents[0].read() == b"\xef\xbb\xbfa\n1\n2\n"
    press(view, "add-table", table="n", ending=".csv")
    assert "no table n in this notebook any more" in view.html


def test_a_path_that_is_wrong_stays_to_be_corrected(tmp_path: Path) -> None:
    view = Attachments([])
    press(view, "path")
    press(view, "add-path", path=str(tmp_path / "missing.csv"))
    assert "cannot be read" in view.html
    assert 'data-name="path"' in view.html
    press(view, "add-path", path=" ")
    assert "Give the path of a file" in view.html
    upload(view, "notes.txt", b"Notes")
    assert 'data-name="path"' in view.html, "what is being typed there stays"
    press(view, "path")
    assert 'data-name="path"' not in view.html


def test_a_file_beyond_every_limit_is_refused_by_name() -> None:
    view = Attachments([])
    view._handle_custom_msg({"piece": "1", "name": "film.mp4", "size": 10**9, "at": 0}, [memoryview(b"x")])
    assert "film.mp4 is larger than 60.0 MB" in view.html


def test_files_that_were_dropped_together_are_refused_together_and_the_others_are_taken() -> None:
    view = Attachments([TABLE])
    view._handle_custom_msg({"dropped": True, "folders": ["reports <b>", "x" * 500]}, [])
    upload(view, "empty.txt", b"")
    upload(view, "fdp\u202eexe.txt", b"text")
    upload(view, "x" * 300, b"text")
    upload(view, "notes.txt", b"text")
    view._handle_custom_msg({"unread": "locked.xlsx", "piece": "7"}, [])
    for said in (
        "reports &lt;b&gt; is a folder.",
        "empty.txt is empty",
        "fdp·exe.txt has an invisible character (U+202E)",
    ):
        assert said in view.html
    assert "cannot be the file name" in view.html
    assert "locked.xlsx cannot be read." in view.html
    assert "x" * 200 not in view.html
    assert "\u202e" not in view.html, "it would turn the sentence"
    assert names(view) == [TABLE.name, "notes.txt"]
    view._handle_custom_msg({"dropped": True, "folders": []}, [])
    assert "empty.txt" not in view.html, "that was the drop before"


def test_the_same_file_is_attached_once_and_another_of_its_name_as_well() -> None:
    view = Attachments([])
    for content in (b"one", b"one", b"two"):
        upload(view, "notes.txt", content)
    assert [document.read() for document in view.documents] == [b"one", b"two"]


def test_a_table_is_made_when_it_is_wanted_in_the_form_that_is_chosen() -> None:
    view = Attachments([notebook_tables.Table(pd.DataFrame({"a": [1]}), "sales", ".xlsx")])
    waiting: list[Callable[[], object]] = []
    view.run = waiting.append
    assert view.missing == ["sales.xlsx"]
    assert "is being made" in view.html
    view.make_tables()
    assert names(view) == ["sales.xlsx"]
    press(view, "typed", **{"kind-0": ".csv"})
    assert view.missing == ["sales.csv"]
    waiting.pop()()
    assert names(view) == ["sales.csv"]
    press(view, "typed", **{"kind-0": "../x"})
    assert names(view) == ["sales.csv"]


def test_a_kind_that_is_chosen_while_another_is_being_made_is_the_one_that_is_attached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view = Attachments([notebook_tables.Table(pd.DataFrame({"a": [1]}), "sales", ".xlsx")])
    view.run = lambda _do: None  # something is being done already
    make = notebook_tables.Table.document

    def while_the_other_is_chosen(table: notebook_tables.Table) -> Document:
        if table.ending == ".xlsx":
            press(view, "typed", **{"kind-0": ".csv"})
        return make(table)

    monkeypatch.setattr(notebook_tables.Table, "document", while_the_other_is_chosen)
    view.make_tables()
    assert names(view) == ["sales.csv"]
    assert not view.unmade


def test_a_table_of_which_no_file_can_be_made_says_why_and_another_kind_can_be_chosen() -> None:
    view = Attachments([notebook_tables.Table(pd.DataFrame({"a": ["\x07"]}), "sales", ".xlsx")])
    view.make_tables()
    assert "dm-problem" in view.html
    assert names(view) == []
    assert view.missing == ["sales.xlsx"]
    press(view, "typed", **{"kind-0": ".csv"})
    assert names(view) == ["sales.csv"]


def test_the_size_stands_against_what_the_provider_takes() -> None:
    view = Attachments([Document.of(b"x" * 2_000_000, name="a.bin")])
    assert "about" not in view.html
    view.go_through(GMAIL)
    assert "2.0 MB of about" in view.html
    assert view.too_large == ""
    view.add(Document.of(b"x" * 18_000_000, name="b.bin"))
    assert "b.bin" in view.html
    assert "27.4 MB on the way; Gmail takes about" in view.too_large
    assert "27.4 MB on the way" in view.html
    view.go_through(Settings("A <a@example.com>", SmtpServer("smtp.example.com")))
    assert view.too_large == "", "nobody knows what this one takes"


def test_what_is_said_of_the_way_is_what_a_mail_takes() -> None:
    settings = Settings("A <a@example.com>", SmtpServer("smtp.example.com"))
    for size in (1, 57, 58, 1_000_003):
        document = Document.of(b"x" * size, name="a.bin")
        without = Message("b@example.com", "S", documents=[Document.of(b"x", name="a.bin")]).render(settings).size
        whole = Message("b@example.com", "S", documents=[document]).render(settings).size
        assert abs(on_the_way([size]) - on_the_way([1]) - (whole - without)) <= 80
