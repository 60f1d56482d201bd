"""Says what it means that the server of a mailbox (IMAP) refuses: `NO [CODE] text`, `BAD text` or `BYE text`.

What is known about providers comes first, then what the code of RFC 5530 and the phase say about any server.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docmail import presets
from docmail.errors import Guide, Kind, Phase
from docmail.replies.known import first_match, table
from docmail.reply import Reply

if TYPE_CHECKING:
    from docmail.errors import SendError


def mailbox_refusal(line: str, phase: str, host: str) -> SendError:
    """Return the error for a refusal, whose text is clean already."""
    found = first_match(table("imap"), line, host, guide=Guide.PASSWORDS)
    if found is None:
        any_server = table("imap-any")  # the last of it fits every reply
        found = first_match(any_server, f"{phase} {line}", guide=Guide.PASSWORDS) or any_server[-1].meaning()
        provider = presets.by_host(host)
        if provider is not None and phase == Phase.AUTH and found.kind is Kind.AUTH:
            found = replace(found, guide=provider.guide)
    return found.error(phase, Reply(0, "", line))
