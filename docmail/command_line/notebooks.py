"""`docmail notebook run`, which a clock starts, and `docmail schedule`, which says how."""
# ruff: noqa: T201 - this module talks to a terminal, or to the file that cron writes

from __future__ import annotations

import datetime as dt
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docmail.errors import DocmailError, DocumentError, MessageError, NotebookError, listed
from docmail.language import _
from docmail.privacy import one_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from docmail.settings import Settings

SENT, FAILED, WRONG_CALL, NOTHING = 0, 1, 2, 3
"""The exit status of a run; argparse ends with 2 as well."""

_FORMS = ("body", "pdf", "html")
_MARK = "\0"  # which no argument of a program can have


def add_to(commands: Any, politely: Callable[[], AbstractContextManager[None]]) -> None:
    """Add both commands to docmail's; `politely` makes of SIGTERM an interrupt."""
    notebook = commands.add_parser("notebook", help=_("execute a notebook and email what it shows"))
    kinds = notebook.add_subparsers(metavar="run", required=True)
    run = kinds.add_parser(
        "run",
        help=_("execute a notebook in a copy, and email what it shows, once"),
        epilog=_("Exit status: 0 sent (now, or before under this key), 1 failed, 2 wrong call, 3 nothing to send."),
    )
    run.add_argument("notebook", type=Path, metavar="NOTEBOOK")
    _add_options(run)
    run.set_defaults(run=lambda options: _run(options, politely))

    schedule = commands.add_parser(
        "schedule",
        help=_("print what cron or systemd needs to run a notebook on time; writes nothing"),
    )
    schedule.add_argument("notebook", type=Path, metavar="NOTEBOOK")
    schedule.add_argument(
        "when", metavar="WHEN", help=_("such as “Mon 07:00”, “weekdays 07:00”, “daily 18:30”, “1st 06:30”")
    )
    _add_options(schedule)
    schedule.set_defaults(run=_schedule)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, help=_("addresses, separated by ; or ,"))
    parser.add_argument("--cc", default="", help=_("addresses, separated by ; or ,"))
    parser.add_argument(
        "--subject", required=True, help=_("a template with the parameters, the notebook's variables, and today")
    )
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="typed", type=_taken,
        help=_("a parameter; numbers, True, False and None are taken as such"),
    )  # fmt: skip
    parser.add_argument(
        "-r", nargs=2, action="append", default=[], metavar=("NAME", "TEXT"), dest="raw", type=_taken,
        help=_("a parameter that stays the text that it is, such as 007"),
    )  # fmt: skip
    parser.add_argument("-y", default="", metavar="YAML", dest="yaml", help=_("parameters in YAML"))
    parser.add_argument("--key", help=_("send only once under this key, a template with the parameters and today"))
    parser.add_argument("--on-error", default="", help=_("who gets a mail if it fails"))
    parser.add_argument("--profile", help=_("the saved settings to send with"))
    parser.add_argument("--as", choices=_FORMS, default="body", dest="sent_as", help=_("how it is sent"))
    parser.add_argument("--timeout", type=float, default=600, help=_("seconds for all cells (600)"))


def with_values(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which the value of a parameter is one also if it begins with a dash, such as -7d or -1e5.

    Otherwise argparse takes it for an option. Two dashes, and another parameter, are more often a value left out.
    """
    found = list(arguments)
    for place, argument in enumerate(arguments[:-2]):
        value = arguments[place + 2]
        if argument in {"-p", "-r"} and re.match(r"-[^-]", value) and value not in {"-p", "-r", "-y", "-h"}:
            found[place + 2] = f"{_MARK}{value}"
    return found


def _taken(text: str) -> str:
    return text.removeprefix(_MARK)


def _parameters(options: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters, typed as papermill does; what that changes is said."""
    from docmail.notebook import from_yaml, typed

    found = from_yaml(options.yaml) if options.yaml else {}
    for name, text in options.typed:
        found[name] = value = typed(text)
        if str(value) != text:
            print(
                _("{name} is the number {value}; for the text “{text}”, write -r {name} {text}").format(
                    name=name, value=value, text=text
                ),
                file=sys.stderr,
            )
    return found | dict(options.raw)


# --- notebook run -----------------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace, politely: Callable[[], AbstractContextManager[None]]) -> int:
    """Execute and send; one line on standard output says what became of it, standard error why it failed."""
    from docmail.notebook import report_of, reported
    from docmail.settings import Settings

    begun = time.monotonic()
    name = options.notebook.name
    settings: Settings | None = None
    try:
        with politely(), reported(options.notebook, options.on_error, None):
            settings = Settings.load(options.profile) if options.profile else None
    except DocmailError as exc:
        return _failed(exc, options, name, begun, report_of(exc))
    try:
        with politely():
            return _sent(options, settings, name, begun)
    except DocmailError as exc:
        return _failed(exc, options, name, begun, report_of(exc, settings))
    except KeyboardInterrupt:
        _log(name, "stopped", begun)
        raise


def _sent(options: argparse.Namespace, settings: Settings | None, name: str, begun: float) -> int:
    from docmail.notebook import Outcome, reported, run

    with reported(options.notebook, options.on_error, settings):
        parameters = _parameters(options)
    result = run(
        options.notebook,
        to=options.to,
        subject=options.subject,
        cc=options.cc,
        parameters=parameters,
        key=options.key,
        on_error=options.on_error,
        sent_as=options.sent_as,
        settings=settings,
        timeout=options.timeout,
    )
    if result.outcome is Outcome.NOTHING:
        _log(name, result.outcome, begun, result.skipped or "")
        return NOTHING
    if result.outcome is Outcome.SENT_BEFORE:
        _log(name, result.outcome, begun, _("not executed and not sent again"))
        return SENT
    assert result.sent is not None  # noqa: S101 - nothing else is left
    if not result.sent.refused:
        _log(name, result.outcome, begun)
        return SENT
    refused = listed(sorted({str(reply) for reply in result.sent.refused.values()}))
    _log(name, "refused", begun, _("sent, but not to everybody"))
    if not options.on_error:
        print(one_line(refused), file=sys.stderr)
    return FAILED


def _failed(exc: DocmailError, options: argparse.Namespace, name: str, begun: float, report: str) -> int:
    """Say what failed: in the log in a few words, and where nobody gets a mail about it, on standard error."""
    notes = getattr(exc, "__notes__", [])
    wrong = isinstance(exc, MessageError) and not isinstance(exc, NotebookError | DocumentError)
    _log(name, "wrong call" if wrong else "failed", begun, report.split("\n", 1)[0])
    if not options.on_error or notes or wrong:
        for text in (report, *notes):
            print("".join(sign if sign.isprintable() or sign == "\n" else "·" for sign in text), file=sys.stderr)
    return WRONG_CALL if wrong else FAILED


def _log(name: str, outcome: str, begun: float, more: str = "") -> None:
    """Write the one line of a run, with no address in it."""
    moment = dt.datetime.now().astimezone().isoformat(timespec="seconds")
    line = "  ".join((moment, one_line(name), outcome, f"{time.monotonic() - begun:.1f} s"))
    print(line + (f" -- {one_line(more)[:300]}" if more else ""), flush=True)


# --- schedule ---------------------------------------------------------------------------------------------------------


def _schedule(options: argparse.Namespace) -> int:
    """Print the schedule; 0 if the job can sign in, 1 if something is to be done first, 2 for a wrong call."""
    from docmail.message import addresses_of
    from docmail.notebook import Job, plan
    from docmail.settings import Settings, profile_name, usable

    settings = usable(Settings.load(options.profile) if options.profile else None)
    try:
        if options.on_error:
            addresses_of(options.on_error, "on_error")
        job = Job.of(
            options.notebook, to=options.to, subject=options.subject, cc=options.cc, parameters=_parameters(options),
            key=options.key, sent_as=options.sent_as, timeout=options.timeout,
        )  # fmt: skip
        notebook = job.source.path
        key = options.key or f"{notebook.stem}, {options.when}, {{{{ today }}}}, {job.mark}"
        profile = profile_name(options.profile) if options.profile or os.environ.get("DOCMAIL_PROFILE") else None
        made = plan(
            options.when, notebook, list(_arguments(options, key)), settings,
            profile=profile, timeout=options.timeout, mark=job.mark,
        )  # fmt: skip
    except MessageError as exc:
        print(exc, file=sys.stderr)
        return WRONG_CALL
    for note in made.notes:
        print(f"# {note}")
    print()
    print(f"# {_('For cron: paste this line into what “crontab -e” opens.')}")
    print(made.cron or f"# {made.no_cron}")
    print()
    print(f"# {_('Or for systemd: save these two files in ~/.config/systemd/user, and run:')}")
    timer = next(name for name in made.units if name.endswith(".timer"))
    print(f"#   systemctl --user daemon-reload && systemctl --user enable --now {timer}")
    print(f"#   loginctl enable-linger   # {_('so that it also runs while you are signed out')}")
    for name, text in made.units.items():
        print(f"\n# ~/.config/systemd/user/{name}\n{text}", end="")
    if not made.no_credential:
        return 0
    sys.stdout.flush()
    print(f"\n{_('Without a desktop session, the job cannot sign in: {reason}').format(reason=made.no_credential)}",
          file=sys.stderr)  # fmt: skip
    if settings.signs_in_with_token:
        print(
            _("Have an administrator allow the application to sign in for itself (guide “Microsoft 365”), or use "
              "an account with an app password."),
            file=sys.stderr,
        )  # fmt: skip
        return 1
    import shlex

    file = shlex.quote(str(made.password_file))
    print(_("Put the password into a file that only you can read; the line above names it in DOCMAIL_PASSWORD_FILE:"),
          file=sys.stderr)  # fmt: skip
    folder = shlex.quote(str(made.password_file.parent))
    print(f"  mkdir -p {folder} && touch {file} && chmod 600 {file}", file=sys.stderr)
    print(f"  {_('Then write it into the file with an editor, and run this command again.')}", file=sys.stderr)
    return 1


def _arguments(options: argparse.Namespace, key: str) -> Iterator[str]:
    """Yield the options for `docmail notebook run`; the profile is in the environment, which passwords follow."""
    yield from ("--to", options.to)
    if options.cc:
        yield from ("--cc", options.cc)
    yield from ("--subject", options.subject, "--key", key)
    for letter, given in (("-p", options.typed), ("-r", options.raw)):
        for name, text in given:
            yield from (letter, name, text)
    if options.yaml:
        yield from ("-y", options.yaml)
    if options.on_error:
        yield from ("--on-error", options.on_error)
    if options.sent_as != "body":
        yield from ("--as", options.sent_as)
    yield from ("--timeout", f"{options.timeout:g}")
