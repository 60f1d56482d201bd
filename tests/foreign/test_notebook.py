"""Which notebooks are refused, with the cell that is the reason; which cells are left out."""

from __future__ import annotations

import contextlib
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from docmail.errors import DocumentError
from docmail.foreign import Notebook, Printed, Said, Shown, is_notebook, read_notebook
from tests.foreign.notebooks import failed, printed, ran, said, shown, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "report.ipynb"


def words(pieces: list[Shown]) -> list[str]:
    """Return what the pieces that are text say."""
    return [
        piece.markdown if isinstance(piece, Said) else piece.text
        for piece in pieces
        if hasattr(piece, "markdown") and isinstance(piece, (Said, Printed))
    ]


def refused(path: Path, source: Any = None) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read_notebook(source or path)
    assert caught.value.hint
    assert str(path.parent) not in str(caught.value)
    return caught.value


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_notebook_that_was_never_run_is_refused_with_its_first_cell(path: Path) -> None:
    write(path, said("# Report"), ran("1", count=None), ran("2", count=None))
    assert "has never been run" in refused(path).message
    assert "cell 2 " in refused(path).message


def test_a_cell_that_was_not_run_is_named_as_its_writer_counts_it(path: Path) -> None:
    write(path, ran("1", count=3), said("# Report"), ran("2", count=None), ran("3", count=4))
    assert refused(path).message.startswith("Cell 3 of report.ipynb has not been run")
    assert "docmail-skip" in refused(path).hint


def test_a_failed_cell_is_named_by_its_place_and_its_number(path: Path) -> None:
    write(path, ran("1", count=3), ran("x", failed(), count=4), ran("2", count=None))
    assert refused(path).message == "Cell 2 [4] of report.ipynb failed: NameError: name 'x' is not defined."


def test_a_failure_in_a_cell_that_is_not_shown_is_one_all_the_same(path: Path) -> None:
    write(path, ran("x", failed(), tags=("remove-cell",)), ran("1", count=2))
    assert refused(path).message.startswith("Cell 1 [1] of report.ipynb failed")


def test_what_papermill_says_of_a_failed_cell_is_heard(path: Path) -> None:
    cell = ran("x", count=2)
    cell["metadata"]["papermill"] = {"exception": True, "status": "failed"}
    write(path, ran("1"), cell)
    assert refused(path).message.startswith("Cell 2 [2] of report.ipynb failed")


def test_a_failure_that_is_meant_is_shown_without_its_traceback(path: Path) -> None:
    write(path, ran("1/0", failed("ZeroDivisionError", "division by zero"), tags=("raises-exception",)))
    assert words(read_notebook(path)) == ["ZeroDivisionError: division by zero"]


@pytest.mark.parametrize("language", ["R", "julia", "sql"])
def test_a_notebook_in_another_language_is_refused(path: Path, language: str) -> None:
    kernel = {"kernelspec": {"name": "ir", "language": language, "display_name": "other"}}
    write(path, said("# Report"), ran("1", printed("x")), metadata=kernel)
    assert refused(path).message.startswith(f"report.ipynb is a notebook in {language} (cell 2 [1])")


def test_a_notebook_that_does_not_say_its_language_is_one_in_python(path: Path) -> None:
    write(path, ran("print(1)", printed("1\n")), metadata={})
    assert words(read_notebook(path)) == ["1"]


def test_a_notebook_of_format_3_is_refused(path: Path) -> None:
    old = {"nbformat": 3, "metadata": {}, "worksheets": [{"cells": []}]}
    path.write_text(json.dumps(old), "utf-8")
    assert "has the format 3 of nbformat" in refused(path).message
    assert "save it" in refused(path).hint


def test_a_notebook_of_a_later_format_is_refused(path: Path) -> None:
    write(path, ran("1"), nbformat=5)
    assert "has the format 5 of nbformat" in refused(path).message


def test_a_notebook_with_the_marks_of_a_conflict_is_refused_with_their_line(path: Path) -> None:
    text = json.dumps({"nbformat": 4, "cells": [ran("1")]}, indent=1).split("\n")
    text[3:3] = ["<<<<<<< HEAD", "=======", ">>>>>>> other"]
    path.write_text("\n".join(text), "utf-8")
    assert refused(path).message.endswith("has the marks of a conflict of git in line 4.")


def test_a_notebook_that_was_cut_off_is_refused_with_the_cell(path: Path) -> None:
    write(path, ran("1"), ran("2", count=2))
    text = path.read_text("utf-8")
    path.write_text(text[: text.rindex("outputs")], "utf-8")
    assert "is damaged" in refused(path).message
    assert "in cell 2" in refused(path).message


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The notebook report.ipynb is empty."),
        (b" \n", "The notebook report.ipynb is empty."),
        (b"[1]", "report.ipynb is not a notebook"),
        (b'{"a": 1}', "report.ipynb is not a notebook"),
        (b'{"nbformat": 4, "cells": {}}', "its cells cannot be read"),
        (b'{"nbformat": 4, "cells": [1]}', "Cell 1 of report.ipynb is damaged"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "markdown", "source": "x"}, {}]}', "Cell 2 of report.ipynb is dam"),
        (b"version https://git-lfs.github.com/spec/v1\n", "only a pointer of git-lfs"),
        (b"\xff\xfe\x00", "The notebook report.ipynb is damaged"),
        (b"%PDF-1.4", "The notebook report.ipynb is damaged"),
        (b"[" * 100_000, "The notebook report.ipynb is damaged"),
    ],
)
def test_a_file_that_is_no_notebook_is_refused(path: Path, content: bytes, sentence: str) -> None:
    path.write_bytes(content)
    assert sentence in refused(path).message


def test_a_notebook_that_is_not_there_or_a_folder_is_refused(path: Path) -> None:
    assert "cannot be read: No such file" in refused(path).message
    path.mkdir()
    assert "is not a file" in refused(path).message


@pytest.mark.parametrize("cells", [[], [said("")], [ran("", count=None)], [ran("x = 1")], [said("x", "remove-cell")]])
def test_a_notebook_that_shows_nothing_is_refused(path: Path, cells: list[dict[str, Any]]) -> None:
    write(path, *cells)
    assert "shows nothing" in refused(path).message


# --- what is doubtful -------------------------------------------------------------------------------------------------


def test_cells_that_ran_in_another_order_are_named_in_a_warning(path: Path) -> None:
    write(path, ran("1", printed("one"), count=5), ran("2", printed("two"), count=3))
    with pytest.warns(UserWarning, match=r"cell 2 \[3\] ran before cell 1 \[5\]"):
        assert words(read_notebook(path)) == ["one", "two"]


def test_a_notebook_whose_numbers_were_tidied_away_is_one_that_was_run(path: Path) -> None:
    write(path, ran("1", printed("one"), count=None), ran("x = 2", count=None))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert words(read_notebook(path)) == ["one"]


def test_empty_cells_need_not_have_run(path: Path) -> None:
    write(path, ran("1", printed("one")), ran(" \n", count=None))
    assert words(read_notebook(path)) == ["one"]


# --- cells that are left out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["remove-cell", "remove_cell", "docmail-skip", "Docmail-Skip"])
def test_cells_with_these_tags_are_left_out(path: Path, tag: str) -> None:
    write(path, said("stays"), said("goes", tag), ran("1", printed("goes"), tags=(tag,)), ran("2", printed("2")))
    assert words(read_notebook(path)) == ["stays", "2"]


@pytest.mark.parametrize("tag", ["remove-output", "hide-output", "hide-cell"])
def test_outputs_of_cells_with_these_tags_are_left_out(path: Path, tag: str) -> None:
    write(path, said("stays"), ran("1", printed("goes"), tags=(tag,)))
    assert words(read_notebook(path)) == ["stays"]


def test_a_skipped_cell_need_not_have_run_nor_succeeded(path: Path) -> None:
    write(path, said("a"), ran("x", failed(), tags=("docmail-skip",)), ran("y", count=None, tags=("docmail-skip",)))
    assert words(read_notebook(path)) == ["a"]


def test_code_is_shown_when_it_is_asked_for(path: Path) -> None:
    write(
        path,
        ran("month = 1", tags=("parameters",)),
        ran("month = 2", count=2, tags=("injected-parameters",)),
        ran("hidden", count=3, tags=("remove-input",)),
        ran("folded", printed("out"), count=4, tags=("hide-input",)),
        ran("month", printed("2"), count=5),
    )
    assert words(read_notebook(path)) == ["out", "2"]
    assert words(read_notebook(Notebook(path, code=True))) == ["month = 1", "month = 2", "out", "month", "2"]


@pytest.mark.parametrize(
    "source",
    [
        "docmail.EmailButton(notebook=True)",
        'from docmail import EmailButton\nEmailButton(\n    to="a@example.com",\n    notebook="report.ipynb",\n)',
        "docmail.EmailButton(make(1), notebook=True)",
    ],
)
def test_the_cell_with_the_button_of_the_notebook_itself_is_left_out(path: Path, source: str) -> None:
    write(path, said("a"), ran("1", printed("1")), ran(source, shown(plain="<EmailButton>"), count=None))
    assert words(read_notebook(Notebook(path, code=True))) == ["a", "1", "1"]


def test_raw_cells_and_cells_of_other_kinds_are_left_out(path: Path) -> None:
    """An empty raw cell stops nbconvert (jupyter/nbconvert#2072)."""
    raw = {"cell_type": "raw", "metadata": {}, "source": ""}
    write(path, said("a"), raw, {**raw, "source": "<b>x</b>"}, {"cell_type": "heading", "source": "old", "level": 1})
    assert words(read_notebook(path)) == ["a"]


@pytest.mark.parametrize("source", ["%md\n# Sales", "%md # Sales", "\n%md-sandbox\n# Sales", ["%md\n", "# Sales"]])
def test_markdown_that_databricks_keeps_as_code_is_markdown(path: Path, source: Any) -> None:
    write(path, ran(source, count=None), ran("1", printed("1")), ran("%mdx", printed("2"), count=2))
    assert words(read_notebook(Notebook(path, code=True))) == ["# Sales", "1", "1", "%mdx", "2"]


# --- files as programs write them -------------------------------------------------------------------------------------


def test_what_is_missing_or_of_another_type_is_empty(path: Path) -> None:
    """Outputs without metadata (ipython/ipython#5187), or with a list of it; widgets without their state."""
    bare = shown(plain="one")
    del bare["metadata"]
    cells = [
        {
            "cell_type": "code",
            "source": ["a\n", "b"],
            "execution_count": 1,
            "outputs": [bare, {**bare, "metadata": []}],
        },
        {"cell_type": "code", "source": "c", "execution_count": 2, "outputs": None, "metadata": None},
        {"cell_type": "code", "source": "d", "execution_count": "3", "outputs": [7, {"output_type": "odd"}]},
        {"cell_type": "markdown"},
        {"cell_type": "markdown", "metadata": {"tags": "remove-cell"}, "source": "text", "attachments": None},
    ]
    path.write_text(json.dumps({"nbformat": 4, "cells": cells[:2] + cells[3:]}), "utf-8")
    assert words(read_notebook(path)) == ["one", "one", "text"]


def test_a_file_may_begin_with_a_byte_order_mark(path: Path) -> None:
    write(path, said("Köln"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert words(read_notebook(path)) == ["Köln"]


def test_half_characters_and_invisible_ones_do_not_travel(path: Path) -> None:
    write(path, said("a\ud800b\x07c"), ran("1", printed("d\x00e\udcffl")))
    assert words(read_notebook(path)) == ["a?bc", "de?l"]


def test_only_a_path_of_a_notebook_is_one(path: Path) -> None:
    assert is_notebook(path)
    assert is_notebook(path.with_suffix(".IPYNB"))
    assert is_notebook(Notebook(path))
    assert not is_notebook("report.ipynb")
    assert not is_notebook(path.with_suffix(".pdf"))
    with pytest.raises(DocumentError, match="must be a Path, not str"):
        Notebook("report.ipynb")  # type: ignore[arg-type]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.fixed_dictionaries(
            {"cell_type": st.sampled_from(["code", "markdown", "raw"])},
            optional={
                "source": _JSON,
                "metadata": _JSON,
                "attachments": _JSON,
                "execution_count": _JSON,
                "outputs": st.lists(
                    st.fixed_dictionaries(
                        {"output_type": st.sampled_from(["display_data", "stream", "execute_result"])},
                        optional={
                            "text": _JSON,
                            "data": st.dictionaries(
                                st.sampled_from(
                                    ["text/html", "image/png", "image/svg+xml", "text/plain", "text/latex"]
                                ),
                                _JSON,
                                max_size=2,
                            ),
                            "metadata": _JSON,
                        },
                    ),
                    max_size=2,
                ),
            },
        ),
        max_size=3,
    )
)
def test_whatever_json_a_notebook_is_it_is_read_or_refused(cells: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "report.ipynb"
        file.write_text(json.dumps({"nbformat": 4, "cells": cells}), "utf-8")
        with contextlib.suppress(DocumentError):
            read_notebook(file)
