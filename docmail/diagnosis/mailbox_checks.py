"""The test of the mailbox: goes into it phase by phase, and names the one that fails and the field to change.

It files nothing and changes nothing; it reads the names of the folders and opens the inbox for reading only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail import credentials
from docmail.diagnosis.checks import Checklist, Diagnosis
from docmail.diagnosis.diagnosis import about_settings, where_in_words
from docmail.errors import DocmailError, Field, Phase, SettingsError
from docmail.language import _, ngettext
from docmail.mailbox import in_words, open_mailbox
from docmail.settings import Security, usable

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.diagnosis.checks import Check
    from docmail.mailbox import OpenMailbox
    from docmail.secret import Secret
    from docmail.settings import Settings

__all__ = ["check_mailbox", "diagnose_mailbox", "expected_mailbox_phases"]


def check_mailbox(settings: Settings | None = None, *, timeout: float = 20) -> Diagnosis:
    """Go into the mailbox of these settings (None: the saved ones) and say phase by phase what happened.

    `timeout` (seconds) is that of the connection up to the sign-in, and of each request after it. Returns a
    `Diagnosis`; never raises for what can be wrong with settings, credentials, network or server.

    >>> docmail.diagnosis.check_mailbox(work).failed.field
    'mailbox_host'
    """
    return diagnose_mailbox(settings, timeout=timeout)


def diagnose_mailbox(
    settings: Settings | None,
    *,
    secret: Secret | None = None,
    timeout: float = 20,
    on_check: Callable[[Check], None] | None = None,
    hold: Callable[[OpenMailbox], None] | None = None,
) -> Diagnosis:
    """Do what `check_mailbox` does; `secret` is a password of the mailbox not stored yet.

    `on_check` is notified of each phase as it ends; `hold` gets the mailbox before it connects, so that another thread
    can abort it.
    """
    checks = Checklist(on_check)
    mailbox = None
    try:
        settings = usable(settings)
        if settings.mailbox is None:
            raise SettingsError(
                in_words(settings),
                hint=_("Give the mailbox's server, such as imap.example.com, to test it."),
                field=Field.MAILBOX_HOST,
            )
        checks.passed(Phase.SETTINGS, about_settings(settings))
        mailbox = open_mailbox(settings, secret=secret, timeout=timeout, observe=checks.passed)
        checks.passed(Phase.CREDENTIAL, _("password as typed") if secret is not None else _way_in(settings))
        if hold is not None:
            hold(mailbox)
        mailbox.open()
        checks.passed(Phase.FOLDERS, _what_is_there(mailbox))
    except DocmailError as exc:
        checks.failed(exc, checks.seconds())
    finally:
        if mailbox is not None:
            mailbox.close()
    return checks.diagnosis


def expected_mailbox_phases(settings: Settings) -> list[Phase]:
    """Return the phases of a test of the mailbox in the order in which they end, if all goes well."""
    begin = [Phase.SETTINGS, Phase.CREDENTIAL, Phase.DNS, Phase.CONNECT]
    security = settings.mailbox.effective_security if settings.mailbox else Security.TLS
    middle = {
        Security.TLS: [Phase.TLS, Phase.GREETING],
        Security.STARTTLS: [Phase.GREETING, Phase.TLS],
        Security.NONE: [Phase.GREETING],
    }[security]
    return [*begin, *middle, Phase.AUTH, Phase.FOLDERS]


def _way_in(settings: Settings) -> str:
    own = settings.for_mailbox
    if credentials.where(own) is not None:
        return where_in_words(own)
    return _("as for sending: {way}").format(way=where_in_words(settings))


def _what_is_there(mailbox: OpenMailbox) -> str:
    """Return what was found in the mailbox: the number of mails that can be read, and where copies go."""
    inbox, sent = mailbox.count("INBOX") or 0, mailbox.sent_folder()
    copies = _("copies go to “{folder}”")
    if mailbox.count(sent) is None:
        copies = _("copies will go to a new folder “{folder}”")
    mails = ngettext("{count} mail in the inbox", "{count} mails in the inbox", inbox).format(count=inbox)
    return f"{mails}; {copies.format(folder=sent)}"
