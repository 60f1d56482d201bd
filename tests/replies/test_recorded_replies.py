"""Each reply in `tests/replies`, as a server said it, leads to its cause, field and guide; in the test and in a send.

A file has a header (provider, host, step, and the kind, field and guide that are expected, perhaps how the reply is
shown), an empty line, and the reply as it goes over the wire.
"""

from __future__ import annotations

import base64
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail import Sandbox, credentials, presets
from docmail.errors import TREATMENT, Kind, SendError
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.sandbox import certificates as certificates_module
from docmail.sandbox.failures import reply_lines
from docmail.sandbox.scenarios import catalogue
from tests.support.scripted import echoes, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.settings import Settings

FOLDER = Path(__file__).parent
USER = "accounts@example.com"
PDF = b"%PDF-1.4\n%%EOF\n"

_PHASES = {"connect": "greeting", "end": "data"}
_RESPONSE = base64.b64encode(f"\0{USER}\0{SANDBOX_PASSWORD}".encode()).decode()
_ECHOED = {
    "password": SANDBOX_PASSWORD,
    "password_1": SANDBOX_PASSWORD[:6],
    "password_2": SANDBOX_PASSWORD[6:11],
    "password_3": SANDBOX_PASSWORD[11:],
    "response": _RESPONSE,
    "response_1": _RESPONSE[:21],
    "response_2": _RESPONSE[21:],
}


@dataclass(frozen=True)
class Recorded:
    """One reply and what is expected of it."""

    name: str
    host: str
    step: Any
    kind: Kind
    field: str | None
    guide: str
    reply: str
    shown: str | None

    @classmethod
    def read(cls, path: Path) -> Recorded:
        """Read one file."""
        head, _blank, reply = path.read_text("utf-8").partition("\n\n")
        parts = [line.partition(":") for line in head.splitlines()]
        values = {name: value.strip() for name, _colon, value in parts}
        assert values["provider"]
        for name, echoed in _ECHOED.items():
            reply = reply.replace(f"{{{name}}}", echoed)
        return cls(
            path.stem,
            values["host"],
            values["step"],
            Kind(values["kind"]),
            values["field"] or None,
            values["guide"],
            reply.removesuffix("\n"),
            values.get("shown"),
        )

    @property
    def phase(self) -> str:
        """The phase of a diagnosis at which it is met."""
        return str(_PHASES.get(self.step, self.step))


RECORDED = [Recorded.read(path) for path in sorted(FOLDER.glob("*.txt"))]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Yield a sandbox that can pass for every host of the recorded replies."""
    hosts = sorted({recorded.host for recorded in RECORDED} | {"localhost"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates_module, "_HOSTS", hosts)
        with Sandbox() as box:
            yield box


@pytest.fixture
def box(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    real = socket.getaddrinfo
    hosts = {recorded.host for recorded in RECORDED}

    def here(host: str, *args: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host in hosts else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    yield sandbox
    sandbox.reset()
    sandbox.inbox.clear()


def playing(box: Sandbox, recorded: Recorded) -> Settings:
    """Let the sandbox be this server; return the settings that lead to it."""
    server: Any = box.settings.server
    settings = replace(box.settings, server=replace(server, host=recorded.host), mailbox=None)
    credentials.set(settings, SANDBOX_PASSWORD, remember=False)
    box.answer(recorded.step, recorded.reply)
    return settings


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
def test_the_test_email_names_cause_field_and_guide_of_a_recorded_reply(box: Sandbox, recorded: Recorded) -> None:
    diagnosis = docmail.send_test(playing(box, recorded))
    check = diagnosis.failed
    assert check is not None
    assert (check.phase, check.kind, check.field, check.guide) == (
        *(recorded.phase, recorded.kind, recorded.field, recorded.guide),
    )
    assert presets.guide(recorded.guide).title == recorded.guide
    assert check.hint
    assert check.text.endswith((".", "!", "?", "…"))
    assert check.reply is not None
    assert str(check.reply).isprintable()
    if recorded.shown is not None:
        assert str(check.reply) == recorded.shown
    assert not any(each in repr(diagnosis.checks) for each in echoes(SANDBOX_PASSWORD, USER))
    assert len(box.inbox) == 0


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
def test_a_send_raises_the_class_of_a_recorded_reply(box: Sandbox, recorded: Recorded) -> None:
    settings = playing(box, recorded)
    with pytest.raises(SendError) as caught:
        docmail.send(PDF, to=USER, subject="Q3", settings=settings)
    error = caught.value
    assert type(error) is TREATMENT[recorded.kind].error
    # Who the recipient is, is no setting; only in the test it is the sender.
    field = None if recorded.kind is Kind.RECIPIENT else recorded.field
    assert (error.phase, error.kind, error.field, error.guide) == (
        *(recorded.phase, recorded.kind, field, recorded.guide),
    )
    assert not any(each in shown(error) for each in echoes(SANDBOX_PASSWORD, USER))
    assert len(box.inbox) == 0


def test_the_sandbox_plays_the_recorded_replies_word_by_word() -> None:
    played = {name: scenario.failures[0] for name, scenario in catalogue().items() if scenario.failures}
    common = [recorded for recorded in RECORDED if recorded.name in played]
    assert len(common) > 50
    for recorded in common:
        failure = played[recorded.name]
        assert (failure.step, failure.lines) == (recorded.step, reply_lines(recorded.reply)), recorded.name
