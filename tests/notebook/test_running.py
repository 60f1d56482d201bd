"""A notebook is executed in a copy and mailed once; what fails is said without secrets, and leaves nothing running."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import docmail
from docmail import home as homes
from docmail.errors import AddressError, CredentialError, MessageError, NotebookError, OutcomeUnknown
from docmail.notebook import Job, Outcome, Skip, run
from docmail.sandbox import SANDBOX_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docmail.sandbox import Sandbox

pytestmark = pytest.mark.timeout(240)

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}


def written(path: Path, *cells: Any, **metadata: Any) -> Path:
    """Write a notebook of these cells: code, or cells; the first text that begins with "#" is Markdown."""
    made = [
        each if not isinstance(each, str) else new_markdown_cell(each) if each.startswith("# ") else new_code_cell(each)
        for each in cells
    ]
    path.write_text(json.dumps({**new_notebook(cells=made), "metadata": KERNEL | metadata}), "utf-8")
    return path


def tagged(source: str, *tags: str) -> Any:
    return new_code_cell(source, metadata={"tags": list(tags)})


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with docmail.Sandbox() as sandbox:
        sandbox.settings.save()
        yield sandbox


def command(notebook: Path, *options: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "docmail", "notebook", "run", str(notebook), *options]


def test_what_a_notebook_shows_is_mailed_once_with_its_parameters_and_variables(box: Sandbox, tmp_path: Path) -> None:
    """And its own file stays as it is, beside which a picture of its Markdown lies."""
    from PIL import Image

    Image.new("RGB", (4, 4), "red").save(tmp_path / "logo.png")
    path = written(
        tmp_path / "Monday {report}.ipynb",
        "# Sales\n\n![Logo](logo.png)",
        tagged("month = '2026-10'\naccount = None", "parameters"),
        "import datetime as dt, os\ntotal = 1234.5\nlast = dt.date(2026, 11, 30)",
        "print('of', month, repr(account), os.path.basename(os.getcwd()))",
        "__import__('IPython').display.HTML('<table><tr><th>a</th></tr><tr><td>77</td></tr></table>')",
        "raise ValueError('expected')",
    )
    content = json.loads(path.read_text("utf-8"))
    content["cells"][-1]["metadata"]["tags"] = ["raises-exception", "remove-output"]
    path.write_text(json.dumps(content), "utf-8")
    before = path.read_bytes()
    told: dict[str, Any] = {
        "to": "cfo@example.com",
        "cc": "b@example.com",
        "subject": "Sales {{ month }}: {{ total }} to {{ last }}",
        "parameters": {"month": "2026-11", "account": "007"},
        "key": "sales {{ month }}",
    }
    first = run(path, **told)
    assert (first.outcome, first.skipped, path.read_bytes()) == (Outcome.SENT, None, before)
    mail = box.inbox[0]
    assert mail.subject == "Sales 2026-11: 1234.5 to 2026-11-30"
    assert mail.recipients == ("cfo@example.com", "b@example.com")
    assert f"of 2026-11 '007' {tmp_path.name}" in mail.text
    assert "77" in mail.html
    assert "total =" not in mail.text
    assert "<img" in mail.html
    assert first.executed is not None
    assert (first.executed.name, first.executed.stat().st_mode & 0o777) == (path.name, 0o600)
    again = run(path, **told)
    assert (again.outcome, again.executed, len(box.inbox)) == (Outcome.SENT_BEFORE, None, 1)
    with pytest.raises(MessageError, match="other recipients"):
        run(path, **{**told, "to": "other@example.com"})


def test_of_two_runs_with_other_parameters_each_mails_what_it_has_executed(
    box: Sandbox, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = saved(box, home)
    path = written(tmp_path / "report.ipynb", tagged("region = 'none'", "parameters"), "print('for', region)")
    made, others = Job._made, []

    def while_another_ends(job: Job, *execution: Any) -> Any:
        options = ("--to", "south@example.com", "--subject", "South", "-p", "region", "South")
        others.append(subprocess.Popen(command(path, *options), env=env, stdout=subprocess.DEVNULL))
        with suppress(subprocess.TimeoutExpired):
            others[0].wait(timeout=8)  # as far as it comes
        return made(job, *execution)

    monkeypatch.setattr(Job, "_made", while_another_ends)
    run(path, to="north@example.com", subject="North", parameters={"region": "North"})
    assert others[0].wait(timeout=60) == 0
    assert {mail.subject: f"for {mail.subject}" in mail.text for mail in box.inbox} == {"North": True, "South": True}


def test_a_notebook_is_attached_as_a_document(box: Sandbox, tmp_path: Path) -> None:
    path = written(tmp_path / "report.ipynb", "# Sales", "print('of November')")
    run(path, to="cfo@example.com", subject="Sales", sent_as="pdf")
    assert [(each.name, each.pages) for each in box.inbox[0].attachments] == [("report.pdf", 1)]


def test_a_cell_that_raises_skip_sends_nothing_and_is_no_failure(box: Sandbox, tmp_path: Path) -> None:
    skip = "import docmail\nraise docmail.notebook.Skip('nothing new')"
    result = run(written(tmp_path / "a.ipynb", skip), to="a@example.com", subject="S", on_error="b@example.com", key=1)
    assert (result.outcome, result.skipped, len(box.inbox)) == (Outcome.NOTHING, "nothing new", 0)


@pytest.mark.parametrize("magic", ["%%capture", "%%time", "%run skip.py", "tag"])
def test_skip_is_heard_also_where_the_kernel_reports_success(magic: str, box: Sandbox, tmp_path: Path) -> None:
    """A magic shows the error and goes on; a cell that may fail does so, too."""
    code = "import docmail\nraise docmail.notebook.Skip('nothing new')"
    (tmp_path / "skip.py").write_text(code)
    cell = tagged(code, "raises-exception") if magic == "tag" else f"{magic}\n{code if '%%' in magic else ''}"
    path = written(tmp_path / "a.ipynb", cell, "open('went on', 'w')")
    result = run(path, to="a@example.com", subject="S")
    assert (result.outcome, result.skipped, len(box.inbox)) == (Outcome.NOTHING, "nothing new", 0)
    assert not (tmp_path / "went on").exists()


def test_parameters_are_written_as_papermill_does_or_refused(box: Sandbox, tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.ipynb", tagged("day = count = regions = None", "parameters"), "print(day, count, regions)"
    )
    given = {"day": dt.date(2026, 11, 30), "count": np.int64(3), "regions": ("north", np.float64(0.5))}
    run(path, to="a@example.com", subject="{{ day }}", parameters=given)
    assert (box.inbox[0].subject, box.inbox[0].text.split()) == ("2026-11-30", ["2026-11-30", "3", "['north',", "0.5]"])
    with pytest.raises(MessageError, match="day cannot be a object"):
        run(path, to="a@example.com", subject="S", parameters={"day": object()})


def test_a_file_with_parts_missing_or_of_another_type_is_executed(box: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "Report.IPYNB"
    cell = {"cell_type": "code", "source": "print('ran')", "metadata": {"tags": None}}
    bare = {"cell_type": "code", "source": ["print(", "'too')"]}
    path.write_text(json.dumps({"nbformat": 4, "metadata": {"kernelspec": "python3"}, "cells": [cell, bare]}))
    run(path, to="a@example.com", subject="S")
    assert box.inbox[0].text.split() == ["ran", "too"]


def test_a_cell_that_asks_somebody_is_a_failure_that_says_what_to_do(box: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match="Cell 1 of") as caught:
        run(written(tmp_path / "a.ipynb", "input('month? ')"), to="a@example.com", subject="S")
    assert ("make a parameter" in caught.value.hint, len(box.inbox)) == (True, 0)


def test_a_class_of_somebody_elses_called_skip_is_a_failure(box: Sandbox, tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", "class Skip(Exception): pass\nraise Skip('docmail.notebook.Skip: no')")
    with pytest.raises(NotebookError, match="Cell 1 of"):
        run(path, to="a@example.com", subject="S")
    assert len(box.inbox) == 0


def test_a_failed_cell_is_reported_in_one_mail_without_secrets_or_recipients(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCMAIL_PASSWORD", "correct horse battery")
    monkeypatch.setenv("WAREHOUSE_TOKEN", "xyzzy-plugh")
    path = written(
        tmp_path / "report.ipynb",
        "# Sales",
        tagged("month = 1", "parameters"),
        "import os\nprint('loading', os.environ['WAREHOUSE_TOKEN'], 'for cfo@example.com')",
        "#the rate\n\nraise KeyError('no rate; postgresql://ann:hunter2@db/x ' + os.environ['DOCMAIL_PASSWORD'])",
    )
    told: dict[str, Any] = {"to": "cfo@example.com", "subject": "S", "parameters": {"month": 2}, "key": "k"}
    with pytest.raises(NotebookError) as caught:
        run(path, on_error="admin@example.com", **told)
    error = caught.value
    assert (error.cell, error.source.startswith("raise KeyError")) == (4, True)
    assert [mail.recipients for mail in box.inbox] == [("admin@example.com",)]
    mail = box.inbox[0]
    assert mail.subject == "report.ipynb failed"
    for words in ("Cell 4 of report.ipynb failed.", "KeyError", "no rate", "loading"):
        assert words in mail.text
    for secret in ("correct horse", "xyzzy", "hunter2", "cfo@"):
        assert secret not in mail.text + mail.html + str(vars(error)), secret
    # What failed has used up no key, and its executed copy is kept.
    (copy,) = (box.settings.recorded_in.outbox / "notebooks").glob("*/report.ipynb")
    assert "KeyError" in copy.read_text("utf-8")


def alive(mark: str) -> list[int]:
    return [process.pid for process in psutil.process_iter() if mark in " ".join(_words(process))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return [] if process.status() == psutil.STATUS_ZOMBIE else list(process.cmdline())
    except psutil.Error:
        return []


def test_an_endless_notebook_is_ended_with_all_that_it_has_started(box: Sandbox, tmp_path: Path) -> None:
    mark = f"docmail-{os.getpid()}-{time.time_ns()}"
    child = f"[sys.executable, '-c', 'import time; time.sleep(600) # {mark}']"
    path = written(
        tmp_path / "a.ipynb",
        f"import subprocess, sys\nsubprocess.Popen({child})\nsubprocess.Popen({child}, start_new_session=True)",
        "print('waits')\nwhile True:\n    try:\n        import time; time.sleep(1)\n    except KeyboardInterrupt: pass",
    )
    with pytest.raises(NotebookError, match="cell 2 was still running") as caught:
        run(path, to="a@example.com", subject="S", timeout=8)
    assert caught.value.output == "waits"
    psutil.wait_procs([psutil.Process(pid) for pid in alive(mark) if psutil.pid_exists(pid)], timeout=10)
    assert (alive(mark), len(box.inbox)) == ([], 0)


def test_a_kernel_that_is_killed_is_a_sentence(box: Sandbox, tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", "x = 1", "import os\nos.kill(os.getpid(), 9)")
    with pytest.raises(NotebookError, match=r"ended while cell 2 was running.*memory was full"):
        run(path, to="a@example.com", subject="S")
    assert len(box.inbox) == 0


def test_a_notebook_that_shows_without_end_is_ended(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docmail.notebook import execution

    monkeypatch.setattr(execution, "_MOST_SHOWN", 1_000_000)
    path = written(tmp_path / "a.ipynb", "while True: print('x' * 10_000)")
    with pytest.raises(NotebookError, match="showed more than 1 MB"):
        run(path, to="a@example.com", subject="S")
    assert len(box.inbox) == 0


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("cells", "metadata", "sentence"),
    [
        ((), {}, "is empty"),
        (("",), {}, "is empty"),
        (("x = 1",), {"kernelspec": {"name": "ir", "language": "R"}}, "is in R"),
        (("x = 1",), {"kernelspec": {"name": "gone-env", "language": "python"}}, "no kernel called “gone-env”"),
        (("x = 1",), {}, "shows nothing"),
    ],
)
def test_a_notebook_that_cannot_be_executed_or_shows_nothing_is_a_sentence(
    cells: tuple[str, ...], metadata: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(NotebookError, match=sentence):
        run(written(tmp_path / "a.ipynb", *cells, **metadata), to="a@example.com", subject="S")


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"to": "nobody"}, "to", "nobody"),
        ({"parameters": {"mnth": 1}}, "parameters", "no parameter mnth.*sets: month, year"),
        ({"subject": "{{ totl }}"}, "subject", r"“totl”, which a.ipynb does not have\. It has: today, month, year\."),
        ({"subject": "{{ month"}, "subject", "template"),
        ({"key": "{{ total }}"}, "key", "total"),
        ({"timeout": 0}, "timeout", "number of seconds"),
        ({"sent_as": "docx"}, "sent_as", "docx"),
    ],
)
def test_a_wrong_call_is_said_before_anything_is_executed(
    change: dict[str, Any], field: str, sentence: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.ipynb", tagged("month: str = 1\n%time\nyear = 2", "parameters"), "open('ran', 'w')")
    with pytest.raises(MessageError, match=sentence) as caught:
        run(path, **{"to": "a@example.com", "subject": "S", **change})
    assert caught.value.field == field
    assert isinstance(caught.value, AddressError) or not isinstance(caught.value, NotebookError)
    assert not (tmp_path / "ran").exists()


def test_a_notebook_that_a_notebook_executes_is_itself_and_not_the_other(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button of the one would otherwise send the other: a kernel inherits the environment of the first."""
    monkeypatch.setenv("JPY_SESSION_NAME", str(written(tmp_path / "outer.ipynb", "1")))
    path = written(tmp_path / "inner.ipynb", "import docmail\nb = docmail.EmailButton(None, notebook=True)", "print(b)")
    run(path, to="a@example.com", subject="S")
    assert "<EmailButton inner.ipynb>" in box.inbox[0].text


def test_a_name_of_the_subject_that_is_not_there_after_all_says_which_names_are(box: Sandbox, tmp_path: Path) -> None:
    """Code that gives a name a value only in some month passes every check before it runs."""
    cell = "total = _hidden = 5\nif total > 7:\n    month = 3"
    for path, call in (
        (
            written(tmp_path / "a.ipynb", cell),
            'To give it with each call (parameters={"month": ...}), set it in a cell',
        ),
        (
            written(tmp_path / "b.ipynb", tagged("region = 1", "parameters"), cell),
            "each call can give it: parameters={",
        ),
    ):
        with pytest.raises(MessageError) as caught:
            run(path, to="a@example.com", subject="Sales {{ month }}")
        assert f"“month”, which {path.name} does not have when all its cells have run" in caught.value.message
        assert caught.value.field == "subject"
        assert call in caught.value.hint
        assert "today" in caught.value.hint
        assert "total" in caught.value.hint
        assert "_hidden" not in caught.value.hint
    assert not box.inbox
    run(
        written(tmp_path / "c.ipynb", f"{cell}\ntotal"),
        to="a@example.com",
        subject="Sales {{ month | default('none') }}",
    )
    assert box.inbox[0].subject == "Sales none"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "damaged"),
        (b'{"nbformat": 3, "worksheets": []}', "format 3"),
        (b'{"nbformat": 4, "cells": [{"cell_type": 1}], "metadata": {}}', "damaged"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_notebook_is_a_sentence(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MessageError, match=sentence):
        run(path, to="a@example.com", subject="S")


def test_a_missing_password_is_said_before_the_notebook_is_executed(box: Sandbox, tmp_path: Path) -> None:
    server = replace(box.settings.server, username="other@example.com")
    settings = replace(box.settings, server=server, home=homes.user_home())
    path = written(tmp_path / "a.ipynb", "open('ran', 'w')")
    with pytest.raises(CredentialError) as caught:
        run(path, to="a@example.com", subject="S", settings=settings, on_error="b@example.com")
    assert not (tmp_path / "ran").exists()
    assert "could not be sent" in caught.value.__notes__[0]


# --- killed at every step, and two at once ----------------------------------------------------------------------------


def saved(box: Sandbox, home: Path) -> dict[str, str]:
    """Save the box's settings as the user's own, and return the environment of a program that uses them."""
    replace(box.settings, home=homes.user_home()).save()
    return os.environ | {"DOCMAIL_HOME": str(home / "docmail"), "DOCMAIL_PASSWORD": SANDBOX_PASSWORD}


def test_two_runners_at_once_execute_and_send_once(box: Sandbox, home: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", "with open('ran', 'a') as log: log.write('x')\nprint('shown')")
    env = saved(box, home)
    call = command(path, "--to", "a@example.com", "--subject", "S", "--key", "k")
    both = [
        subprocess.Popen(call, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _each in range(2)
    ]
    said = sorted("".join(each.communicate(timeout=120)) for each in both)
    assert [each.returncode for each in both] == [0, 0], said
    assert ["sent before" in text for text in said].count(True) == 1, said
    assert (len(box.inbox), (tmp_path / "ran").read_text()) == (1, "x")


def test_a_runner_killed_while_it_executes_leaves_no_kernel_and_the_next_one_sends_once(
    box: Sandbox, home: Path, tmp_path: Path
) -> None:
    path = written(
        tmp_path / "a.ipynb",
        "import os, time\nfirst = not os.path.exists('pid')\nwith open('new', 'w') as f: f.write(str(os.getpid()))\n"
        "os.replace('new', 'pid')\nprint('shown')\nif first: time.sleep(600)",
    )
    env = saved(box, home)
    call = command(path, "--to", "a@example.com", "--subject", "S", "--key", "k")
    for ending in (signal.SIGKILL, signal.SIGTERM):
        (tmp_path / "pid").unlink(missing_ok=True)
        process = subprocess.Popen(call, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        kernel = _kernel(tmp_path / "pid", process)
        process.send_signal(ending)
        out, err = process.communicate(timeout=60)
        # The kernel looks every second whether its parent is there.
        psutil.wait_procs([kernel], timeout=20)
        assert not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE, ending
        assert len(box.inbox) == 0
    assert (process.returncode, err, "stopped" in out) == (130, "", True)
    done = subprocess.run(call, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, len(box.inbox)) == (0, "", 1), done.stdout


def _kernel(file: Path, process: subprocess.Popen[str]) -> psutil.Process:
    """Return the kernel, once its cell runs."""
    end = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return psutil.Process(int(file.read_text()))


def test_a_mail_that_may_have_arrived_is_not_made_again(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the last byte: the outcome is unknown, and a person decides."""
    path = written(tmp_path / "a.ipynb", "print('shown')")
    box.drop("end", times=1)
    with pytest.raises(OutcomeUnknown):
        run(path, to="a@example.com", subject="S", key="k")
    monkeypatch.setattr("docmail.notebook.execution.execute", None)  # it would be an error to execute
    with pytest.raises(OutcomeUnknown, match="may have arrived"):
        run(path, to="a@example.com", subject="S", key="k")


def test_an_interrupt_between_executing_and_sending_loses_nothing(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: Any, **_options: Any) -> Any:
        raise KeyboardInterrupt

    path = written(tmp_path / "a.ipynb", "print('shown')")
    with monkeypatch.context() as patch:
        patch.setattr("docmail.notebook.running.deliver", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(path, to="a@example.com", subject="S", key="k")
    assert run(path, to="a@example.com", subject="S", key="k").outcome is Outcome.SENT
    assert len(box.inbox) == 1


def test_skip_is_an_exception_that_a_person_can_raise_and_read() -> None:
    with pytest.raises(Skip, match="nothing new"):
        raise docmail.notebook.Skip("nothing new")  # noqa: EM101, TRY003 - as a person writes it
