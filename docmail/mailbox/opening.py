"""Opens the mailbox of settings: with the password or sign-in of its own account, or with that for sending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail import credentials, presets
from docmail.errors import CredentialError, Field, Guide
from docmail.language import _
from docmail.mailbox.session import OpenMailbox
from docmail.net import check_seconds
from docmail.settings import HttpServer, Mailbox, usable, usual_mailbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.oauth import Tokens
    from docmail.secret import Secret
    from docmail.settings import Settings

__all__ = ["Mailbox", "in_words", "likely_mailbox", "open_mailbox"]


def open_mailbox(
    settings: Settings | None = None,
    *,
    secret: Secret | None = None,
    timeout: float = 60,
    observe: Callable[[str, str], None] = lambda _phase, _text: None,
) -> OpenMailbox:
    """Return the mailbox of these settings (None: the saved ones), not yet connected; use it in a `with` block.

    It signs in with `secret`, else with the password that is stored for the mailbox's own account, else with the
    password or sign-in for sending (`Settings.mailbox_shares_sign_in`). `timeout` (seconds) is the time until it is
    signed in, and the time for each request after that; `observe` is notified of each phase that went well. Raises
    `SettingsError`, `CredentialError` or `MessageError` (for `timeout`) before anything is connected.

    >>> with docmail.mailbox.open_mailbox() as mailbox:
    ...     mailbox.count("INBOX")
    0
    """
    settings = usable(settings)
    check_seconds(timeout)
    own = settings.for_mailbox
    tokens: Tokens | None = None
    if secret is not None:
        secret = credentials.tidied(own, secret)
    else:
        secret, tokens = _way_in(settings)
    mailbox = settings.mailbox
    assert mailbox is not None  # noqa: S101 - for_mailbox has looked
    return OpenMailbox(mailbox, own.account.username, secret, tokens, timeout=timeout, observe=observe)


def in_words(settings: Settings) -> str:
    """Return a sentence about what docmail does in the mailbox of these settings, or why there is nothing to do.

    >>> docmail.mailbox.in_words(work)
    'No mailbox is set: docmail looks for no bounces and files no copies.'
    """
    service = settings.server.service if isinstance(settings.server, HttpServer) else None
    no_bounces = ""
    if settings.server_has_the_address:
        no_bounces = _("A server that takes mail as a form gets the bounces itself: docmail cannot find them.")
    elif service is not None and not service.has_mailbox:
        no_bounces = _("{service} sends no bounce mails: what became of a mail stands on its own pages.").format(
            service=service.name
        )
    if settings.mailbox is None:
        return no_bounces or _("No mailbox is set: docmail looks for no bounces and files no copies.")
    if no_bounces:
        done = _("docmail files copies in the mailbox at {host}; it deletes nothing there and marks nothing as read.")
    else:
        done = _(
            "docmail reads bounces in the mailbox at {host} and files copies there; it deletes nothing and marks "
            "nothing as read."
        )
    return f"{no_bounces} {done.format(host=settings.mailbox.host)}".strip()


def likely_mailbox(settings: Settings) -> Mailbox | None:
    """Return the mailbox that belongs to these settings at a provider that docmail knows; None elsewhere.

    >>> docmail.mailbox.likely_mailbox(docmail.Settings("Ann", docmail.SmtpServer("smtp.gmail.com", username="ann")))
    Mailbox(host='imap.gmail.com', port=993, security=None, username=None, fingerprint=None, ca_file=None)
    """
    service = settings.server.service if isinstance(settings.server, HttpServer) else None
    host = presets.host_of(service) if service else settings.account.host
    preset = presets.of_account(host, settings.account.username, settings.account.port if service is None else None)
    return usual_mailbox(preset)


def _way_in(settings: Settings) -> tuple[Secret | None, Tokens | None]:
    """Return the password, or the tokens, that open the mailbox."""
    own = settings.for_mailbox
    if credentials.where(own) is None and settings.mailbox_shares_sign_in:
        if settings.signs_in_with_token:
            from docmail.oauth import tokens_of

            return None, tokens_of(settings, for_mailbox=True)
        return credentials.get(settings), None
    if credentials.where(own) is None and own.account.username == settings.account.username:
        raise CredentialError(
            _(
                "The password for sending is for {sending}, and does not go to {mailbox} by itself: the mailbox needs "
                "one of its own."
            ).format(sending=settings.account.host, mailbox=own.account.host),
            hint=_(
                "Check the mailbox's server for a typing error; if it is right, type its password into "
                "docmail.SettingsForm(), or call docmail.credentials.ask(settings.for_mailbox)."
            ),
            guide=Guide.PASSWORDS,
            field=Field.MAILBOX_PASSWORD,
        )
    return credentials.get(own), None
