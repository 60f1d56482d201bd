"""The Email button for a notebook: finds its file, says from when it is, and sends it as what is chosen."""

from __future__ import annotations

import os
import sys
import time
import types
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from docmail.errors import DocumentError
from docmail.widgets import EmailButton
from docmail.widgets.mail import open_notebook
from docmail.widgets.mail.form import MailForm
from docmail.widgets.mail.open_notebook import OpenNotebook, find_notebook
from tests.foreign.notebooks import failed, printed, ran, said, write
from tests.widgets.press import finish, press

if TYPE_CHECKING:
    from pathlib import Path

    import docmail

BUTTON = "docmail.EmailButton(notebook=True)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(
        tmp_path / "monday_report.ipynb",
        said("# Sales"),
        ran("total", printed("1234"), count=1),
        ran(BUTTON, count=None),
    )


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand a shell in for that of a kernel: its names, and the code of the cells that ran."""
    registered: list[Any] = []
    shell = SimpleNamespace(
        user_ns={},
        history_manager=SimpleNamespace(input_hist_raw=["", "total", BUTTON]),
        events=SimpleNamespace(register=lambda name, do: registered.append((name, do))),
        registered=registered,
    )
    monkeypatch.setattr(open_notebook, "_shell", lambda: shell)
    monkeypatch.setattr(open_notebook, "_ran_at", 0.0)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return shell


def opened(box: docmail.Sandbox, path: Path, **given: Any) -> MailForm:
    box.settings.save()
    button = EmailButton(notebook=path, to="cfo@example.com", **given)
    button.toggle()
    form = button.mail_form
    assert isinstance(form, MailForm)
    finish(form)
    assert form.notebook is not None
    return form


def row(form: MailForm) -> str:
    assert form.notebook is not None
    return str(form.notebook.html)


# --- which file -------------------------------------------------------------------------------------------------------


def test_jupyters_server_says_which_file_it_is(path: Path, shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert find_notebook(named=True).path == path
    assert shell.registered[0][0] == "post_run_cell"


@pytest.mark.parametrize("name", ["__vsc_ipynb_file__", "__session__"])
def test_vs_code_and_the_kernel_say_it_by_a_name(path: Path, shell: Any, name: str) -> None:
    shell.user_ns[name] = str(path)
    assert find_notebook(named=True).path == path


def test_a_notebook_that_was_renamed_is_asked_for(path: Path, shell: Any) -> None:
    shell.user_ns["__session__"] = str(path.with_name("old name.ipynb"))
    with pytest.raises(
        DocumentError, match=r"no file old name\.ipynb: .* not been saved yet, or was renamed"
    ) as caught:
        find_notebook(named=True)
    assert 'notebook="report.ipynb"' in caught.value.hint


@pytest.mark.usefixtures("shell")
def test_a_notebook_can_be_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    assert find_notebook(path.name).path == path
    assert find_notebook(path).path == path
    with pytest.raises(DocumentError, match=r"no notebook other\.ipynb in the folder"):
        find_notebook("other.ipynb")
    with pytest.raises(DocumentError, match="must be True or a path, not int"):
        find_notebook(3)


@pytest.mark.usefixtures("shell")
def test_where_nothing_says_it_the_button_says_how_to_name_it_and_stops_no_notebook() -> None:
    button = EmailButton(notebook=True)
    [problem] = button.panel.children
    assert "Nothing here says which file" in problem.value
    assert "notebook=&#34;report.ipynb&#34;" in problem.value
    assert button.bar.actions == []
    with pytest.raises(DocumentError, match="Nothing here says"):
        _ = button.document


@pytest.mark.usefixtures("shell")
def test_in_colab_it_says_how_to_reach_the_file_in_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("google", "google.colab"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    [problem] = EmailButton(notebook=True).panel.children
    assert "In Colab the notebook is in Google Drive" in problem.value
    assert "drive.mount" in problem.value
    assert "notebook=&#34;/content/drive/MyDrive/" in problem.value


def test_under_papermill_the_cell_says_how_to_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    papermill = pytest.importorskip("papermill")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    source = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("import docmail\ndocmail.EmailButton(notebook=True)"),
            nbformat.v4.new_code_cell("docmail.EmailButton(notebook='report.ipynb')"),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(source, tmp_path / "report.ipynb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # papermill's and nbclient's own
        done = papermill.execute_notebook(
            str(tmp_path / "report.ipynb"), str(tmp_path / "done.ipynb"), cwd=str(tmp_path), progress_bar=False
        )
    unknown, named = (cell.outputs[0].data["text/html"] for cell in done.cells)
    assert "Nothing here says which file this notebook is in." in unknown
    assert "docmail.EmailButton(notebook=" in unknown
    assert "Run this cell to email report.ipynb." in named


# --- from when it is --------------------------------------------------------------------------------------------------


def test_a_cell_that_ran_after_the_file_was_saved_is_named(path: Path, shell: Any) -> None:
    find_notebook(path)
    notebook = OpenNotebook(path)
    assert notebook.not_saved() == ""
    os.utime(path, (time.time() - 600,) * 2)
    assert notebook.not_saved() == ""  # what ran is in it
    shell.history_manager.input_hist_raw += ["total + 1"]
    assert notebook.not_saved().startswith("Save the notebook first (Ctrl+S): the cell [3] ran after monday_report")
    os.utime(path, (time.time() + 1,) * 2)
    assert notebook.not_saved() == ""  # a cell that was deleted again


def test_a_cell_that_ran_again_is_one_that_ran(path: Path, shell: Any) -> None:
    find_notebook(path)
    os.utime(path, (time.time() - 600,) * 2)
    shell.history_manager.input_hist_raw[1] = "total * 2"
    assert "the cell [1] ran after" in OpenNotebook(path).not_saved()


# --- as what it is sent -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("shell")
def test_it_is_sent_as_the_text_of_the_mail_below_what_was_written(path: Path, box: docmail.Sandbox) -> None:
    form = opened(box, path)
    assert form.fields["subject"].value == "monday report"
    assert "monday_report.ipynb" in row(form)
    assert "saved today" in row(form)
    assert "1234" in form.preview.mail.html
    press(form, "send", to="cfo@example.com", subject="Sales", body="Dear all,", copy=False, cc="", bcc="")
    [mail] = box.inbox
    assert "Dear all," in mail.text
    assert "1234" in mail.text
    assert "EmailButton" not in mail.text
    assert mail.attachments == ()


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize("kind", ["pdf", "html"])
def test_it_is_sent_as_a_document(path: Path, box: docmail.Sandbox, kind: str) -> None:
    form = opened(box, path)
    assert form.notebook is not None
    form.notebook._press("typed", "", {"sent-as": kind})
    finish(form)
    press(form, "send", to="cfo@example.com", subject="Sales", body="Attached.", copy=False, cc="", bcc="")
    [mail] = box.inbox
    assert "1234" not in mail.text
    assert [each.name for each in mail.attachments] == [f"monday_report.{kind}"]


@pytest.mark.usefixtures("shell")
def test_a_name_says_as_what(path: Path, box: docmail.Sandbox) -> None:
    form = opened(box, path, name="Report.pdf")
    assert form.notebook is not None
    assert [document.name for document in form.notebook.documents] == ["Report.pdf"]


def test_a_failed_notebook_is_not_sent_until_it_is_saved_again(path: Path, box: docmail.Sandbox, shell: Any) -> None:
    del shell
    write(path, ran("x", failed(), count=3))
    form = opened(box, path)
    assert "Cell 1 [3] of monday_report.ipynb failed" in row(form)
    values: dict[str, Any] = {
        "to": "cfo@example.com",
        "subject": "Sales",
        "body": "",
        "copy": False,
        "cc": "",
        "bcc": "",
    }
    press(form, "send", **values)
    assert not len(box.inbox)
    write(path, ran("x", printed("mended"), count=4))
    press(form, "send", **values)
    assert "failed" not in row(form)
    assert "mended" in box.inbox[0].text


def test_what_is_not_saved_is_asked_about_first(path: Path, box: docmail.Sandbox, shell: Any) -> None:
    os.utime(path, (time.time() - 600,) * 2)
    shell.history_manager.input_hist_raw += ["total + 1"]
    form = opened(box, path)
    assert "Save the notebook first" in row(form)
    values: dict[str, Any] = {
        "to": "cfo@example.com",
        "subject": "Sales",
        "body": "",
        "copy": False,
        "cc": "",
        "bcc": "",
    }
    press(form, "send", **values)
    assert "Save the notebook first" in str(form.report.value)
    assert not len(box.inbox)
    press(form, "send-anyway", **values)
    assert len(box.inbox) == 1
