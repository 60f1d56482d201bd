"""The test email: goes through the connection phase by phase, and names the one that fails and the field to change.

It really sends: some servers refuse a sender or a message only after they have read it. What goes well is followed by a
look at the DNS of the sender's domain, which is advice and no part of the test.
"""

from __future__ import annotations

import platform
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from docmail import credentials
from docmail.diagnosis.checks import Checklist
from docmail.errors import DocmailError, Field, Kind, Phase, SendError
from docmail.language import _
from docmail.message import Message
from docmail.net import Deadline, check_seconds
from docmail.oauth import tokens_of
from docmail.settings import Security, Settings, SmtpServer, usable
from docmail.transport import Transport, Waits, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.diagnosis.checks import Check, Diagnosis
    from docmail.diagnosis.domain_report import DomainReport
    from docmail.diagnosis.explore import Finding, Ports
    from docmail.secret import Secret

__all__ = ["diagnose", "expected_phases", "send_test"]

TEST_WAITS = Waits(reply=20.0)
"""Nothing of value is in doubt in the test, so its end is not waited for as long as a mail's."""

_SHARE = 0.75
"""How much of its time the test gives to the settings as they are; the rest is for a look at what would work."""


def send_test(settings: Settings | None = None, *, to: str | None = None, timeout: float = 20) -> Diagnosis:
    """Send the test email and say phase by phase what happened.

    It goes from the configured sender to the configured sender (HTTP: to Reply to), or to `to`, through these settings
    (None: the saved ones), within `timeout` seconds and a little more for the reply. When the server cannot be talked
    to, it looks by itself what speaks there, and whether the other port answers. When all went well, it looks up what
    the DNS of the sender's domain says about its mails, for some seconds more at most. Returns a `Diagnosis`; never
    raises for what can be wrong with settings, credentials, network or server.

    >>> diagnosis = docmail.send_test(settings)
    >>> diagnosis.ok
    True
    >>> [str(check.phase) for check in diagnosis.checks][:4]
    ['settings', 'credential', 'dns', 'connect']
    """
    return diagnose(settings, to=to, timeout=timeout)


def diagnose(  # noqa: PLR0913 - what a form knows, and the means to follow and to stop it
    settings: Settings | None,
    *,
    secret: Secret | None = None,
    to: str | None = None,
    timeout: float = 20,
    on_check: Callable[[Check], None] | None = None,
    hold: Callable[[Any], None] | None = None,
    waits: Waits = TEST_WAITS,
    ports: Ports | None = None,
) -> Diagnosis:
    """Do what `send_test` does; `secret` is a password not stored yet, `on_check` is notified of each phase as it ends.

    `hold` gets the transport before it connects, so that another thread can abort it, and later the look at the domain,
    of which the same holds; `waits` are the transport's;
    `ports` (None: the usual ones) are where a mail server is looked for when this port does not answer as one.
    """
    return _Examination(on_check, waits, ports).run(settings, secret, to, timeout, hold)


def expected_phases(settings: Settings) -> list[Phase]:
    """Return the phases of a test with these settings in the order in which they end, if all goes well."""
    begin = [Phase.SETTINGS, Phase.CREDENTIAL, Phase.DNS, Phase.CONNECT]
    if not isinstance(settings.server, SmtpServer):
        return [*begin, Phase.TLS, Phase.REQUEST, Phase.REPLY]
    hello, end = [Phase.GREETING, Phase.EHLO], [Phase.MAIL, Phase.RCPT, Phase.DATA]
    middle = {
        Security.TLS: [Phase.TLS, *hello],
        Security.STARTTLS: [*hello, Phase.TLS],
        Security.NONE: hello,
    }[settings.server.effective_security]
    return [*begin, *middle, *([Phase.AUTH] if settings.server.username else []), *end]


class _Examination:
    def __init__(self, on_check: Callable[[Check], None] | None, waits: Waits, ports: Ports | None) -> None:
        self._waits = waits
        self._ports = ports
        self._list = Checklist(on_check)

    def run(
        self,
        settings: Settings | None,
        secret: Secret | None,
        to: str | None,
        timeout: float,
        hold: Callable[[Any], None] | None,
    ) -> Diagnosis:
        transport = deadline = None
        try:
            settings = usable(settings)
            check_seconds(timeout)
            message = _test_message(settings, to)
            mail = message.render(settings)
            self._list.passed(Phase.SETTINGS, about_settings(settings))
            typed = secret is not None and settings.account.username and not settings.signs_in_with_token
            if settings.signs_in_with_token:
                secret = None  # what stands in the row of the password is not meant
                tokens_of(settings).current()
            else:
                secret = credentials.tidied(settings, secret) if secret and typed else credentials.get(settings)
            self._list.passed(Phase.CREDENTIAL, _("password as typed") if typed else where_in_words(settings))
            deadline = Deadline(timeout)
            transport = open_transport(
                settings,
                secret=secret,
                timeout=timeout * _SHARE,
                waits=self._waits,
                observe=self._list.passed,
            )
            if hold is not None:
                hold(transport)
            transport.open()
            transport.send(mail)
        except DocmailError as exc:
            seconds = self._list.seconds()
            finding = _explored(settings, transport, exc, deadline, self._ports) if transport and deadline else None
            self._list.failed(exc, seconds, finding or (_for_oneself(exc) if to is None else None))
        finally:
            if transport is not None:
                transport.close()
        diagnosis = self._list.diagnosis
        return replace(diagnosis, domain=_domain_of(settings, hold)) if diagnosis.ok and settings else diagnosis


class _DomainLook:
    """The look at the domain as something that another thread can end; the test itself is over and went well."""

    in_doubt = False

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def abort(self) -> None:
        """Look nothing more up."""
        self.stopped.set()


def _domain_of(settings: Settings, hold: Callable[[Any], None] | None) -> DomainReport | None:
    from docmail.diagnosis.domain import look_at_sender

    look = _DomainLook()
    if hold is not None:
        hold(look)
    report = look_at_sender(settings, stopped=look.stopped.is_set)
    return None if look.stopped.is_set() else report


def _explored(
    settings: Settings | None, transport: Transport, error: DocmailError, deadline: Deadline, ports: Ports | None
) -> Finding | None:
    """Find out what stands behind a failed connection, in the time that is left."""
    from docmail.diagnosis.explore import PORTS, explore

    server = settings.server if settings else None
    if not isinstance(error, SendError) or not isinstance(server, SmtpServer):
        return None
    if not error.wrong_port and error.field != Field.SECURITY:
        return None
    try:
        return explore(transport.connection_to, server, error, deadline.remaining(), ports or PORTS)
    except TimeoutError:
        return None


def _for_oneself(error: DocmailError) -> Finding | None:
    """Point at the sender's own address where the server refuses the recipient: in the test they are one."""
    from docmail.diagnosis.explore import Finding

    if not isinstance(error, SendError) or error.kind is not Kind.RECIPIENT or error.phase != Phase.RCPT:
        return None
    if error.reply is not None and error.reply.enhanced == "5.2.2":  # RFC 3463: mailbox full
        return Finding(hint=_("The test email goes to your own address: make room in its mailbox, and try again."))
    hint = _("The test email goes to your own address: check that, or ask the server's administrator.")
    return Finding(hint=hint, field=Field.EMAIL_ADDRESS)


def about_settings(settings: Settings) -> str:
    """Say that settings can be used, and whose they are."""
    problem = next((each for each in settings.problems() if each.field == Field.ORGANISATION), None)
    if problem is not None:
        return _("complete; but: {problem}").format(problem=problem.message)
    return _("complete; set by your organisation") if Field.HOST in settings.fixed else _("complete")


def where_in_words(settings: Settings) -> str:
    """Say where the password comes from, or who has signed in."""
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
            "You can read this, so the settings work: you can email documents with them.\n"
        ).format(computer=platform.node() or "?", time=time.strftime("%Y-%m-%d %H:%M %Z")),
    )
