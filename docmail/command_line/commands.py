"""Runs docmail from a terminal, for machines without a notebook: `docmail demo`, or `python -m docmail demo`."""
# ruff: noqa: T201 - this module talks to a terminal

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from docmail.command_line import notebooks
from docmail.errors import DocmailError, MessageError, OrganisationWarning, listed
from docmail.home import at_terminal
from docmail.language import _, ngettext
from docmail.presets import current_organisation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docmail.diagnosis import Check, DomainReport
    from docmail.outbox import Outbox, Row
    from docmail.sandbox import ReceivedMail
    from docmail.settings import Settings

_LOOK_SECONDS = 0.2
_LOOK_FOR_HOST = 10  # every so many looks


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without “quotation marks” is no reason to stop
    parser = _parser()
    options = parser.parse_args(notebooks.with_values(sys.argv[1:] if arguments is None else arguments))
    if "run" not in options:
        parser.print_help()
        return 0
    try:
        with at_terminal(), _organisation_checked(options):
            return int(options.run(options))
    except DocmailError as exc:
        print(exc, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Somebody reads no further (`| head`); the interpreter must not stumble over the same pipe at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    from docmail import __version__

    # As it was called: the console script has a name, the module would be "__main__.py".
    called = Path(sys.argv[0]).stem
    program = "docmail" if called == "docmail" else "python -m docmail"
    parser = argparse.ArgumentParser(
        prog=program,
        description=_("Email the PDFs you generate; see also the notebooks."),
        epilog=_("“{program} COMMAND --help” explains a command.").format(program=program),
    )
    parser.add_argument("--version", action="version", version=f"docmail {__version__}")
    commands = parser.add_subparsers(metavar="command")

    demo = commands.add_parser(
        "demo", help=_("send an invoice to a mail server on this computer and show what arrives")
    )
    demo.set_defaults(run=_demo)

    sandbox = commands.add_parser("sandbox", help=_("run the mail server that your notebooks share, until Ctrl-C"))
    sandbox.set_defaults(run=_sandbox)

    test = commands.add_parser("test", help=_("send the test email and say phase by phase what happens"))
    test.add_argument("--profile", help=_("the saved settings to test"))
    test.add_argument("--to", help=_("a recipient other than the sender"))
    test.set_defaults(run=_test)

    send = commands.add_parser("send", help=_("email files"))
    send.add_argument("files", nargs="+", type=Path, metavar="FILE")
    send.add_argument("--to", required=True, help=_("addresses, separated by ; or ,"))
    send.add_argument("--subject", required=True)
    send.add_argument("--body", default="", help=_("text in Markdown"))
    send.add_argument("--key", help=_("send only once under this key"))
    send.add_argument("--profile", help=_("the saved settings to send with"))
    send.set_defaults(run=_send)

    outbox = commands.add_parser(
        "outbox", help=_("the record of sent mail: list it, run the queue, retry what failed or was refused")
    )
    outbox.add_argument(
        "what",
        choices=["list", "run", "retry", "bounces"],
        help=_(
            "list: what became of each mail; run: send what waits; retry: let what was not sent wait again, for run; "
            "bounces: look in the mailbox for what came back"
        ),
    )
    outbox.add_argument("--profile", help=_("the saved settings whose mail it is"))
    outbox.add_argument("--batch", type=str.strip, help=_("only the mails of this batch"))
    outbox.add_argument("--limit", type=int, help=_("run: send no more mails than this"))
    outbox.add_argument("--rate", help=_("run: how fast, such as 30/min"))
    outbox.add_argument(
        "--wait", action="store_true", help=_("run: stay until all is sent, also what is due later; Ctrl-C ends it")
    )
    outbox.set_defaults(run=_outbox)

    domain = commands.add_parser(
        "domain",
        help=_("say whether the DNS records of a domain let its mails arrive: SPF, DKIM, DMARC, MX"),
        epilog=_("Exit status: 0 all is in order, 1 something should be changed, 3 something could not be judged."),
    )
    domain.add_argument("domain", metavar="DOMAIN", help=_("such as example.com; of an address its domain"))
    senders = domain.add_mutually_exclusive_group()
    senders.add_argument(
        "--provider", help=_("who sends the mails, such as gmail; otherwise the one that receives those of the domain")
    )
    senders.add_argument("--host", default="", help=_("the server of your own that sends the mails"))
    domain.set_defaults(run=_domain)
    notebooks.add_to(commands, _ended_politely)

    organisation = commands.add_parser(
        "organisation", help=_("show what the organisation's file fixes, or what is wrong")
    )
    organisation.set_defaults(run=_organisation)
    return parser


@contextmanager
def _organisation_checked(options: argparse.Namespace) -> Iterator[None]:
    """Say once what is wrong with the organisation's file, before a command that sends goes on without it."""
    problem = current_organisation().problem
    if problem and options.run in {_test, _send, _outbox}:
        print(problem, file=sys.stderr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OrganisationWarning)
        yield


def _say(text: str = "") -> None:
    print("".join(sign if sign.isprintable() else "·" for sign in text), flush=True)


# --- the commands -----------------------------------------------------------------------------------------------------


def _demo(_options: argparse.Namespace) -> int:
    import docmail
    from docmail.command_line.demo import NUMBER, invoice, look

    with docmail.Sandbox() as box:
        _say(_("A mail server of your own runs at {host}:{port}; nothing leaves this computer.").format(
            host=box.host, port=box.port
        ))  # fmt: skip
        box.settings.save()
        subject = _("Invoice {number}").format(number=NUMBER)
        body = _("Dear customer,\n\nplease find our invoice **{number}** attached.\n\nKind regards,\nAccounts").format(
            number=NUMBER
        )
        result = docmail.send(invoice(), to="cfo@example.com", subject=subject, body=body, look=look())
        _say(_("Sent. The server said: {reply}").format(reply=result.reply))
        _say()
        _say(_("What arrived:"))
        _show(box.inbox.wait()[0])
    _say()
    _say(_("The same in JupyterLab, with your own mail account when you like:"))
    _say("  make lab")
    return 0


def _show(mail: ReceivedMail) -> None:
    for name, value in (
        (_("From"), str(mail["From"])),
        (_("To"), ", ".join(mail.recipients)),
        (_("Subject"), mail.subject),
        (_("Text"), " ".join(mail.text.split())),
    ):
        _say(f"  {name:<12}{value}")
    for attachment in mail.attachments:
        size = _("{name}, {size:,.1f} kB").format(name=attachment.name, size=attachment.size / 1000)
        if attachment.pages is not None:
            pages = ngettext("{count} page", "{count} pages", attachment.pages).format(count=attachment.pages)
            size = f"{size}, {pages}"
        _say(f"  {_('Attachment'):<12}{size}")


def _sandbox(_options: argparse.Namespace) -> int:
    from docmail.sandbox import Sandbox

    box = Sandbox.shared()
    if box.is_host:
        _say(_("The sandbox that your notebooks share runs at {host}:{port}; Ctrl-C ends it.").format(
            host=box.host, port=box.port
        ))  # fmt: skip
    else:
        _say(_("Another program runs the sandbox already, at {host}:{port}; this one watches until Ctrl-C.").format(
            host=box.host, port=box.port
        ))  # fmt: skip
    _say(_("In a notebook:"))
    _say("    box = docmail.Sandbox.shared()")
    _say('    docmail.send(pdf, to="cfo@example.com", subject="Q3", settings=box.settings)')
    seen = box.inbox[-1].number if len(box.inbox) else 0
    looks = 0
    try:
        with _ended_politely():
            while True:
                for mail in box.inbox.after(seen):
                    seen = mail.number
                    names = "".join(f", {attachment.name}" for attachment in mail.attachments)
                    _say(f"{time.strftime('%H:%M:%S')}  {', '.join(mail.recipients)}: {mail.subject}{names}")
                time.sleep(_LOOK_SECONDS)
                looks += 1
                if looks % _LOOK_FOR_HOST == 0:
                    box = Sandbox.shared()  # hosts it when the other program has ended
    except KeyboardInterrupt:
        box.close()
        return 0


def _test(options: argparse.Namespace) -> int:
    from docmail.diagnosis import diagnose
    from docmail.settings import Settings

    settings = Settings.load(options.profile) if options.profile else None
    diagnosis = diagnose(settings, to=options.to, on_check=_say_check)
    failed = diagnosis.failed
    if failed is None:
        _say(_("The test email was sent."))
        if diagnosis.domain is not None:
            _say_domain(diagnosis.domain)
        return 0
    for line in (failed.hint, failed.guide and _("More: the guide “{guide}”.").format(guide=failed.guide)):
        if line:
            print(line, file=sys.stderr)
    return 1


def _say_check(check: Check) -> None:
    mark = _("ok") if check.ok else _("FAILED")
    _say(f"{mark:<7}{check.phase:<11}{check.seconds * 1000:>7,.0f} ms  {check.text}")


def _domain(options: argparse.Namespace) -> int:
    """Say how a domain's records stand; 0 if all is well, 1 if something should change, 3 if something is not known."""
    from docmail.diagnosis import Standing, look_at_domain

    report = look_at_domain(options.domain, provider=options.provider, host=options.host)
    if report.provider:
        _say(_("Mails of {domain}, sent through {provider}:").format(domain=report.domain, provider=report.provider))
    _say_domain(report)
    if not (options.provider or options.host):
        _say(_("--provider or --host names who sends the mails, if it is another."))
    return {Standing.GOOD: 0, Standing.ADVICE: 1, Standing.UNKNOWN: 3}[report.standing]


def _say_domain(report: DomainReport) -> None:
    marks = {"good": _("ok"), "advice": _("CHANGE"), "unknown": "?"}
    for check in report.checks:
        subject = _("domain") if check.subject == "domain" else check.subject
        _say(f"{marks[check.standing]:<7}{subject:<11}{check.text}")
    if report.letter:
        _say()
        for line in report.letter.splitlines():
            _say(line)


def _send(options: argparse.Namespace) -> int:
    import docmail

    settings = docmail.Settings.load(options.profile) if options.profile else None
    with warnings.catch_warnings():
        # What it would warn about is said below.
        warnings.simplefilter("ignore", UserWarning)
        result = docmail.send(
            options.files,
            to=options.to,
            subject=options.subject,
            body=options.body,
            key=options.key,
            settings=settings,
        )
    recipients = listed(result.accepted, ", ")
    if result.repeated:
        _say(_("Sent before to {recipients}; not sent again.").format(recipients=recipients))
    else:
        _say(_("Sent to {recipients}.").format(recipients=recipients))
    for address, reply in result.refused.items():
        print(_("Refused: {address} — {reply}").format(address=address, reply=reply), file=sys.stderr)
    return 1 if result.refused else 0


def _outbox(options: argparse.Namespace) -> int:
    from docmail import Outbox, Settings
    from docmail.outbox import nothing_of

    # A named profile, also one named by the environment, may have an outbox of its own: the sandbox has.
    named = options.profile or os.environ.get("DOCMAIL_PROFILE")
    settings = Settings.load(named) if named else None
    outbox = Outbox(settings.home.outbox if settings and settings.home else None)
    try:
        if options.what == "run":
            return _run_outbox(outbox, settings, options)
        if options.what == "retry":
            number = outbox.retry(options.batch)
            _say(ngettext("{number} mail waits again.", "{number} mails wait again.", number).format(number=number))
            return 0
        if options.what == "bounces":
            _say(str(outbox.find_bounces(settings=settings)))
            return 0
        is_empty = True
        for row in outbox:
            if options.batch is None or row.batch == options.batch:
                is_empty = False
                when = (row.sent_at or row.created).astimezone().strftime("%Y-%m-%d %H:%M")
                _say(f"{row.id:>5}  {row.state:<8} {when}  {', '.join(row.to)}: {row.subject}{_known_of(row)}")
        if is_empty:
            print(nothing_of(options.batch), file=sys.stderr)  # a program that reads the list gets none
    finally:
        outbox.close()
    return 0


def _organisation(_options: argparse.Namespace) -> int:
    """Show what the organisation's file fixes; 1 if it cannot be used, or if there is none."""
    from docmail.presets import organisation_places

    found = current_organisation()
    if found.problem:
        print(found.problem, file=sys.stderr)
        return 1
    if found.path is None:
        _say(_("There is no organisation's file. docmail looks for one in these places:"))
        for place in organisation_places():
            _say(f"  {place}")
        _say(_("DOCMAIL_ORGANISATION names another place."))
        return 1
    _say(_("The organisation's file {path} is in order.").format(path=found.path))
    for provider in found.providers:
        preset = provider.preset
        _say(f"  {', '.join(preset.domains)}")
        port = f", {provider.port}, {provider.security}" if provider.host else ""
        _say(f"    {provider.host or provider.api}{port}{f', {provider.ca_file}' if provider.ca_file else ''}")
        if provider.sign_in != "password":
            _say(f"    {provider.sign_in}: {provider.application.client_id} {provider.application.tenant}".rstrip())
    for name, application in (("microsoft", found.microsoft), ("google", found.google)):
        if application.client_id:
            _say(f"  {name}: {application.client_id} {application.tenant}".rstrip())
    if found.copy_to:
        _say(f"  {_('a copy of every email goes to {address}').format(address=found.copy_to)}")
    if found.look is not None:
        said = ", ".join(name for name, value in vars(found.look).items() if value)
        _say(f"  {_('the look of mails and documents: {what}').format(what=said)}")
    return 0


def _known_of(row: Row) -> str:
    """Return what is known of a mail that was not sent, or perhaps not, or not to everybody."""
    from docmail.outbox import Role, State, due_text, is_due

    if row.state in {State.SENT, State.BOUNCED}:
        missed = [
            f"{address}: {(each.reply if each.state != State.SENT else '') or each.reason or each.state}"
            for address, each in row.recipients.items()
            if (each.state != State.SENT or each.reason) and each.role != Role.ARCHIVE
        ]
        partly = any(row.recipients[address].state != State.SENT for address in row.people) and row.state == State.SENT
        return f" -- {_('not to everybody') + ': ' if partly else ''}{listed(missed)}" if missed else ""
    if row.state == State.QUEUED and not is_due(row.send_at) and row.send_at is not None:
        return f" -- {_('to be sent at {time}').format(time=due_text(row.send_at))}"
    known = row.reason or str(row.reply or "")
    return f" -- {known}" if known else ""


def _run_outbox(outbox: Outbox, settings: Settings | None, options: argparse.Namespace) -> int:
    """Send what waits; 0 if everybody has got what was tried, 1 if something new, or in doubt, needs a person."""
    from docmail.outbox import State, nothing_of

    if options.wait:
        return _stay(outbox, settings, options)
    with _ended_politely():
        counts = outbox.run(settings=settings, batch=options.batch, limit=options.limit, rate=options.rate)
    _say(", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or nothing_of(options.batch))
    if counts.after_sending:
        _say(counts.after_sending)
    if counts.due_later:
        _say(f"{counts.due_later}.")
    return 1 if counts.progress.missed or counts.get(State.UNKNOWN) else 0


def _stay(outbox: Outbox, settings: Settings | None, options: argparse.Namespace) -> int:
    """Send what waits, and what is due later, each mail at its time; 0 also if somebody ends it before."""
    from docmail.outbox import nothing_of, stay
    from docmail.settings import usable

    if options.limit is not None:
        raise MessageError(
            _("--wait sends all that waits, so it takes no --limit."), hint=_("Leave one of the two out.")
        )
    try:
        with _ended_politely():
            if not len(outbox):
                _say(nothing_of(options.batch))
            all_well = stay(outbox.folder, usable(settings, None), batch=options.batch, rate=options.rate, say=_say)
    except KeyboardInterrupt:
        _say(_("Ended. What is not sent yet waits in the outbox."))
        return 0
    return 0 if all_well else 1


@contextmanager
def _ended_politely() -> Iterator[None]:
    """Take the signals that ask a program to end as Ctrl-C: the mail that is on its way is waited for.

    systemd, or a computer that shuts down, sends SIGTERM; Windows has SIGBREAK for it, and for a window that is closed.
    """

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    known = [getattr(signal, name) for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    before = {each: signal.signal(each, interrupt) for each in known}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
