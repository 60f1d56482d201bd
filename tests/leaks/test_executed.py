"""Notebooks that run without a person: nbclient, nbconvert and papermill write what the kernel knows into files.

The password comes from the environment; the control is a plain `ipywidgets.Password` whose value comes from there, too.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.leaks.conftest import account_at
from tests.leaks.searcher import Finding, new_password, search
from tests.support.jupyter import environment, write_notebook
from tests.support.scripted import ScriptedServer

if TYPE_CHECKING:
    from tests.support.certificates import Certificates

pytestmark = pytest.mark.timeout(300)

# IPython runs this in every kernel. What the kernel sends, all iopub messages among it, is thereby kept where
# everything else is searched as well.
RECORDER = """\
import os
from jupyter_client.session import Session

send = Session.send

def record(self, stream, *values, **options):
    with open(os.path.expanduser("~/messages.log"), "a", encoding="utf-8") as log:
        print(values, options, file=log)
    return send(self, stream, *values, **options)

Session.send = record
"""

PLAIN = """\
import os
import ipywidgets
plain = ipywidgets.Password(value=os.environ["PLAIN"])"""

FORM = """\
import docmail
form = docmail.SettingsForm()
form.fill(**{account!r})
form"""

SHOWN = """\
settings = docmail.Settings.load()
secret = docmail.credentials.get(settings)
print(docmail.credentials.where(settings), secret, vars(form), docmail.credentials.store._session)
secret"""

TESTED = """\
diagnosis = form.test()
assert diagnosis.ok, diagnosis
diagnosis"""

KEPT = """\
print(docmail.credentials.set(settings, secret), docmail.credentials.store._session)
assert docmail.send_test().ok
form"""

# A person types it at the prompt of `ask`; here the environment answers.
ASKED = """\
import getpass
getpass.getpass = lambda prompt: os.environ["DOCMAIL_PASSWORD"]
docmail.credentials.forget(settings)
docmail.credentials.ask(settings)"""

# What a sandbox keeps in a folder of its own stays there.
REHEARSED = """\
with docmail.Sandbox("box", password=os.environ["DOCMAIL_PASSWORD"]) as box:
    print(box, vars(box), docmail.credentials.store._session)
    box.settings.save()
    assert docmail.send_test(box.settings).ok
    assert len(box.inbox) == 1"""

FAILED = """\
%xmode Verbose
def hold(secret, control):
    raise RuntimeError(secret)
hold(docmail.credentials.get(settings), os.environ["PLAIN"])"""

CELLS = (PLAIN, FORM, "assert form.save()", SHOWN, TESTED, KEPT, ASKED, REHEARSED)

NBCLIENT = """\
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, allow_errors=True).execute()
nbformat.write(notebook, sys.argv[2])"""

PROGRAMS = {
    "nbclient": ["-c", NBCLIENT, "in.ipynb", "out.ipynb"],
    "nbconvert to a notebook": [
        *("-m", "nbconvert", "--execute", "--allow-errors", "--to", "notebook"),
        *("in.ipynb", "--output", "out.ipynb"),
    ],
    "nbconvert to HTML": [
        *("-m", "nbconvert", "--execute", "--allow-errors", "--to", "html"),
        *("in.ipynb", "--output", "out.html"),
    ],
    "papermill": ["-m", "papermill", "--log-level", "DEBUG", "in.ipynb", "out.ipynb"],
}


@dataclass(frozen=True)
class Run:
    """What a program left behind, and where the two passwords were found in it."""

    written: str
    password: list[Finding]
    plain: list[Finding]


@pytest.fixture(scope="module", params=PROGRAMS)
def run(request: pytest.FixtureRequest, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return what is found after a program has executed the notebook."""
    root, home = tmp_path_factory.mktemp("executed"), tmp_path_factory.mktemp("executed-home")
    password, plain = new_password(), new_password()
    startup = home / ".ipython" / "profile_default" / "startup" / "record.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(RECORDER, "utf-8")
    with ScriptedServer(security="starttls", context=certificates.good().context()) as server:
        account = account_at(server, certificates)
        # The cell that fails stands last: papermill stops there.
        write_notebook(root / "in.ipynb", *(cell.replace("{account!r}", repr(account)) for cell in CELLS), FAILED)
        done = subprocess.run(
            [sys.executable, *PROGRAMS[request.param]],
            cwd=root,
            env=environment(home, {"DOCMAIL_PASSWORD": password, "PLAIN": plain}),
            capture_output=True,
            check=False,
        )
    assert len(server.mails) == 2, done.stderr.decode()
    (out,) = root.glob("out.*")
    places = {"printed": done.stdout, "logged": done.stderr}
    return Run(out.read_text("utf-8"), search(password, root, home, **places), search(plain, root, home, **places))


def test_the_password_is_nowhere(run: Run) -> None:
    assert run.password == []


def test_a_plain_password_is_found_in_what_was_written_and_in_the_messages(run: Run) -> None:
    places = {each.place.rpartition("/")[2] for each in run.plain}
    assert places & {"out.ipynb", "out.html"}
    assert "messages.log" in places


def test_the_notebook_has_used_the_password_and_a_verbose_traceback_shows_it_masked(run: Run) -> None:
    # Without its colours, in a notebook and in HTML.
    written = re.sub(r"\\u001b\[[\d;]*m|<[^>]+>", "", run.written)
    assert "environment •••" in written
    assert "RuntimeError: •••" in written
    assert re.search("in hold\\(secret=•••, control=.{1,6}[A-Za-z]{10}", written), "a plain text is shown"
