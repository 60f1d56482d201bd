"""A transport for tests: it takes mails and connects nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.reply import Reply
from docmail.transport.base import Notify, Progress, SendResult, Transport, ignore_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.message import Mail


class MemoryTransport(Transport):
    """Keeps what is sent in `sent`: each mail with its content as it would go over the wire.

    `respond` plays the server: it is called with each mail before that is kept, and may raise a `SendError`, or return
    the replies about recipients that it refuses.
    """

    in_doubt = False
    is_open = False

    def __init__(self, respond: Callable[[Mail], dict[str, Reply] | None] = lambda _mail: None) -> None:
        self.sent: list[tuple[Mail, bytes]] = []
        self._respond = respond

    def open(self) -> None:
        """Be open; nothing is connected."""
        self.is_open = True

    def send(self, mail: Mail, progress: Progress | None = None, notify: Notify = ignore_outcome) -> SendResult:
        """Keep the mail; raises what `respond` raises."""
        self.in_doubt = False
        if refused := self._respond(mail) or {}:
            notify(refused, None)
        content = b"".join(mail.wire())
        if progress is not None:
            progress(len(content), mail.size)
        self.in_doubt = True
        self.sent.append((mail, content))
        accepted = tuple(address for address in mail.recipients if address not in refused)
        return SendResult(mail.message_id, accepted, refused, Reply(250, "2.0.0", "kept"))

    def close(self) -> None:
        """Count as closed."""
        self.is_open = False

    def abort(self) -> None:
        """Count as closed."""
        self.is_open = False
