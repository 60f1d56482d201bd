"""Executes a notebook and mails what it shows, once; if it fails, one mail says so to somebody who can mend it.

    looked up ─▶ claimed ─▶ executed ─▶ kept ─▶ sent

Under a key, the record is looked at first, and the key is claimed by a lock for as long as the notebook is executed:
of two programs that start at once, one executes it, and the other one finds the mail sent. A program that is killed
loses its lock with its life. From the moment in which the mail is made, the outbox answers for it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docmail import credentials
from docmail.documents import Document
from docmail.errors import DocmailError, MessageError, NotebookError, listed
from docmail.files import make_folder, reason_of, write_whole
from docmail.foreign import Notebook
from docmail.language import _
from docmail.message import Message, addresses_of, key_text
from docmail.notebook.redacting import known_secrets, shown
from docmail.notebook.source import Source, as_parameter, missing_extra, read
from docmail.outbox import deliver, recorded
from docmail.settings import usable
from docmail.templates import check, fields_of, fill
from docmail.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from docmail.addresses import Address
    from docmail.notebook.execution import Execution
    from docmail.secret import Secret
    from docmail.settings import Settings
    from docmail.transport import SendResult

    Addresses = str | Address | Iterable[str | Address]

_LONGEST_TIMEOUT = 7 * 86_400.0  # seconds
_UNKNOWN_YET = "…"  # the subject, until the notebook has been executed


class SentAs(StrEnum):
    """How a notebook travels: as the text of the mail, or attached as a document.

    >>> docmail.notebook.SentAs("pdf")
    <SentAs.PDF: 'pdf'>
    """

    BODY = "body"
    PDF = "pdf"
    HTML = "html"


class Outcome(StrEnum):
    """What became of a run: its mail was sent, or had been sent before, or the notebook said that there is nothing.

    >>> docmail.notebook.Outcome.NOTHING == "nothing to send"
    True
    """

    SENT = "sent"
    SENT_BEFORE = "sent before"
    NOTHING = "nothing to send"


@dataclass(frozen=True)
class RunResult:
    """What became of a run: what was `sent`, None if there was nothing to send, and why (`skipped`).

    `executed` is the file with the executed copy, None if the notebook was not executed again; `seconds` is how long it
    all took.

    >>> result = docmail.notebook.run("report.ipynb", to="cfo@example.com", subject="Sales")
    >>> result.sent.accepted, result.skipped
    (('cfo@example.com',), None)
    """

    sent: SendResult | None
    skipped: str | None
    executed: Path | None
    seconds: float

    @property
    def outcome(self) -> Outcome:
        """What became of it, in a word."""
        if self.sent is None:
            return Outcome.NOTHING
        return Outcome.SENT_BEFORE if self.sent.repeated else Outcome.SENT


@dataclass(frozen=True)
class Job:
    """A notebook to be executed, and the mail that becomes of it; what can be checked beforehand is checked here.

    `Job.of` makes it of what `run` takes: `source` is the notebook that was read, `started` the time that `today` in
    its `key` means; `to`, `subject`, `cc`, `parameters`, `sent_as` and `timeout` are as given.

    >>> docmail.notebook.Job.of("report.ipynb", to="cfo@example.com", subject="Sales", key="sales {{ today }}").key[:6]
    'sales '
    """

    source: Source
    to: Addresses
    subject: str
    cc: Addresses
    parameters: Mapping[str, Any]
    key: str | None
    sent_as: SentAs
    timeout: float
    started: dt.datetime

    @classmethod
    def of(  # noqa: PLR0913 - as `run`
        cls,
        path: Path | str,
        *,
        to: Addresses,
        subject: str,
        cc: Addresses = (),
        parameters: Mapping[str, Any] | None = None,
        key: str | float | None = None,
        sent_as: str = SentAs.BODY,
        timeout: float = 600,
    ) -> Job:
        """Return the job; raises `MessageError` for a value, or a file, that cannot be used.

        `path`, `to`, `subject`, `cc`, `parameters`, `key`, `sent_as` and `timeout` (seconds) are those of `run`.
        """
        if sent_as not in list(SentAs):
            raise MessageError(
                _("“{value}” is no way to send a notebook.").format(value=sent_as),
                field="sent_as",
                hint=_("Say body, pdf or html."),
            )
        number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
        if not number or not 0 < timeout <= _LONGEST_TIMEOUT:
            raise MessageError(
                _("The timeout must be a number of seconds, more than 0 and at most a week."),
                field="timeout",
                hint=_("Leave it out, or write timeout=600."),
            )
        source = read(path)
        parameters = {name: as_parameter(name, value) for name, value in (parameters or {}).items()}
        source.check(parameters)
        _check_subject(subject, source, parameters)
        started = dt.datetime.now().astimezone()
        filled = None if key is None else key_text(key)
        if filled is not None:
            filled = key_text(fill(filled, {"today": started.date(), **parameters}, field="key"))
        job = cls(source, to, subject, cc, parameters, filled, SentAs(sent_as), timeout, started)
        job.message(_UNKNOWN_YET)  # raises for the addresses
        return job

    @property
    def mark(self) -> str:
        """What tells this report from another one of the same name: of its folder and its parameters."""
        told = json.dumps([str(self.source.path), sorted(self.parameters.items())], default=str)
        return sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:6]

    def message(self, subject: str, body: Any = "", documents: Any = ()) -> Message:
        """Return the mail of this job, with the `subject`, `body` and `documents` that the execution has made.

        >>> docmail.notebook.Job.of("report.ipynb", to="cfo@example.com", subject="Sales").message("Sales")
        <Message to cfo@example.com: 'Sales'>
        """
        return Message(self.to, subject, body, documents, self.cc, key=self.key)

    def result(self, settings: Settings) -> RunResult:
        """Execute the notebook and send what it shows through `settings`, unless its key has been sent.

        >>> result = docmail.notebook.Job.of("report.ipynb", to="cfo@example.com", subject="Sales").result(settings)
        >>> str(result.outcome)
        'sent'
        """
        begun = time.monotonic()

        def over(sent: SendResult | None, skipped: str | None = None, executed: Path | None = None) -> RunResult:
            return RunResult(sent, skipped, executed, time.monotonic() - begun)

        if before := self._sent_before(settings):
            return over(before)
        check_credential(settings)
        with self._claimed(settings):
            if before := self._sent_before(settings):
                return over(before)
            secrets = known_secrets(settings, self.parameters)
            execution = self._execution(secrets)
            with self._copying(settings):
                executed = self._kept(execution, settings)
                if execution.failure is not None:
                    raise execution.failure
                if execution.skipped is not None:
                    return over(None, execution.skipped, executed)
                message = self._made(execution, executed, secrets)
            return over(deliver(message, settings=settings), None, executed)

    def _sent_before(self, settings: Settings) -> SendResult | None:
        return None if self.key is None else recorded(self.message(_UNKNOWN_YET), settings)

    @contextmanager
    def _claimed(self, settings: Settings) -> Iterator[None]:
        """Hold this key for as long as the notebook is executed; waits for another program that holds it."""
        if self.key is None:
            yield
            return
        from filelock import FileLock, Timeout

        name = sha256(f"{settings.address.addr_spec.casefold()}\n{self.key}".encode()).hexdigest()[:3]
        # Of so many files each is for many keys, which is seldom a reason to wait, and keys make no more of them.
        lock = FileLock(_folder(settings) / f"{name}.lock", thread_local=False, mode=0o600)
        try:
            # The other one is done, or ended by its own timeout, when this time is over.
            lock.acquire(timeout=self.timeout + 60)
        except Timeout:
            raise NotebookError(
                _("Another program has been executing {name} under the key {key} since; nothing was sent.").format(
                    name=self.source.path.name, key=self.key
                ),
                hint=_("Wait until it is done, and look at docmail.Outbox()."),
            ) from None
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _copying(self, settings: Settings) -> Iterator[None]:
        """Keep other runs of this notebook from writing their copy until the mail is made of this one's."""
        from filelock import FileLock

        with FileLock(_folder(settings) / "copying.lock", thread_local=False, mode=0o600):
            yield

    def _execution(self, secrets: list[Secret]) -> Execution:
        # The debugger that ipykernel brings would tell whoever reads the output of a scheduled run about Python itself.
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        try:
            from docmail.notebook.execution import execute
        except ImportError as exc:
            raise missing_extra() from exc
        return execute(
            self.source,
            self.parameters,
            variables=fields_of(self.subject) - self.parameters.keys(),
            timeout=self.timeout,
            secrets=secrets,
        )

    def _kept(self, execution: Execution, settings: Settings) -> Path:
        """Write the executed copy beside the record of mail, in the place of that of the run before."""
        path = self.source.path
        # A folder for each notebook, so that the copy has the same name.
        target = _folder(settings) / sha256(os.fsencode(path)).hexdigest()[:12] / path.name
        content = json.dumps(execution.notebook or {}, indent=1, ensure_ascii=False)
        try:
            make_folder(target.parent)
            write_whole(target, content.encode("utf-8", "backslashreplace"))
        except OSError as exc:
            raise NotebookError(
                _("The executed copy of {name} cannot be written: {reason}.").format(
                    name=path.name, reason=reason_of(exc, target)
                ),
                hint=_("Make room on the disk, or set DOCMAIL_HOME to a folder you can write to."),
            ) from exc
        return target

    def _made(self, execution: Execution, executed: Path, secrets: list[Secret]) -> Message:
        """Return the mail with what the notebook shows."""
        known = {"today": self.started.date(), **execution.values, **self.parameters}
        try:
            subject = fill(self.subject, known, field="subject")
        except MessageError as exc:
            if missing := sorted(fields_of(self.subject) - known.keys()):
                raise self.source.without(missing[0], executed=True) from exc
            raise
        try:
            # The pictures that its Markdown names lie beside the source.
            notebook = Notebook(executed, folder=self.source.path.parent)
            if self.sent_as is SentAs.BODY:
                return self.message(subject, notebook)
            return self.message(subject, "", Document.of(notebook, name=f"{self.source.path.stem}.{self.sent_as}"))
        except MessageError as exc:
            if exc.field not in {"body", "documents"}:
                raise
            # What the notebook shows cannot be mailed, which no other call would change.
            raise NotebookError(shown(exc.message, secrets), hint=exc.hint, guide=exc.guide) from exc


def run(  # noqa: PLR0913 - the header fields of a mail, and how the notebook is executed
    path: Path | str,
    *,
    to: Addresses,
    subject: str,
    cc: Addresses = (),
    parameters: Mapping[str, Any] | None = None,
    key: str | float | None = None,
    on_error: Addresses = (),
    sent_as: str = SentAs.BODY,
    settings: Settings | None = None,
    timeout: float = 600,
) -> RunResult:
    """Execute the notebook at `path` in a copy, and email what it shows: `docmail notebook run` does the same.

    `to` and `cc` are as for `docmail.send`, `settings` None are the saved ones. `parameters` are papermill's: they take
    the place of those in the cell tagged `parameters`. `subject` and `key` are templates with the parameters and
    `today`; the subject can have every variable of the notebook. With a `key`, the mail is sent once, and a notebook
    whose key has been sent is not executed again. The mail's text is what the notebook shows, without code; `sent_as`
    "pdf" or "html" attaches it instead. `timeout` (seconds) covers all cells.

    Raises `MessageError` for a value that cannot be used, `NotebookError` if the notebook fails, and what
    `docmail.send` raises. Then one mail says so to `on_error`, without passwords and recipients.

    >>> result = docmail.notebook.run("report.ipynb", to="cfo@example.com", subject="Sales", key="sales {{ today }}")
    >>> str(result.outcome)
    'sent'
    """
    # Otherwise it would be found wrong on the day when somebody should hear of a failure.
    on_error = addresses_of(on_error, "on_error") if on_error else ()
    with reported(path, on_error, settings):
        job = Job.of(
            path, to=to, subject=subject, cc=cc, parameters=parameters, key=key, sent_as=sent_as, timeout=timeout
        )
        chosen = usable(settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what it would warn about is reported below
            result = job.result(chosen)
        if on_error and result.sent is not None and result.sent.refused and not result.sent.repeated:
            _report(on_error, job.source.path.name, _refusals(result.sent, chosen), chosen)
        return result


def _check_subject(subject: str, source: Source, parameters: Mapping[str, Any]) -> None:
    """Raise `MessageError` for a subject that cannot be filled, before the notebook is executed for hours."""
    check(subject, field="subject")
    for name in sorted(fields_of(subject)):
        if name != "today" and name not in parameters and not source.may_set(name):
            raise source.without(name)


def check_credential(settings: Settings) -> None:
    """Raise `CredentialError` if these settings have nothing to sign in with; nothing is connected.

    >>> docmail.notebook.check_credential(settings)
    """
    if settings.signs_in_with_token:
        from docmail.oauth import tokens_of

        if tokens_of(settings).for_application:
            return
    credentials.get(settings)


# --- reports ----------------------------------------------------------------------------------------------------------


@contextmanager
def reported(path: Path | str, on_error: Addresses, settings: Settings | None) -> Iterator[None]:
    """Have one mail say to `on_error` what goes wrong in the block with the notebook at `path`; the error goes on.

    It is sent through `settings` (None: the saved ones). If that mail cannot be sent either, a note of the error says
    so.

    >>> with docmail.notebook.reported("report.ipynb", "me@example.com", settings):
    ...     raise docmail.errors.NotebookError("The third cell failed.")
    Traceback (most recent call last):
    docmail.errors.NotebookError: The third cell failed...
    >>> box.inbox[-1].recipients
    ('me@example.com',)
    """
    try:
        yield
    except DocmailError as exc:
        if on_error:
            try:
                _report(on_error, Path(path).name, report_of(exc, settings), settings)
            except DocmailError as other:
                exc.add_note(
                    _("The mail about it could not be sent either.")
                    if str(other) == str(exc)
                    else _("The mail about it could not be sent: {reason}").format(
                        reason=shown(str(other), known_secrets(None, {}))
                    )
                )
        raise


def report_of(exc: DocmailError, settings: Settings | None = None) -> str:
    """Return what is said of a failure (`exc`): sentence, cell, error, last output; no password and no address.

    `settings` are those of the run, whose password is left out of it.

    >>> print(docmail.notebook.report_of(docmail.errors.NotebookError("No.", cell=3, error="KeyError: 'x'")))
    No.
    ...
    """
    secrets = known_secrets(settings, {})
    parts = [shown(str(exc), secrets)]
    if isinstance(exc, NotebookError) and exc.cell is not None:
        parts.append(f"{_('Cell {number}:').format(number=exc.cell)} {exc.source}")
        parts += [f"{_('Error:')} {exc.error}"] if exc.error else []
        parts += [f"{_('Last output:')}\n{_indented(exc.output)}"] if exc.output else []
    return "\n\n".join(parts)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _refusals(sent: SendResult, settings: Settings) -> str:
    replies = listed(sorted({str(reply) for reply in sent.refused.values()}))
    return shown(
        _("Sent, but not to everybody: {number} of {all} recipients were refused. {replies}").format(
            number=len(sent.refused), all=len(sent.refused) + len(sent.accepted), replies=replies
        ),
        known_secrets(settings, {}),
    )


def _report(on_error: Addresses, name: str, text: str, settings: Settings | None) -> None:
    """Send the one mail about a failure."""
    moment = dt.datetime.now().astimezone()
    lead = _("{name}, {time:%Y-%m-%d %H:%M}, on {computer}:").format(
        name=name, time=moment, computer=platform.node() or "?"
    )
    # What stands in lines of their own is shown as it is; the rest is a sentence, and no Markdown.
    body = "\n".join(line if line.startswith("    ") else escape(line) for line in [lead, "", *text.splitlines()])
    subject = _("{name} failed").format(name=name)
    message = Message(on_error, subject, body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        deliver(message, settings=settings)


def _folder(settings: Settings) -> Path:
    """Return the folder for the executed copies and the locks, beside the record of mail."""
    folder = settings.recorded_in.outbox / "notebooks"
    try:
        make_folder(folder)
    except OSError as exc:
        raise DocmailError(
            _("The folder {path} cannot be used: {reason}.").format(path=folder, reason=reason_of(exc, folder)),
            hint=_("Set DOCMAIL_HOME to a folder of your own."),
        ) from exc
    return folder
