"""The tree of errors is the one that its docstring draws, and each error keeps what it knows wherever it goes."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from docmail import errors, presets
from docmail.errors import (
    TREATMENT,
    Action,
    AddressError,
    AuthenticationError,
    BatchError,
    ConnectError,
    CredentialError,
    Deferred,
    DocmailError,
    DocumentError,
    Kind,
    MessageError,
    OutcomeUnknown,
    Problem,
    Refused,
    RowProblem,
    SendError,
    SettingsError,
    TLSError,
)
from docmail.reply import Certificate, Reply

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, DocmailError)]


def made(cls: type[DocmailError]) -> DocmailError:
    """Return an error of this class with everything that it can carry."""
    details: dict[str, object] = {"hint": "Do it.", "field": "host"}
    if issubclass(cls, SendError):
        details |= {"kind": Kind.LIMIT, "phase": "data", "reply": Reply(550, "5.4.5", "No."), "guide": "Gmail"}
        details |= {"refused": {"a@example.com": Reply(550, "", "No.")}}
    if cls is TLSError:
        details["fingerprint"] = "ab" * 32
        now = datetime(2026, 11, 24, tzinfo=UTC)
        details["certificate"] = Certificate("localhost", ("localhost",), "us", now, now, "ab" * 32)
    if cls is Deferred:
        details["retry_after"] = 3.5
    if cls is SettingsError:
        details["problems"] = [Problem("host", "No.")]
    if cls is AddressError:
        details["address"] = "nobody"
    if cls is BatchError:
        details["problems"] = [RowProblem(2, "118", "to", "No.")]
    return cls("It failed.", **details)  # type: ignore[arg-type]


def test_the_docstring_draws_the_tree() -> None:
    lines = re.findall(r"^([│├└─ ]*)([A-Z]\w+)(?: {2,}|$)", errors.__doc__ or "", re.MULTILINE)
    drawn = [(len(branch) // 4, name) for branch, name in lines]
    parents: dict[str, str] = {}
    for index, (depth, name) in enumerate(drawn):
        parents[name] = next((above for level, above in reversed(drawn[:index]) if level < depth), "Exception")
    assert parents == {cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES}


def test_what_is_exported_is_what_there_is_to_catch() -> None:
    assert set(errors.__all__) == {cls.__name__ for cls in CLASSES} | {
        "Field",
        "Guide",
        "Kind",
        "OrganisationWarning",  # no DocmailError: mail is sent nevertheless, but a filter can make it an error to catch
        "Phase",
        "Problem",
        "RowProblem",
    }


@pytest.mark.parametrize(
    ("cls", "built_in"),
    [
        (SettingsError, ValueError),
        (CredentialError, LookupError),
        (MessageError, ValueError),
        (AddressError, ValueError),
        (DocumentError, ValueError),
        (ConnectError, ConnectionError),
        (TLSError, ConnectionError),
    ],
)
def test_an_error_is_also_the_built_in_one_of_its_kind(cls: type[DocmailError], built_in: type[Exception]) -> None:
    assert isinstance(made(cls), built_in)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_says_what_happened_and_what_to_do(cls: type[DocmailError]) -> None:
    error = made(cls)
    assert (str(error).splitlines()[0], error.message, error.hint) == ("It failed. Do it.", "It failed.", "Do it.")


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_keeps_all_it_knows_when_it_is_copied_or_comes_from_another_process(cls: type[DocmailError]) -> None:
    error = made(cls)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301 - ours
        assert type(again) is cls
        assert vars(again) == vars(error)
        assert str(again) == str(error)


def test_an_error_without_details_is_plain() -> None:
    error = DocmailError("It failed.")
    assert (str(error), error.hint, error.guide, error.field) == ("It failed.", "", None, None)
    assert str(DocmailError("", hint="Do it.")) == "Do it."


def test_the_field_of_a_settings_error_is_that_of_its_first_problem() -> None:
    problems = [Problem("host", "No."), Problem("port", "No.")]
    assert SettingsError("It failed.", problems=problems).field == "host"
    assert SettingsError("It failed.", problems=problems, field="port").field == "port"
    assert SettingsError("It failed.").field is None


def test_an_address_error_names_a_guide_that_exists() -> None:
    guide = AddressError("It failed.").guide
    assert guide is not None
    assert presets.guide(guide).title == guide


def test_refused_recipients_are_a_copy_of_the_callers() -> None:
    refused = {"a@example.com": Reply(550, "", "No.")}
    error = Refused("It failed.", kind=Kind.RECIPIENT, refused=refused)
    refused.clear()
    assert error.refused == {"a@example.com": Reply(550, "", "No.")}


def test_every_kind_has_one_class_and_one_action() -> None:
    assert set(TREATMENT) == set(Kind)
    assert {kind: treatment.error for kind, treatment in TREATMENT.items()} == {
        Kind.AUTH: AuthenticationError,
        Kind.CONFIG: Refused,
        Kind.TEMPORARY: Deferred,
        Kind.LIMIT: Deferred,
        Kind.RECIPIENT: Refused,
        Kind.MESSAGE: Refused,
        Kind.NETWORK: ConnectError,
        Kind.UNKNOWN: OutcomeUnknown,
    }


def test_doubt_is_left_to_a_person_and_only_the_temporary_is_repeated() -> None:
    assert [kind for kind, treatment in TREATMENT.items() if treatment.action is Action.ASK] == [Kind.UNKNOWN]
    assert [kind for kind, treatment in TREATMENT.items() if treatment.action is Action.REPEAT] == [Kind.TEMPORARY]


def test_one_bad_recipient_or_document_does_not_stop_a_run() -> None:
    dropped = {kind for kind, treatment in TREATMENT.items() if treatment.action is Action.DROP}
    assert dropped == {Kind.RECIPIENT, Kind.MESSAGE}


# --- in a notebook ---


@pytest.fixture
def shell() -> Any:
    """Return an IPython as a kernel has it."""
    InteractiveShell.clear_instance()
    yield InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}), colors="nocolor")
    InteractiveShell.clear_instance()


CELL = """\
from docmail.message import Message

def made(to):
    return Message(to, "Q3")

made("nobody")
"""


def test_in_a_notebook_an_error_is_a_sentence_with_the_line_of_the_cell(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell(CELL)
    said = capsys.readouterr().out.strip().splitlines()
    assert said == [
        "AddressError: to: “nobody” is not an email address. An address looks like name@example.com.",
        '----> 6 made("nobody")',
        '----> 4 return Message(to, "Q3")',
        '→ docmail.presets.guide("Addresses")',
    ]
    assert presets.guide("Addresses")._repr_markdown_().startswith("# Addresses")


@pytest.mark.parametrize("mode", ["Verbose", "Plain"])
def test_who_asks_for_the_frames_gets_them(shell: Any, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_line_magic("xmode", mode)
    shell.run_cell(CELL)
    said = capsys.readouterr().out
    assert "parse_addresses" in said
    assert "Traceback" in said


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not BatchError])
def test_every_error_of_docmail_is_shown_so(cls: type[DocmailError]) -> None:
    error = made(cls)
    shown = error._render_traceback_()
    assert shown[0] == f"{cls.__name__}: {error}"
    assert (f'→ docmail.presets.guide("{error.guide}")' in shown) == (error.guide is not None)


def test_a_script_shows_its_traceback_as_ever(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(CELL, encoding="utf-8")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, encoding="utf-8")
    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "parse_addresses" in result.stderr


def test_a_list_in_a_sentence_ends_after_a_few_with_a_count() -> None:
    everybody = [f"a{number}@example.com: 550 5.1.1 {'No such mailbox here. ' * 100}" for number in range(1000)]
    found = errors.listed(everybody)
    assert len(found) < 2000
    assert found.startswith("a0@example.com: 550 5.1.1 No such mailbox")
    assert found.endswith("…; … (+995)")
    assert errors.listed(["a", "b"]) == "a; b"
    assert errors.listed([]) == ""
    assert errors.listed([str(number) for number in range(5)], ", ") == "0, 1, 2, 3, 4"
