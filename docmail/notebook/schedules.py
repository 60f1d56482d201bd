"""Writes what cron and systemd need to run a notebook on time, as text to be pasted; nothing is installed.

What a job started by a clock does not have is written into it: docmail's home and profile, the interpreter, the folder,
the language. Whether it can sign in is tried in a process that has no desktop session either.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from docmail.errors import Guide, MessageError
from docmail.home import user_home
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docmail.settings import Settings

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# How people name days, in both languages, by their first letters; cron's own numbers are not taken: 1 is a day of the
# month to some, and a Monday to others.
_DAY_NAMES = {
    **{day.lower(): number for number, day in enumerate(_DAYS)},
    "tues": 1,
    "thur": 3,
    "thurs": 3,
    **{day: number for number, day in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday"))},
    "saturday": 5,
    "sunday": 6,
    **{day: number for number, day in enumerate(("ma", "di", "wo", "do", "vr", "sa", "so"))},
    **{day: number for number, day in enumerate(("maandag", "dinsdag", "woensdag", "donderdag", "vrydag"))},
    "saterdag": 5,
    "sondag": 6,
}
_EVERY = {"daily": range(7), "daagliks": range(7), "weekdays": range(5), "weeksdae": range(5), "weekends": (5, 6)}
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_OF_MONTH = re.compile(r"(\d{1,2})(?:st|nd|rd|th|ste|de|e)?")
_DASH = re.compile("[\u2010-\u2015\u2212]")  # as word processors write "Mon-Fri"
_SHORTEST_MONTH, _LONGEST_MONTH = 28, 31
_LONGEST_LINE = 990  # characters; Debian's cron takes 998 octets
_FREE = 120  # seconds for the mail, beside the time that the notebook may take
_CHECK_SECONDS = 60.0

# Where docmail finds its things, and who it is; a password is never among them.
_CARRIED = (
    *("DOCMAIL_HOME", "DOCMAIL_PROFILE", "DOCMAIL_PASSWORD_FILE", "DOCMAIL_CLIENT_SECRET_FILE"),
    *("DOCMAIL_CLIENT_CERTIFICATE_FILE", "DOCMAIL_ORGANISATION", "PYTHON_KEYRING_BACKEND"),
    *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "JUPYTER_PATH", "SSL_CERT_FILE", "TZ"),
)
_PATHS = {"DOCMAIL_HOME", "DOCMAIL_ORGANISATION", "SSL_CERT_FILE"}
_LANGUAGE = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
# Nothing of a desktop session: no D-Bus, no display, and no variable that only this terminal has.
_CHECK = (
    "import sys\n"
    "from docmail.errors import DocmailError\n"
    "from docmail.home import at_terminal\n"
    "from docmail.notebook import check_credential\n"
    "from docmail.settings import Settings\n"
    "with at_terminal():\n"
    "    try: check_credential(Settings.load())\n"
    "    except DocmailError as exc: sys.exit(exc.message)\n"
)


@dataclass(frozen=True)
class When:
    """A time of a schedule: an hour and minute, on days of the week (0 is Monday) or on one day of the month."""

    hour: int
    minute: int
    weekdays: tuple[int, ...] = ()
    day: int | None = None

    @classmethod
    def of(cls, text: str) -> When:
        """Return what a person means by "Mon 07:00", "weekdays 7:00" or "1st 06:30"; raises `MessageError`.

        >>> from docmail.notebook.schedules import When
        >>> When.of("Mon, Thu 07:00").cron
        '0 7 * * 1,4'
        """
        words = re.sub(r"\s*([,-])\s*", r"\1", _DASH.sub("-", text.strip())).split()
        times = [found for word in words if (found := _TIME.fullmatch(word))]
        days = [word.casefold() for word in words if not _TIME.fullmatch(word)]
        if len(times) != 1 or len(days) != 1:
            raise _not_understood(text)
        hour, minute = int(times[0][1]), int(times[0][2])
        if days[0] in _EVERY:
            return cls(hour, minute, tuple(_EVERY[days[0]]))
        if (found := _OF_MONTH.fullmatch(days[0])) and 1 <= int(found[1]) <= _LONGEST_MONTH:
            return cls(hour, minute, day=int(found[1]))
        return cls(hour, minute, tuple(sorted(_weekdays(days[0], text))))

    @property
    def cron(self) -> str:
        """The five fields of a line of cron."""
        # cron's week begins on Sunday.
        days = "*" if len(self.weekdays) in {0, 7} else _ranges([(day + 1) % 7 for day in self.weekdays])
        return f"{self.minute} {self.hour} {self.day or '*'} * {days}"

    @property
    def calendar(self) -> str:
        """The same for `OnCalendar` of a timer of systemd."""
        days = "" if len(self.weekdays) in {0, 7} else f"{','.join(_DAYS[day] for day in self.weekdays)} "
        day = "*" if self.day is None else f"{self.day:02}"
        return f"{days}*-*-{day} {self.hour:02}:{self.minute:02}:00"

    @property
    def skips_months(self) -> bool:
        """Whether there are months without this day."""
        return self.day is not None and self.day > _SHORTEST_MONTH


@dataclass(frozen=True)
class Plan:
    """A schedule as text: the line for cron, the files for systemd (`units`, by name), and what one should know.

    `when` is its time. `cron` is empty, and `no_cron` says why, if the line would be longer than cron takes. `notes`
    are sentences, `no_credential` is why the job cannot sign in, and `password_file` where it looks for a password
    then.

    >>> call = ["--to", "cfo@example.com", "--subject", "Sales"]
    >>> found = docmail.notebook.plan("Mon 07:00", Path("report.ipynb"), call, settings, profile=None, timeout=600)
    >>> found.cron[:9], [name.rpartition(".")[2] for name in found.units]
    ('0 7 * * 1', ['service', 'timer'])
    """

    when: When
    cron: str
    no_cron: str
    units: dict[str, str]
    notes: tuple[str, ...]
    no_credential: str
    password_file: Path


def plan(  # noqa: PLR0913 - what a schedule is made of
    when: str,
    notebook: Path,
    arguments: Sequence[str],
    settings: Settings,
    *,
    profile: str | None,
    timeout: float,
    mark: str = "",
) -> Plan:
    """Return the schedule of a notebook that `docmail notebook run` executes with these arguments.

    `when` is a time such as "Mon 07:00", `settings` and `profile` are what it sends with, `timeout` is in seconds.
    `mark` ends the names of the files for systemd, so that reports of the same name do not overwrite each other. Tries
    to sign in as the job will have to, which takes some seconds. Raises `MessageError` for a time that cannot be
    understood, and for what cannot stand in a line.

    >>> call = ["--to", "cfo@example.com", "--subject", "Sales"]
    >>> docmail.notebook.plan("1st 06:30", Path("report.ipynb"), call, settings, profile=None, timeout=600).cron[:10]
    '30 6 1 * *'
    """
    moment = When.of(when)
    for text in (str(notebook), sys.executable, *arguments):
        if any(sign in text for sign in "\r\n\0"):
            raise MessageError(
                _("A schedule cannot have a line break in it: {text}").format(text=repr(text)[:80]),
                hint=_("Write it in one line, or rename the file."),
            )
    environment = _environment(profile)
    password_file = Path(environment.get("DOCMAIL_PASSWORD_FILE") or user_home().settings_file.parent / "password")
    if (no_credential := _why_no_credential(environment)) and not settings.signs_in_with_token:
        environment["DOCMAIL_PASSWORD_FILE"] = str(password_file)
    # -P: a file called email.py beside the notebook must not take the place of Python's own.
    command = [sys.executable, "-P", "-m", "docmail", "notebook", "run", str(notebook), *arguments]
    notes = [_("The times are those of this computer's clock ({zone}).").format(zone=_zone())]
    if moment.skips_months:
        notes.append(_("Months without the day {day} are left out.").format(day=moment.day))
    line, no_cron = _cron_line(moment, command, notebook, environment), ""
    if len(line.encode()) > _LONGEST_LINE:
        line, no_cron = (
            "",
            _("The line would be longer than cron takes ({number:,} signs): use systemd.").format(number=len(line)),
        )
    name = _unit_name(f"{notebook.stem} {moment.calendar.removesuffix(':00')}", mark)
    units = {
        f"{name}{ending}": text for ending, text in _units(moment, command, notebook, environment, timeout).items()
    }
    return Plan(moment, line, no_cron, units, tuple(notes), no_credential, password_file)


def _weekdays(text: str, whole: str) -> set[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _dash, last = part.partition("-")
        if first not in _DAY_NAMES or (last or first) not in _DAY_NAMES:
            raise _not_understood(whole)
        begin, end = _DAY_NAMES[first], _DAY_NAMES[last or first]
        days |= {day % 7 for day in range(begin, end + 1 + 7 * (end < begin))}  # Fri-Mon goes over the end of the week
    return days


def _ranges(days: list[int]) -> str:
    """Return days for cron: "1-5" for five in a row."""
    days = sorted(days)
    if len(days) > 2 and days == list(range(days[0], days[-1] + 1)):  # noqa: PLR2004 - two are written with a comma
        return f"{days[0]}-{days[-1]}"
    return ",".join(map(str, days))


def _not_understood(text: str) -> MessageError:
    return MessageError(
        _("“{text}” is no time of a schedule.").format(text=text[:80]),
        field="when",
        hint=_("Write a day and a time: “Mon 07:00”, “Mon,Thu 07:00”, “weekdays 07:00”, “daily 18:30”, “1st 06:30”."),
        guide=Guide.SCHEDULED,
    )


def _zone() -> str:
    """Return the time zone by which cron and systemd go: not that of `TZ`, which is the terminal's."""
    if os.environ.get("TZ") and hasattr(time, "tzset"):
        try:
            with Path("/etc/localtime").open("rb") as file:
                return dt.datetime.now(ZoneInfo.from_file(file)).tzname() or "?"
        except (OSError, ValueError):
            return "UTC"  # what a system means that says nothing
    return dt.datetime.now().astimezone().tzname() or "?"


# --- what the job gets ------------------------------------------------------------------------------------------------


def _environment(profile: str | None) -> dict[str, str]:
    """Return the variables that a job needs of this terminal's."""
    found = {name: value for name in _CARRIED if (value := os.environ.get(name, "").strip())}
    for name in found.keys() & {*_PATHS, *(name for name in found if name.endswith("_FILE"))}:
        found[name] = str(Path(os.path.expanduser(found[name])).absolute())  # noqa: PTH111 - as docmail reads it
    if profile:
        found["DOCMAIL_PROFILE"] = profile
    language = next(((name, value) for name in _LANGUAGE if (value := os.environ.get(name, ""))), None)
    if language is not None:
        found[language[0]] = language[1]
    if os.environ.get("LANG"):
        found["LANG"] = os.environ["LANG"]  # also the encoding of what is written
    return found


def _why_no_credential(environment: Mapping[str, str]) -> str:
    """Return why a job with this environment cannot sign in, in a sentence; an empty text if it can.

    A keyring of the desktop answers over D-Bus, to whoever has a session. So this asks in a process without one.
    """
    bare = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME", "SYSTEMROOT") if name in os.environ}
    bare |= {"PATH": "/usr/bin:/bin", **environment}
    try:
        done = subprocess.run(  # noqa: S603 - this Python, with a text of ours
            [sys.executable, "-P", "-c", _CHECK],
            env=bare,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CHECK_SECONDS,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _("The keyring does not answer without a desktop session.")
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else _("The keyring does not answer without a desktop session.")


# --- cron -------------------------------------------------------------------------------------------------------------


def _cron_line(when: When, command: list[str], notebook: Path, environment: Mapping[str, str]) -> str:
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    log = shlex.quote(str(notebook.with_suffix(".log")))
    words = " ".join(filter(None, [variables, shlex.join(command)]))
    line = f"cd {shlex.quote(str(notebook.parent))} && {words} >>{log} 2>&1"
    # cron ends a command at a percent sign, also within quotation marks, unless a backslash is before it.
    return f"{when.cron} {line}".replace("%", "\\%")


# --- systemd ----------------------------------------------------------------------------------------------------------


def _units(
    when: When, command: list[str], notebook: Path, environment: Mapping[str, str], timeout: float
) -> dict[str, str]:
    """Return the texts of both files, by the endings of their names."""
    variables = "".join(f"Environment={_quoted(f'{variable}={value}')}\n" for variable, value in environment.items())
    description = _("Emails what the notebook {name} shows").format(name=notebook.name).replace("%", "%%")
    executed = " ".join(_quoted(word).replace("$", "$$") for word in command)
    return {
        ".service": (
            f"[Unit]\nDescription={description}\n\n[Service]\nType=oneshot\n"
            f"WorkingDirectory={str(notebook.parent).replace('%', '%%')}\n{variables}ExecStart={executed}\n"
            # 3: the notebook has said that there is nothing to send.
            f"SuccessExitStatus=3\nTimeoutStartSec={int(timeout) + _FREE}\n"
        ),
        ".timer": (
            f"[Unit]\nDescription={description}\n\n[Timer]\nOnCalendar={when.calendar}\nPersistent=true\n\n"
            "[Install]\nWantedBy=timers.target\n"
        ),
    }


def _unit_name(text: str, mark: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")
    return "-".join(filter(None, (f"docmail-{slug}"[:200], mark)))


def _quoted(word: str) -> str:
    """Return a word as a unit file has it: `%` begins a specifier there, a backslash an escape."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\t", "\\t")
    return f'"{escaped}"'
