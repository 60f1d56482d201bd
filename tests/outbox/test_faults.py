"""A server that fails in any way, at any step of a batch: nothing is lost or doubled, and doubt is reported."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.errors import SendError
from docmail.outbox import Outbox, sender
from docmail.outbox.rows import State
from docmail.secret import Secret
from docmail.transport import Waits, open_transport
from tests.support.scripted import PASSWORD, ScriptedServer, ShownCapabilities, cut, reset, settings_for, silence

if TYPE_CHECKING:
    from docmail.settings import Settings
    from tests.support.scripted import Session

MAILS = 3
WAYS = {
    "step by step": ("AUTH PLAIN",),
    "pipelined": ("PIPELINING", "AUTH PLAIN"),
    "in chunks": ("PIPELINING", "CHUNKING", "AUTH PLAIN"),
}
BREAKS: tuple[Any, ...] = (cut, reset, silence)
REFUSALS = ("421 4.3.2 closing", "451 4.3.0 later", "554 5.7.1 no")
NONSENSE: tuple[Any, ...] = (b"25", b"\xff\x00\r\n", "299 what", "354 what", ("250 ok", cut))


def as_usual(step: str) -> Any:
    """Return what the server does at a step where nothing is wrong."""
    usual: dict[str, Any] = {
        "greeting": "220 hi",
        "EHLO": lambda session: session.send(session._extensions().replace("\n", "\r\n").encode() + b"\r\n"),
        "AUTH": "235 2.7.0 welcome",
        "DATA": "354 go on",
        "body": take,
        "QUIT": ("221 bye", cut),
    }
    return usual.get(step, "250 ok")


def take(session: Session) -> None:
    chunked = session.heard[-1].step == "BDAT"
    session.take_chunk(int(session.heard[-1].data.split()[1])) if chunked else session.take_body()


def run(outbox: Outbox, settings: Settings) -> None:
    with suppress(SendError):  # a person would read it, and run the same again
        outbox.run(settings=settings)


def refused(fault: Any) -> bool:
    return isinstance(fault, str) and fault[0] in "45"


@pytest.mark.parametrize(
    ("way", "step"),
    [
        *[("step by step", step) for step in ("greeting", "EHLO", "AUTH", "QUIT")],
        *[(way, step) for way in ("step by step", "pipelined") for step in ("MAIL", "RCPT", "DATA", "body", "dot")],
        *[("in chunks", step) for step in ("MAIL", "RCPT", "body", "BDAT")],
    ],
)
def test_a_fault_at_any_step_loses_nothing_doubles_nothing_and_leaves_at_most_one_mail_in_doubt(
    monkeypatch: pytest.MonkeyPatch, way: str, step: str
) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=0.01, reconnect_seconds=(0.0, 0.0)))
    for fault in (*BREAKS, *REFUSALS, *(NONSENSE if step not in {"body", "QUIT"} else ())):
        # It strikes the second mail: the first of a connection goes step by step, whatever the server offers.
        good = {"greeting": 0, "EHLO": 0, "AUTH": 0, "QUIT": 0, "BDAT": 0}.get(step, 1)
        script = {step: [*[as_usual(step)] * good, fault, as_usual(step)]}
        if way == "in chunks" and refused(fault) and step in {"MAIL", "RCPT"}:
            script["BDAT"] = ["503 5.5.1 no valid recipients", "250 ok"]
        quick = partial(
            open_transport,
            secret=Secret(PASSWORD),
            timeout=0.3,
            waits=Waits(reply=0.3),
            capabilities=ShownCapabilities(),
        )
        monkeypatch.setattr(sender, "open_transport", quick)
        with ScriptedServer(script, extensions=WAYS[way]) as server:
            look(server, f"{way}, {step}, {fault!r}", step, fault)


def look(server: ScriptedServer, where: str, step: str, fault: Any) -> None:
    """Send a batch through a server with one fault, in as many runs as it takes, and compare what either side knows."""
    settings = settings_for(server)
    outbox = Outbox()
    outbox.add_all(
        [docmail.Message("c@example.com", f"No. {each}", key=str(each)) for each in range(MAILS)],
        batch=where,
        settings=settings,
    )
    while any(row.state == "queued" for row in outbox):
        run(outbox, settings)
    refuses = step in {"dot", "BDAT", "RCPT", "MAIL"} and refused(fault)
    whole = Counter(mail.content[mail.content.index(b"No. ") :][:5].decode() for mail in server.mails)
    rows = {row.subject: row for row in outbox if row.batch == where}
    assert len(rows) == MAILS, where
    again = sum(whole.values()) - len(whole)
    assert again <= refuses, f"{where}: {whole}"
    for subject, row in rows.items():
        assert row.state in {"sent", "refused", "unknown"}, f"{where}: {row.state}, {row.reason}"
        assert whole[subject] >= 1 or row.state != "sent", f"{where}: lost"
        assert row.state != "refused" or refused(fault), f"{where}: {row.reply}"
    states = Counter(row.state for row in rows.values())
    assert states[State.UNKNOWN] <= 1, where
    assert states[State.UNKNOWN] == 0 or not refused(fault), where
    assert states[State.SENT] >= MAILS - 1, where
