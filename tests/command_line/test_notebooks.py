"""`docmail notebook run` from a terminal: the exit status, the one line for cron's log, and what stands beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import docmail
from docmail.command_line import main
from tests.notebook.test_running import tagged, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docmail.sandbox import Sandbox

pytestmark = pytest.mark.timeout(240)

LINE = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d  report\.ipynb  (.+?)  \d+\.\d s( -- .+)?\n")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with docmail.Sandbox() as sandbox:
        sandbox.settings.save()
        yield sandbox


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return written(
        tmp_path / "report.ipynb",
        tagged("month = '2026-10'", "parameters"),
        "import docmail\nif month == 'quiet': raise docmail.notebook.Skip('nothing new')",
        "print('of', month)\nif month == 0: raise KeyError('no month for cfo@example.com')",
    )


def called(report: Path, *options: str) -> int:
    return main(["notebook", "run", str(report), "--to", "cfo@example.com", "--subject", "Sales {{ month }}", *options])


def outcome(text: str) -> str:
    """Return what one line on standard output says became of the run; it names no address."""
    found = LINE.fullmatch(text)
    assert found is not None, text
    assert "@" not in text.replace("…@…", "").replace("name@example.com", "")  # docmail's own example
    return found[1]


def test_the_exit_status_and_one_line_say_what_became_of_it(
    box: Sandbox, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keyed = ("-p", "month", "2026-11", "--key", "sales {{ month }}")
    assert called(report, *keyed) == 0
    assert outcome(capsys.readouterr().out) == "sent"
    assert called(report, *keyed) == 0
    assert outcome(capsys.readouterr().out) == "sent before"
    assert called(report, "-p", "month", "quiet") == 3
    assert outcome(capsys.readouterr().out) == "nothing to send"
    assert [mail.subject for mail in box.inbox] == ["Sales 2026-11"]


def test_a_failure_is_on_standard_error_or_in_one_mail(
    box: Sandbox, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(report, "-p", "month", "0") == 1
    shown = capsys.readouterr()
    assert outcome(shown.out) == "failed"
    for words in ("Cell 3 of report.ipynb failed.", "KeyError", "of 0"):
        assert words in shown.err
    assert ("cfo@" in shown.err, len(box.inbox)) == (False, 0)
    assert called(report, "-p", "month", "0", "--on-error", "admin@example.com") == 1
    shown = capsys.readouterr()
    assert (outcome(shown.out), shown.err) == ("failed", "")
    assert [mail.recipients for mail in box.inbox] == [("admin@example.com",)]


def test_a_sign_in_that_fails_is_on_standard_error_because_no_mail_can_say_it(
    box: Sandbox, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docmail.credentials.set(box.settings, "sEcRet-Wrong-99", remember=False)
    assert called(report, "--on-error", "admin@example.com") == 1
    shown = capsys.readouterr()
    assert outcome(shown.out) == "failed"
    assert "does not accept this username and password" in shown.err
    assert shown.err.endswith("The mail about it could not be sent either.\n")
    assert "sEcRet" not in shown.out + shown.err
    assert not box.inbox


@pytest.mark.parametrize(
    "options", [("-p", "mnth", "1"), ("-y", "["), ("--timeout", "0"), ("--subject", "{{ mnth }}"), ("--cc", "nobody")]
)
def test_a_wrong_call_is_2_and_the_one_who_is_named_gets_a_mail(
    options: tuple[str, ...], box: Sandbox, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A notebook that was moved fails each Monday, and nobody looks at a terminal."""
    assert called(report, *options, "--on-error", "admin@example.com") == 2
    shown = capsys.readouterr()
    assert (outcome(shown.out), bool(shown.err)) == ("wrong call", True)
    assert [mail.recipients for mail in box.inbox] == [("admin@example.com",)]


def test_a_number_that_changes_the_text_is_said(box: Sandbox, report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As papermill types parameters: 007 is 7; -r leaves it."""
    assert called(report, "-p", "month", "007") == 0
    assert "month is the number 7" in capsys.readouterr().err
    assert called(report, "-r", "month", "007") == 0
    assert capsys.readouterr().err == ""
    assert [mail.subject for mail in box.inbox] == ["Sales 7", "Sales 007"]


def test_a_value_that_begins_with_a_dash_and_a_date_in_yaml_are_what_papermill_takes(
    box: Sandbox, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (("-p", "month", "-7d"), ("-r", "month", "-1e5"), ("-y", "month: 2026-11-01")):
        assert called(report, *options) == 0
    assert [mail.subject for mail in box.inbox] == ["Sales -7d", "Sales -1e5", "Sales 2026-11-01"]
    with pytest.raises(SystemExit):  # the value was forgotten
        called(report, "-p", "month", "--cc", "b@example.com")
    capsys.readouterr()


@pytest.mark.usefixtures("box")
def test_a_wrong_address_for_failures_is_a_wrong_call_before_anything_fails(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(report, "-p", "month", "0", "--on-error", "nobody") == 2
    shown = capsys.readouterr()
    assert ("on_error" in shown.err, outcome(shown.out.replace("“nobody” ", ""))) == (True, "wrong call")
    call = ["schedule", str(report), "Mon 07:00", "--to", "a@example.com", "--subject", "S", "--on-error", "nobody"]
    assert main(call) == 2


@pytest.mark.usefixtures("home")
def test_without_settings_it_has_failed_and_says_so(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(report, "--on-error", "admin@example.com") == 1
    shown = capsys.readouterr()
    assert outcome(shown.out) == "failed"
    assert "No email settings are saved yet" in shown.err


def test_a_call_that_argparse_cannot_read_is_2(report: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        called(report, "--as", "docx")
    assert caught.value.code == 2
