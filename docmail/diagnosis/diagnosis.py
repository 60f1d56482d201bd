"""The test email: goes through the connection phase by phase, and names the one that fails and the field to change.

It really sends: some servers refuse a sender or a message only after they have read it.
"""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docmail import credentials
from docmail.errors import (
    CredentialError,
    DocmailError,
    Kind,
    MessageError,
    SendError,
    TLSError,
)
from docmail.language import _
from docmail.message import Message
from docmail.net import Deadline
from docmail.oauth import tokens_of
from docmail.settings import Settings, SmtpServer, usable
from docmail.transport import Transport, check_seconds, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.diagnosis.explore import Finding
    from docmail.reply import Certificate, Reply
    from docmail.secret import Secret

__all__ = ["Check", "Diagnosis", "diagnose", "send_test"]

TEST_REPLY_SECONDS = 20.0
"""How long the test waits for the reply after the last byte; nothing of value is in doubt then."""

_SHARE = 0.75
"""How much of its time the test gives to the settings as they are; the rest is for a look at what would work."""


@dataclass(frozen=True)
class Check:
    """One phase of the connection: whether it went well, what was found, and how long it took (seconds).

    A failed one also says of what `kind` the failure is, what to do (`hint`), which setting to change (`field`), which
    guide tells more, what the server replied, the `certificate` that was not accepted with its `fingerprint`, and
    another `port` of the server that answers.
    """

    phase: str
    ok: bool
    text: str
    seconds: float
    kind: Kind | None = None
    hint: str = ""
    field: str | None = None
    guide: str | None = None
    reply: Reply | None = None
    fingerprint: str | None = None
    certificate: Certificate | None = None
    port: int | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What the test email found: one check per phase, in the order met; the failed one, if any, is the last."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether the test email was taken."""
        return self.failed is None

    @property
    def failed(self) -> Check | None:
        """The check that failed, or None."""
        return next((check for check in self.checks if not check.ok), None)

    def __repr__(self) -> str:
        failed = self.failed
        return (
            f"<Diagnosis ok, {len(self.checks)} checks>" if failed is None else f"<Diagnosis failed at {failed.phase}>"
        )


def send_test(settings: Settings | None = None, *, to: str | None = None, timeout: float = 20) -> Diagnosis:
    """Send the test email and say phase by phase what happened.

    It goes from the configured sender to the configured sender (HTTP: to Reply to), or to `to`, through these settings
    (None: the saved ones), within `timeout` seconds and a little more for the reply. When the server cannot be talked
    to, it looks by itself what speaks there, and whether the other port answers. Returns a `Diagnosis`; never raises
    for what can be wrong with settings, credentials, network or server.
    """
    return diagnose(settings, to=to, timeout=timeout)


def diagnose(  # noqa: PLR0913 - what a form knows, and the means to follow and to stop it
    settings: Settings | None,
    *,
    secret: Secret | None = None,
    to: str | None = None,
    timeout: float = 20,
    on_check: Callable[[Check], None] | None = None,
    hold: Callable[[Transport], None] | None = None,
) -> Diagnosis:
    """Do what `send_test` does; `secret` is a password not stored yet, `on_check` hears of each phase as it ends.

    `hold` gets the transport before it connects, so that another thread can abort it.
    """
    return _Examination(on_check).run(settings, secret, to, timeout, hold)


class _Examination:
    def __init__(self, on_check: Callable[[Check], None] | None) -> None:
        self._on_check = on_check or (lambda _check: None)
        self._checks: list[Check] = []
        self._since = time.monotonic()

    def run(
        self,
        settings: Settings | None,
        secret: Secret | None,
        to: str | None,
        timeout: float,
        hold: Callable[[Transport], None] | None,
    ) -> Diagnosis:
        transport = deadline = None
        try:
            settings = usable(settings)
            check_seconds(timeout)
            message = _test_message(settings, to)
            mail = message.render(settings)
            self._passed("settings", _("complete"))
            typed = secret is not None and settings.account.username and not settings.signs_in_with_token
            if settings.signs_in_with_token:
                secret = None  # what stands in the row of the password is not meant
                tokens_of(settings).current()
            else:
                secret = credentials.tidied(settings, secret) if secret and typed else credentials.get(settings)
            self._passed("credential", _("password as typed") if typed else _where(settings))
            deadline = Deadline(timeout)
            transport = open_transport(
                settings,
                secret=secret,
                timeout=timeout * _SHARE,
                reply_timeout=TEST_REPLY_SECONDS,
                observe=self._passed,
            )
            if hold is not None:
                hold(transport)
            transport.open()
            transport.send(mail)
        except DocmailError as exc:
            seconds = self._seconds()
            finding = _explored(settings, transport, exc, deadline) if transport and deadline else None
            self._failed(_for_oneself(exc) if to is None else exc, seconds, finding)
        finally:
            if transport is not None:
                transport.close()
        return Diagnosis(tuple(self._checks))

    def _passed(self, phase: str, text: str) -> None:
        self._add(Check(phase, True, text, self._seconds()))  # noqa: FBT003 - the field is named ok

    def _failed(self, error: DocmailError, seconds: float, finding: Finding | None) -> None:
        kind, phase, reply = _place(error)
        found = finding._asdict() if finding else {}
        self._add(
            Check(
                phase,
                ok=False,
                text=found.get("message") or error.message,
                seconds=seconds,
                kind=kind,
                hint=found.get("hint") or error.hint,
                field=found.get("field") or error.field,
                guide=error.guide,
                reply=reply,
                fingerprint=error.fingerprint if isinstance(error, TLSError) else None,
                certificate=error.certificate if isinstance(error, TLSError) else None,
                port=found.get("port"),
            )
        )

    def _seconds(self) -> float:
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        return seconds

    def _add(self, check: Check) -> None:
        # STARTTLS says EHLO twice; one line is enough, unless the second time fails.
        if any(each.phase == check.phase for each in self._checks):
            if check.ok:
                return
            self._checks = [each for each in self._checks if each.phase != check.phase]
        self._checks.append(check)
        self._on_check(check)


def _place(error: DocmailError) -> tuple[Kind, str, Reply | None]:
    """Return the kind, the phase and the reply of a failure."""
    if isinstance(error, SendError):
        return error.kind, error.phase, error.reply
    if isinstance(error, CredentialError):
        return Kind.AUTH, "credential", None
    if isinstance(error, MessageError):
        return Kind.MESSAGE, "settings", None
    return Kind.CONFIG, "settings", None


def _explored(
    settings: Settings | None, transport: Transport, error: DocmailError, deadline: Deadline
) -> Finding | None:
    """Find out what stands behind a failed connection, in the time that is left."""
    from docmail.diagnosis.explore import explore
    from docmail.transport import SmtpTransport

    if not isinstance(transport, SmtpTransport) or not isinstance(error, SendError):
        return None
    assert settings is not None  # noqa: S101 - there is a transport
    assert isinstance(settings.server, SmtpServer)  # noqa: S101 - as above
    try:
        seconds = deadline.remaining()
    except TimeoutError:
        return None
    return explore(transport.connect_again, settings.server, settings.account.host, error, seconds)


def _for_oneself(error: DocmailError) -> DocmailError:
    """Point at the sender's own address where the server refuses the recipient: in the test they are one."""
    if isinstance(error, SendError) and error.kind is Kind.RECIPIENT and error.phase == "rcpt":
        if error.reply is not None and error.reply.enhanced == "5.2.2":  # RFC 3463: mailbox full
            error.hint = _("The test email goes to your own address: make room in its mailbox, and try again.")
        else:
            error.field = "email_address"
            error.hint = _("The test email goes to your own address: check that, or ask the server's administrator.")
    return error


def _where(settings: Settings) -> str:
    if settings.signs_in_with_token:
        return _("signed in as {username}").format(username=settings.account.username)
    place = credentials.where(settings)
    if place == "keyring":
        return _("password from {keyring}").format(keyring=credentials.keyring_in_words())
    return {
        None: _("no sign-in"),
        "session": _("password of this session"),
        "environment": _("password from the environment"),
    }[place]


def _test_message(settings: Settings, to: str | None) -> Message:
    address = settings.reply_to[0] if settings.server_has_the_address else settings.address.addr_spec
    return Message(
        to=address if to is None else to,
        subject=_("docmail: your email settings work"),
        body=_(
            "This is the test email of docmail, sent from the computer {computer} at {time}.\n\n"
            "That you can read it means that the settings work: documents can be emailed with them.\n"
        ).format(computer=platform.node() or "?", time=time.strftime("%Y-%m-%d %H:%M %Z")),
    )
