"""What the servers of one sandbox share: whose mail they take, what lets one in, and what goes wrong."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from docmail.errors import DocmailError
from docmail.home import SHARED_SANDBOX
from docmail.sandbox.bounces import report
from docmail.sandbox.folders import INBOX
from docmail.secret import Secret
from docmail.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docmail.sandbox.failures import Failures
    from docmail.sandbox.folders import Folders
    from docmail.sandbox.inbox import Inbox
    from docmail.sandbox.oauth_server import IdentityProvider

# Public on purpose: it guards nothing but a folder of rehearsal mail on this computer.
SANDBOX_PASSWORD = "sandbox-password"  # noqa: S105

_TOKENS = {
    "XOAUTH2": rb"user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01",
    "OAUTHBEARER": rb"n,a=([^,]*),\x01.*auth=Bearer ([^\x01]*)\x01\x01",
}


@dataclass(frozen=True)
class Rehearsal:
    """The account of a sandbox, its inbox and its failures."""

    size_limit: ClassVar[int] = 50_000_000
    """Octets of the largest mail that is taken; providers take 25 to 50 MB."""

    inbox: Inbox
    folders: Folders
    """The mailbox of the account."""
    failures: Failures
    identity: IdentityProvider
    username: str
    address: str
    secret: Secret
    token: str = field(repr=False)
    """What programs of the same user show to program a failure."""
    offers: Mapping[str, Any]
    """What EHLO lacks, or says instead."""

    def is_own(self, address: str | None) -> bool:
        """Say whether an address is that of the account."""
        return address is not None and address.casefold() == self.address.casefold()

    def deliver(self, sender: str, recipients: Sequence[str], content: bytes, *, reports: bool = True) -> None:
        """Put a mail that was taken where it arrives, and with `reports` into the sender's mailbox what comes back.

        Raises `OSError` where there is no room.
        """
        troubles = [
            (recipient, found)
            for recipient in recipients
            if (found := self.failures.next("delivery", [recipient])) and found.code >= 400  # noqa: PLR2004 - RFC 5321
        ]
        missed = {recipient for recipient, _failure in troubles}
        if arrives := [recipient for recipient in recipients if recipient not in missed]:
            self.inbox.deliver(sender, arrives, content)
        own = [recipient for recipient in arrives if self.is_own(recipient)]
        if own:
            self.folders[INBOX].deliver(sender, own, content)
        if not reports or not self.is_own(sender):
            return
        for for_good in (True, False):
            if alike := [trouble for trouble in troubles if trouble[1].is_for_good == for_good]:
                self.folders[INBOX].deliver("", [self.address], report(sender, content, alike))

    def has_password(self, username: bytes, password: bytes) -> bool:
        """Say whether a password is right; of an app password the blanks do not count, as where they are shown."""
        forms = {self.secret.reveal().encode(), self.secret.reveal().replace(" ", "").encode()}
        right = any(hmac.compare_digest(password, form) for form in forms)
        return right and username == self.username.encode()

    def has_token(self, mechanism: str, response: bytes) -> bool:
        """Say whether a response of XOAUTH2 or OAUTHBEARER (RFC 7628) has the account and a token that is right."""
        found = re.fullmatch(_TOKENS[mechanism], response, re.DOTALL)
        return (
            found is not None
            and found[1] == self.username.encode()
            and self.identity.lets_in(found[2].decode("ascii", "replace"))
        )

    def lets_in(self, key: str) -> bool:
        """Say whether a key or token of HTTP is right."""
        return hmac.compare_digest(key.encode(), self.secret.octets()) or self.identity.lets_in(key)


def lent_password(settings: Settings) -> Secret | None:
    """Return the password for settings that sign in at the shared sandbox; None for all others.

    A process that only names the profile "sandbox", such as a scheduled notebook, opens no sandbox that provides it.
    """
    try:
        shared = Settings.load(SHARED_SANDBOX)
    except DocmailError:
        return None  # nothing is saved, so no program runs it
    return Secret(SANDBOX_PASSWORD) if shared.account == settings.account else None
