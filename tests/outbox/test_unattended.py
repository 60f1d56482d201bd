"""Where nobody sees a notebook, its batch is sent, or its execution fails; nothing waits for a press of a button."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import start_new_kernel

import docmail
from docmail import credentials
from docmail import home as homes
from docmail.errors import CredentialError, Deferred, MessageError, OutcomeUnknown, Refused, SettingsError
from docmail.outbox import Outbox
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.widgets import EmailButton
from docmail.widgets.outbox import run_view
from tests.support.jupyter import environment, write_notebook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_client.blocking.client import BlockingKernelClient

    from docmail.sandbox import Sandbox

pytestmark = pytest.mark.timeout(300)

PROGRAMS = {
    "nbconvert": ["-m", "nbconvert", "--execute", "--to", "notebook", "in.ipynb", "--output", "out.ipynb"],
    "papermill": ["-m", "papermill", "in.ipynb", "out.ipynb"],
    "jupyter execute": ["-m", "jupyter", "execute", "in.ipynb"],
    "nbval": ["-m", "pytest", "-p", "no:cacheprovider", "--nbval-lax", "in.ipynb"],
}

ADD = """\
import docmail
outbox = docmail.Outbox()
messages = [docmail.Message(f"c{each}@example.com", f"No. {each}", key=str(each)) for each in range(25)]
outbox.add_all(messages, batch="b")"""

RUN = """outbox.run(batch="b")"""


@pytest.fixture
def saved(box: Sandbox) -> docmail.Settings:
    """Return settings that a scheduled notebook finds saved; the mail goes into the box."""
    settings = replace(box.settings, home=homes.user_home())
    settings.save()
    return settings


def executed(program: str, home: Path, *cells: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Execute a notebook with these cells as a scheduler does."""
    write_notebook(home / "work" / "in.ipynb", *cells)
    known = {"DOCMAIL_PASSWORD": SANDBOX_PASSWORD, "DOCMAIL_HOME": str(home / "docmail"), **env}
    return subprocess.run(
        [sys.executable, *PROGRAMS[program]],
        cwd=home / "work",
        env=environment(home, known),
        capture_output=True,
        text=True,
        check=False,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Return what it said, without colours and line breaks."""
    return " ".join(re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr).split())


# --- real programs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.usefixtures("saved")
def test_a_long_batch_of_an_executed_notebook_is_sent(program: str, home: Path, box: Sandbox) -> None:
    """It was asked about in a widget that nobody saw, and the exit status said that all was well."""
    done = executed(program, home, ADD, RUN)
    assert done.returncode == 0, said(done)
    assert len(box.inbox) == 25


def test_a_scheduled_notebook_that_only_names_the_profile_sends_to_the_shared_sandbox(home: Path) -> None:
    """It opens no sandbox that could provide the password."""
    with docmail.Sandbox.shared() as box:
        done = executed("papermill", home, ADD, RUN, DOCMAIL_PROFILE="sandbox", DOCMAIL_PASSWORD="")
        assert done.returncode == 0, said(done)
        assert len(box.inbox) == 25


MERGED = """\
rows = [{"no": each, "email": "nobody at example.com"} for each in range(2)]
messages = docmail.merge(rows, key="no", to="{{ email }}", subject="No. {{ no }}")
docmail.Outbox().add_all(messages, batch="b")"""

REFUSED = """messages[3] = docmail.Message("nobody@example.com", "No. 3", key="3")"""


@pytest.mark.parametrize(
    ("failure", "cells", "sentence", "arrived"),
    [
        (("auth", "535 5.7.8 Wrong"), (ADD, RUN), "does not accept", 0),
        (("auth", "535 5.7.8 Wrong"), (ADD, """run = outbox.run(batch="b", wait=False)"""), "does not accept", 0),
        (("mail", "550 5.4.5 Daily user sending limit exceeded"), (ADD, RUN), "Daily user sending limit", 0),
        (
            None,
            (ADD.replace("outbox.add_all", f"{REFUSED}\noutbox.add_all"), RUN),
            "Not all mails of this run were sent: 1 refused, 24 sent",
            24,
        ),
        (
            None,
            ("import docmail", MERGED),
            "2 rows of 2 cannot be sent; nothing was added.",
            0,
        ),
        (None, ("import docmail", "docmail.credentials.ask(docmail.Settings.load())"), "DOCMAIL_PASSWORD_FILE", 0),
    ],
    ids=["sign-in", "no wait", "limit", "refused", "bad rows", "ask"],
)
@pytest.mark.usefixtures("saved")
def test_what_fails_in_an_executed_notebook_fails_the_execution(  # noqa: PLR0913, PLR0917 - what fails, what is seen
    home: Path, box: Sandbox, failure: Any, cells: tuple[str, ...], sentence: str, arrived: int
) -> None:
    if failure:
        box.answer(*failure)
    done = executed("jupyter execute", home, *cells)
    assert done.returncode != 0
    assert sentence in said(done)
    if MERGED in cells:
        assert re.search("Row Key Field What is wrong 1 0 to", said(done)), (
            "the log has the table, which a notebook shows below"
        )
    assert len(box.inbox) == arrived


@pytest.mark.usefixtures("saved")
def test_a_person_who_says_that_somebody_is_there_is_asked(home: Path, box: Sandbox) -> None:
    done = executed("jupyter execute", home, ADD, RUN, DOCMAIL_UNATTENDED="no")
    assert done.returncode == 0, said(done)
    assert len(box.inbox) == 0


# --- a kernel, and who talks to it ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingKernelClient]:
    """Return the client of a running kernel."""
    manager, client = start_new_kernel(env=environment(tmp_path_factory.mktemp("kernel-home")))
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


ASKED = """
import os, threading
from docmail.home import is_unattended
for name in ("SERVER_SOFTWARE", "DOCMAIL_UNATTENDED"):
    os.environ.pop(name, None)
os.environ.update({env!r})
found = [is_unattended()]
thread = threading.Thread(target=lambda: found.append(is_unattended()))
thread.start()
thread.join()
print(*found)
"""


@pytest.mark.parametrize(
    ("takes_input", "env", "unattended"),
    [
        (True, {}, False),
        (False, {}, True),
        (False, {"SERVER_SOFTWARE": "voila/0.5.13"}, False),
        (False, {"SERVER_SOFTWARE": "Apache/2.4"}, True),
        (False, {"DOCMAIL_UNATTENDED": "no"}, False),
        (True, {"DOCMAIL_UNATTENDED": "yes"}, True),
        (True, {"DOCMAIL_UNATTENDED": " Yes "}, True),
        (False, {"DOCMAIL_UNATTENDED": ""}, True),
        (False, {"SERVER_SOFTWARE": "voila/0.5.13", "DOCMAIL_UNATTENDED": "yes"}, True),
    ],
)
def test_a_front_end_that_takes_no_input_has_nobody_before_it(
    kernel: BlockingKernelClient, takes_input: Any, env: dict[str, str], unattended: Any
) -> None:
    heard: list[str] = []
    kernel.execute_interactive(
        ASKED.replace("{env!r}", repr(env)),
        allow_stdin=takes_input,
        output_hook=lambda sent: heard.append(sent["content"].get("text", "")),
        timeout=60,
    )
    assert "".join(heard).split() == [str(unattended)] * 2


def test_a_script_asks_nobody_and_is_not_unattended() -> None:
    assert not homes.is_unattended()


# --- with nobody there ------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, box: Sandbox) -> Outbox:
    """Return an outbox where nobody is there, and whose runs are shown."""
    monkeypatch.setenv("DOCMAIL_UNATTENDED", "yes")
    monkeypatch.setattr("docmail.outbox.observers.runs", [run_view.show])
    monkeypatch.setattr("IPython.display.display", lambda *_shown, **_options: None)
    box.settings.save()
    return Outbox()


def add(outbox: Outbox, *names: str, batch: str = "b") -> None:
    outbox.add_all([docmail.Message(f"{name}@example.com", name, key=name) for name in names], batch=batch)


def test_a_mail_nobody_knows_of_fails_the_run_that_meets_it_and_every_whole_one_after_it(
    alone: Outbox, box: Sandbox
) -> None:
    box.drop("end", recipient="b@example.com", times=1)
    add(alone, "a", "b", "c")
    with pytest.raises(OutcomeUnknown, match="2 sent, 1 unknown"):
        alone.run(batch="b")
    with pytest.raises(OutcomeUnknown, match="decide about each"):
        alone.run(batch="b")
    # A caller that gives a number sends the others later, and looks at the outcome in code.
    assert alone.run(batch="b", limit=5)["unknown"] == 1
    (row,) = [row for row in alone if row.state == "unknown"]
    alone.resolve(row.id, "sent")
    assert alone.run(batch="b") == {"sent": 3}


def test_a_refusal_fails_the_run_that_meets_it_and_no_later_one(alone: Outbox) -> None:
    """A nightly notebook says it once, as the command line does."""
    add(alone, "a", "nobody")
    with pytest.raises(Refused, match="1 refused, 1 sent"):
        alone.run(batch="b")
    assert alone.run(batch="b") == {"refused": 1, "sent": 1}
    add(alone, "c", batch="next")
    assert alone.run(batch="next") == {"sent": 1}


def test_a_mail_that_some_have_not_got_fails_the_run(alone: Outbox) -> None:
    message = docmail.Message("a@example.com; nobody@example.com", "x", key="x")
    alone.add_all([message], batch="b")
    with pytest.raises(Refused, match="1 sent"):
        alone.run(batch="b")


def test_mails_that_wait_for_longer_than_the_run_fail_it(
    alone: Outbox, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=1800.0))
    box.answer("rcpt", "450 4.2.0 Greylisted", recipient="b@example.com")
    add(alone, "a", "b")
    with pytest.raises(Deferred, match=r"1 queued, 1 sent.* again after 20") as caught:
        alone.run(batch="b")
    assert caught.value.retry_after == pytest.approx(1800, rel=0.3)


def test_a_part_or_a_rehearsal_that_went_well_is_no_failure(alone: Outbox) -> None:
    add(alone, "a", "b", "c")
    assert alone.run(batch="b", redirect_to="me@example.com").rehearsed == 3
    assert alone.run(batch="b", limit=1) == {"queued": 2, "sent": 1}
    assert alone.run(batch="b") == {"sent": 3}
    assert alone.run(batch="b") == {"sent": 3}, "nothing to do is no failure"
    assert dict(alone.run(batch="none")) == {}


def test_a_run_that_would_go_on_by_itself_is_waited_for(alone: Outbox, box: Sandbox) -> None:
    """When the notebook is over, its kernel ends, and the run with it."""
    box.delay("end", 0.2)
    add(alone, *(f"c{each}" for each in range(25)))
    run = alone.run(batch="b", wait=False)
    assert (run.over.is_set(), len(box.inbox)) == (True, 25)


@pytest.mark.parametrize("value", ["maybe", "1", "true", "ja\n", "y\x1bes"])
def test_another_value_of_the_variable_is_named_before_anything_is_sent(
    value: str, alone: Outbox, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(alone, "a")
    monkeypatch.setenv("DOCMAIL_UNATTENDED", value)
    with pytest.raises(SettingsError, match=r"DOCMAIL_UNATTENDED is “.* neither yes nor no") as caught:
        alone.run(batch="b")
    assert str(caught.value).isprintable()
    with pytest.raises(SettingsError):
        credentials.ask(box.settings)
    assert len(box.inbox) == 0


@pytest.mark.parametrize("error", [EOFError, OSError, NotImplementedError, None])
def test_a_password_that_nobody_can_type_is_an_error_that_names_the_file(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None
) -> None:
    """A job of cron has no terminal, nbconvert and Voilà take no input, and with the variable nobody is asked."""

    def fails(_prompt: str) -> str:
        assert error, "nobody is to be asked"
        raise error

    monkeypatch.setattr("getpass.getpass", fails)
    if error is None:
        monkeypatch.setenv("DOCMAIL_UNATTENDED", "yes")
    settings = docmail.Settings("A", docmail.SmtpServer("smtp.example.com", username="a@example.com"))
    with pytest.raises(CredentialError, match="DOCMAIL_PASSWORD_FILE"):
        credentials.ask(settings)


@pytest.mark.usefixtures("alone")
def test_a_form_that_nobody_sees_raises_what_is_in_the_way(box: Sandbox) -> None:
    button = EmailButton(b"%PDF-1.4 %%EOF", to="c@example.com", subject="x")
    button.toggle()
    assert button.mail_form is not None
    button.mail_form.send_mail()
    with pytest.raises(MessageError, match="nobody watches"):  # it asks whether the same is to go again
        button.mail_form.send_mail()
    button.mail_form.fields["to"].value = "nobody@example.com"
    with pytest.raises(Refused):
        button.mail_form.send_mail()
    form = docmail.SettingsForm()
    form.fill(host="")
    assert form.test() is None
    assert len(box.inbox) == 1
