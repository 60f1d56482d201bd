"""A mail server on this computer with an inbox and programmable failures: nothing leaves, nothing counts as sent.

    with docmail.Sandbox() as box:
        docmail.send(pdf, to="cfo@example.com", subject="Q3", settings=box.settings)
        box.inbox[0].attachments[0].pages

It has a home of its own (settings, outbox) and signs in with a password of its own, so that nothing rehearsed touches
the user's. `nobody@…` is refused and `later@…` deferred at any domain; `answer`, `drop` and `delay` program the rest.
`Sandbox(failing=NAME)` plays what goes wrong at real servers; `docmail.sandbox.scenarios.catalogue()` has the names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.sandbox.box import Sandbox
    from docmail.sandbox.inbox import Attachment, Inbox, ReceivedMail
    from docmail.sandbox.rehearsal import SANDBOX_PASSWORD, lent_password

__all__ = ["SANDBOX_PASSWORD", "Attachment", "Inbox", "ReceivedMail", "Sandbox", "lent_password"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "box": ("Sandbox",),
            "inbox": ("Attachment", "Inbox", "ReceivedMail"),
            "rehearsal": ("SANDBOX_PASSWORD", "lent_password"),
        },
    )
