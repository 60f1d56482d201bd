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
from pathlib import Path
from typing import TYPE_CHECKING

from docmail.errors import DocmailError
from docmail.language import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.diagnosis import Check
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
    options = parser.parse_args(arguments)
    if "run" not in options:
        parser.print_help()
        return 0
    try:
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
    test.add_argument("--to", help=_("another recipient than the sender"))
    test.set_defaults(run=_test)

    send = commands.add_parser("send", help=_("email files"))
    send.add_argument("files", nargs="+", type=Path, metavar="FILE")
    send.add_argument("--to", required=True, help=_("addresses, separated by ; or ,"))
    send.add_argument("--subject", required=True)
    send.add_argument("--body", default="", help=_("text in Markdown"))
    send.add_argument("--key", help=_("send only once what has this key"))
    send.add_argument("--profile", help=_("the saved settings to send with"))
    send.set_defaults(run=_send)

    outbox = commands.add_parser(
        "outbox", help=_("the record of sent mail: list it, run the queue, retry what failed or was refused")
    )
    outbox.add_argument(
        "what",
        choices=["list", "run", "retry"],
        help=_(
            "list: what became of each mail; run: send what waits; retry: let what was not sent wait again, for run"
        ),
    )
    outbox.add_argument("--profile", help=_("the saved settings whose mail it is"))
    outbox.add_argument("--batch", type=str.strip, help=_("only the mails of this batch"))
    outbox.add_argument("--limit", type=int, help=_("run: send no more mails than this"))
    outbox.add_argument("--rate", help=_("run: how fast, such as 30/min"))
    outbox.set_defaults(run=_outbox)
    return parser


def _say(text: str = "") -> None:
    print("".join(sign if sign.isprintable() else "·" for sign in text), flush=True)


# --- the commands -----------------------------------------------------------------------------------------------------


def _demo(_options: argparse.Namespace) -> int:
    import docmail
    from docmail.command_line.demo import NUMBER, invoice

    with docmail.Sandbox() as box:
        _say(_("A mail server of your own runs at {host}:{port}; nothing leaves this computer.").format(
            host=box.host, port=box.port
        ))  # fmt: skip
        box.settings.save()
        subject = _("Invoice {number}").format(number=NUMBER)
        body = _("Dear customer,\n\nplease find our invoice **{number}** attached.\n\nKind regards,\nAccounts").format(
            number=NUMBER
        )
        result = docmail.send(invoice(), to="cfo@example.com", subject=subject, body=body)
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
        _say(_("Another program runs the sandbox already, at {host}:{port}; this one looks on until Ctrl-C.").format(
            host=box.host, port=box.port
        ))  # fmt: skip
    _say(_("In a notebook:"))
    _say("    box = docmail.Sandbox.shared()")
    _say('    docmail.send(pdf, to="cfo@example.com", subject="Q3", settings=box.settings)')
    seen = box.inbox[-1].number if len(box.inbox) else 0
    looks = 0
    try:
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
        return 0
    for line in (failed.hint, failed.guide and _("More: the guide “{guide}”.").format(guide=failed.guide)):
        if line:
            print(line, file=sys.stderr)
    return 1


def _say_check(check: Check) -> None:
    mark = _("ok") if check.ok else _("FAILED")
    _say(f"{mark:<7}{check.phase:<11}{check.seconds * 1000:>7,.0f} ms  {check.text}")


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
    recipients = ", ".join(result.accepted)
    if result.repeated:
        _say(_("Sent before to {recipients}; not sent again.").format(recipients=recipients))
    else:
        _say(_("Sent to {recipients}.").format(recipients=recipients))
    for address, reply in result.refused.items():
        print(_("Refused: {address} — {reply}").format(address=address, reply=reply), file=sys.stderr)
    return 1 if result.refused else 0


def _outbox(options: argparse.Namespace) -> int:
    from docmail import Outbox, Settings

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
        for row in outbox:
            if options.batch is None or row.batch == options.batch:
                when = (row.sent_at or row.created).astimezone().strftime("%Y-%m-%d %H:%M")
                _say(f"{row.id:>5}  {row.state:<8} {when}  {', '.join(row.to)}: {row.subject}{_known_of(row)}")
    finally:
        outbox.close()
    return 0


def _known_of(row: Row) -> str:
    """Return what is known of a mail that was not sent, or perhaps not, or not to everybody."""
    if row.state == "sent":
        missed = [
            f"{address}: {each.reply or each.state}"
            for address, each in row.recipients.items()
            if each.state != "sent" and each.role != "archive"
        ]
        return f" -- {_('not to everybody')}: {'; '.join(missed)}" if missed else ""
    known = row.reason or str(row.reply or "")
    return f" -- {known}" if known else ""


def _run_outbox(outbox: Outbox, settings: Settings | None, options: argparse.Namespace) -> int:
    """Send what waits; 0 if everybody has got what was tried, 1 if something new, or in doubt, needs a person."""
    from docmail.outbox import nothing_of

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    # systemd, or a computer that shuts down, ends it politely and waits for the mail that is on its way.
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        counts = outbox.run(settings=settings, batch=options.batch, limit=options.limit, rate=options.rate)
    finally:
        signal.signal(signal.SIGTERM, before)
    _say(", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or nothing_of(options.batch))
    return 1 if counts.missed or counts.get("unknown") else 0
