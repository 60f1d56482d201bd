"""What cron and systemd get is what they understand, with all that a job without a session lacks."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail import home as homes
from docmail.errors import MessageError
from docmail.notebook import plan
from docmail.notebook.schedules import When
from docmail.sandbox import SANDBOX_PASSWORD
from tests.notebook.test_running import tagged, written
from tests.support.requires import require_program, require_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.sandbox import Sandbox

pytestmark = pytest.mark.timeout(240)

TIMES = {
    "Mon 07:00": ("0 7 * * 1", "Mon *-*-* 07:00:00"),
    "07:05 sun": ("5 7 * * 0", "Sun *-*-* 07:05:00"),
    "daily 18:30": ("30 18 * * *", "*-*-* 18:30:00"),
    "weekdays 7:00": ("0 7 * * 1-5", "Mon,Tue,Wed,Thu,Fri *-*-* 07:00:00"),
    "Mon, Thu 07:00": ("0 7 * * 1,4", "Mon,Thu *-*-* 07:00:00"),
    "Fri-Mon 07:00": ("0 7 * * 0,1,5,6", "Mon,Fri,Sat,Sun *-*-* 07:00:00"),
    "1st 06:30": ("30 6 1 * *", "*-*-01 06:30:00"),
    "31 23:59": ("59 23 31 * *", "*-*-31 23:59:00"),
    "Mon – Fri 07:00": ("0 7 * * 1-5", "Mon,Tue,Wed,Thu,Fri *-*-* 07:00:00"),  # noqa: RUF001 - as Word writes it
    "Ma 07:00": ("0 7 * * 1", "Mon *-*-* 07:00:00"),
    "weeksdae 07:00": ("0 7 * * 1-5", "Mon,Tue,Wed,Thu,Fri *-*-* 07:00:00"),
    "1ste 06:30": ("30 6 1 * *", "*-*-01 06:30:00"),
}


@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_what_a_person_means_by_it(text: str) -> None:
    when = When.of(text)
    assert (when.cron, when.calendar) == TIMES[text]


@pytest.mark.parametrize("text", ["", "Mon", "07:00", "Mon 7", "Mon 24:00", "32nd 07:00", "0 7 * * 1", "Mon Tue 7:00"])
def test_a_time_that_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(MessageError, match="is no time of a schedule"):
        When.of(text)


def test_systemd_understands_each_time() -> None:
    program = require_program("systemd-analyze")
    calendars = [calendar for _cron, calendar in TIMES.values()]
    done = subprocess.run([program, "calendar", *calendars], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # "1-5" is written as days in a row.
    normalised = re.findall(r"Normalized form: (.*)", done.stdout)
    assert normalised[:3] == ["Mon *-*-* 07:00:00", "Sun *-*-* 07:05:00", "*-*-* 18:30:00"]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with docmail.Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def saved(box: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch) -> docmail.Settings:
    """Return settings that a job finds saved, with a password in a file; the mail goes into the box."""
    settings = replace(box.settings, home=homes.user_home())
    settings.save()
    password = home / "pass word%.txt"
    password.write_text(SANDBOX_PASSWORD, "utf-8")
    password.chmod(0o600)
    monkeypatch.setenv("DOCMAIL_PASSWORD_FILE", str(password))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    return settings


NAME = "My 'week' 100% $HOME \"x\".ipynb"


def made(settings: docmail.Settings, folder: Path, *cells: Any, subject: str = "100% {{ month }} it's $5") -> Any:
    path = written(folder / NAME, tagged("month = 1", "parameters"), *cells)
    arguments = ["--to", "cfo@example.com", "--subject", subject, "--key", "k {{ today }}", "-r", "month", "2026-11"]
    return plan("Mon 07:00", path, arguments, settings, profile=None, timeout=600)


def test_systemd_takes_the_unit_files_as_they_are_printed(saved: docmail.Settings, tmp_path: Path) -> None:
    program = require_program("systemd-analyze")
    folder = tmp_path / "a b%c"
    folder.mkdir()
    units = made(saved, folder, "print('shown')").units
    for name, text in units.items():
        (tmp_path / name).write_text(text, "utf-8")
    files = [str(tmp_path / name) for name in units]
    env = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run([program, "--user", "verify", *files], env=env, capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "docmail-" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr
    service = next(text for name, text in units.items() if name.endswith(".service"))
    assert f'"DOCMAIL_HOME={os.environ["DOCMAIL_HOME"]}"' in service
    assert "SuccessExitStatus=3" in service
    assert f"WorkingDirectory={folder}\n".replace("%", "%%") in service
    assert f'{NAME[:-6]}"'.replace("%", "%%") not in service  # its quotation marks are escaped
    assert "100%% {{ month }}" in service
    assert "it's $$5\"" in service
    assert "Persistent=true" in "".join(units.values())


def test_a_real_cron_runs_the_line_and_the_mail_arrives_once(
    saved: docmail.Settings, box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's, in the foreground, with a crontab of its own: blanks, quotes, `%` and `$` come through."""
    require_root("a cron of its own")
    cron = require_program("crontab", "cron")
    monkeypatch.setenv("LANGUAGE", "af")
    folder = tmp_path / "a b%c"
    folder.mkdir()
    line = made(saved, folder, "print('of', month)").cron
    every_minute = re.sub(r"^\S+ \S+ \S+ \S+ \S+", "* * * * *", line)
    assert every_minute != line
    table = Path("/var/spool/cron/crontabs/root")
    before = table.read_bytes() if table.exists() else None
    subprocess.run(["crontab", "-"], input=f"{every_minute}\n", text=True, check=True)
    process = subprocess.Popen([cron, "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = (folder / NAME).with_suffix(".log")
    try:
        end = time.monotonic() + 150
        while not (log.exists() and log.read_text("utf-8").strip()):
            assert time.monotonic() < end, "cron has run nothing"
            assert process.poll() is None, "another cron runs on this computer"
            time.sleep(0.2)
    finally:
        subprocess.run(["crontab", "-r"], check=False)
        if before is not None:
            subprocess.run(["crontab", "-"], input=before, check=True)
        process.terminate()
        process.wait(10)
    assert "sent" in log.read_text("utf-8"), log.read_text("utf-8")
    (mail,) = box.inbox
    assert (mail.subject, "of 2026-11" in mail.text) == ("100% 2026-11 it's $5", True)


def test_the_line_is_what_a_shell_takes_apart_again(saved: docmail.Settings, tmp_path: Path) -> None:
    """As cron hands it on: without the backslashes before percent signs."""
    line = made(saved, tmp_path).cron
    assert not re.search(r"(?<!\\)%", line)
    words = shlex.split(line.replace("\\%", "%"))[5:]
    assert words[:3] == ["cd", str(tmp_path), "&&"]
    assert f"DOCMAIL_PASSWORD_FILE={os.environ['DOCMAIL_PASSWORD_FILE']}" in words
    assert words[words.index(sys.executable) : words.index("run") + 2] == [
        *(sys.executable, "-P", "-m", "docmail", "notebook", "run", str(tmp_path / NAME)),
    ]
    assert SANDBOX_PASSWORD not in line


def test_a_line_that_is_too_long_for_cron_is_not_printed(saved: docmail.Settings, tmp_path: Path) -> None:
    plan = made(saved, tmp_path, subject="x" * 900)
    assert (plan.cron, "use systemd" in plan.no_cron) == ("", True)


def scheduled(path: Path, when: str, *more: str) -> subprocess.CompletedProcess[str]:
    call = [
        sys.executable,
        "-m",
        "docmail",
        "schedule",
        str(path),
        when,
        "--to",
        "a@example.com",
        "--subject",
        "S",
        *more,
    ]
    return subprocess.run(call, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("saved")
def test_the_command_prints_what_to_paste_and_writes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "report.ipynb", "print(1)")
    done = scheduled(path, "Mon 07:00")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("0 7 * * 1 cd", "--key 'report, Mon 07:00, {{ today }}, ", "OnCalendar=Mon", "enable-linger"):
        assert words in done.stdout
    assert list(tmp_path.rglob("*")) == [path]


@pytest.mark.usefixtures("saved")
def test_a_password_that_only_a_desktop_has_is_said_with_what_to_do(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in the variable is as little there: cron does not inherit it."""
    monkeypatch.delenv("DOCMAIL_PASSWORD_FILE")
    monkeypatch.setenv("DOCMAIL_PASSWORD", SANDBOX_PASSWORD)
    done = scheduled(written(tmp_path / "report.ipynb", "print(1)"), "Mon 07:00")
    file = home / "docmail" / "password"
    assert f"DOCMAIL_PASSWORD_FILE={file}" in done.stdout
    assert "cannot sign in: No password is stored" in done.stderr
    assert f"touch {file} && chmod 600 {file}" in done.stderr
    assert (SANDBOX_PASSWORD in done.stdout + done.stderr, done.returncode, file.exists()) == (False, 1, False)


@pytest.mark.usefixtures("saved")
def test_a_wrong_schedule_is_a_wrong_call(tmp_path: Path) -> None:
    path = tmp_path / "report.ipynb"
    assert "cannot be read" in scheduled(path, "Mon 07:00").stderr
    done = scheduled(written(path, "print(1)"), "noon")
    assert (done.returncode, "is no time of a schedule" in done.stderr) == (2, True)


@pytest.mark.usefixtures("saved")
def test_reports_of_one_name_have_keys_and_unit_files_of_their_own(tmp_path: Path) -> None:
    """Otherwise the second one would be “sent before”, and its files overwrite those of the first."""
    printed = []
    for folder, month in (("north", "1"), ("south", "1"), ("south", "2"), ("south", "2")):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = written(tmp_path / folder / "report.ipynb", tagged("month = 0", "parameters"), "print(1)")
        printed.append(scheduled(path, "Mon 07:00", "-p", "month", month).stdout)
    keys = [re.findall(r"--key '([^']*)'", text)[0] for text in printed]
    timers = [re.findall(r"docmail-\S+\.timer", text)[0] for text in printed]
    assert (len({*keys}), len({*timers}), keys[2], timers[2]) == (3, 3, keys[3], timers[3])


@pytest.mark.usefixtures("saved")
def test_the_zone_is_that_of_the_computer_and_not_of_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cron and systemd do not look at TZ."""
    monkeypatch.setenv("TZ", "XYZ-9")
    clock = scheduled(written(tmp_path / "report.ipynb", "print(1)"), "Mon 07:00").stdout.splitlines()[0]
    assert ("computer's clock (" in clock, "XYZ" in clock) == (True, False)
