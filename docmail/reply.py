"""What a server replied and what its certificate says: plain values, which every room may name; it imports no other.

What stands in them is foreign text that has been cleaned already (`docmail.replies.clean`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Certificate", "Reply"]


@dataclass(frozen=True)
class Reply:
    """What a server replied: the `code` (SMTP or HTTP), the `enhanced` code (RFC 3463, may be empty) and its `text`.

    The code is 0 where no server replied; the text then says why.

    >>> print(docmail.send(pdf, to="cfo@example.com", subject="Q3").reply)
    250 2.0.0 Ok, in the inbox
    """

    code: int
    enhanced: str
    text: str

    @property
    def positive(self) -> bool:
        """Whether the server did what it was asked."""
        return 200 <= self.code < 300  # noqa: PLR2004

    @property
    def negative(self) -> bool:
        """Whether the server refused, for now or for good; 3yz is neither (RFC 5321 4.2.1)."""
        return self.code >= 400  # noqa: PLR2004

    def __str__(self) -> str:
        # Journals hold -1 as well, of mails that were not sent.
        return " ".join(part for part in (str(self.code) if self.code > 99 else "", self.enhanced, self.text) if part)  # noqa: PLR2004


@dataclass(frozen=True)
class Certificate:
    """What a server's certificate says: whose it is (`subject`, and the host `names`), and who made it (`issuer`).

    It is valid between `not_before` and `not_after`. The values are foreign text, cleaned like a server's reply text.
    `fingerprint` is its SHA-256.

    >>> server = docmail.SmtpServer(box.host, box.port, username="accounts@example.com")
    >>> docmail.send_test(docmail.Settings("Accounts", server)).failed.certificate.names
    ('localhost', '127.0.0.1', '::1')
    """

    subject: str
    names: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime
    fingerprint: str

    @property
    def until(self) -> str:
        """The last day on which it is valid."""
        return self.not_after.strftime("%Y-%m-%d")
