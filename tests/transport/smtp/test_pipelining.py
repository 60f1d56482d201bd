"""After the first mail of a connection, a mail takes as few round trips as the server offers, and no more doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from docmail.errors import ConnectError, Deferred, OutcomeUnknown, Refused, SendError
from docmail.net import Connection
from docmail.transport.smtp import delivery
from docmail.transport.smtp.conversation import Conversation
from tests.support.scripted import (
    EXTENSIONS,
    ScriptedServer,
    cut,
    mail_to,
    name_of,
    pdf_of,
    reset,
    settings_for,
    silence,
    transport_to,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from docmail.errors import SendError as AnySendError
    from docmail.net import Deadline

CHUNKING = (*EXTENSIONS, "CHUNKING")
DOTS = ".\n..\nFrom here\n"


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return what the client writes, one item for each write of its own."""
    written: list[bytes] = []
    send, stream = Connection.send, Connection.stream

    def sent(self: Connection, data: bytes, deadline: Deadline) -> None:
        written.append(data)
        send(self, data, deadline)

    def streamed(self: Connection, pieces: Iterable[bytes], on_sent: Callable[[int], None]) -> None:
        def noted() -> Iterable[bytes]:
            for piece in pieces:
                written.append(bytes(piece))
                yield piece

        stream(self, noted(), on_sent)

    monkeypatch.setattr(Connection, "send", sent)
    monkeypatch.setattr(Connection, "stream", streamed)
    return written


@pytest.mark.parametrize(("extensions", "expected"), [(("SIZE",), 5), (EXTENSIONS, 3), (CHUNKING, 1)])
def test_a_small_mail_after_the_first_takes_as_few_writes_as_the_server_offers(
    extensions: tuple[str, ...], expected: int, writes: list[bytes]
) -> None:
    """Step by step: MAIL, RCPT, DATA, body, dot; the body and its dot wait for nothing in between."""
    with ScriptedServer(extensions=(*extensions, "AUTH PLAIN")) as server, transport_to(server) as transport:
        mails = [mail_to("cfo@example.com", body=DOTS, documents=pdf_of(3000)) for _ in range(3)]
        transport.send(mails[0])
        for mail in mails[1:]:
            writes.clear()
            transport.send(mail)
            # Without chunks, the pieces of the body are written one by one.
            assert len([each for each in writes if not each.startswith(b"\r\n--")]) <= expected + 3
            assert (len(writes) == 1) == (expected == 1)
        server.wait_for(lambda: len(server.mails) == 3)
        for mail, arrived in zip(mails, server.mails, strict=True):
            content = b"".join(mail.wire())
            stuffed = b"".join(mail.wire(dot_stuffed=True))
            assert arrived.content in {content, stuffed}
            assert arrived.recipients == ["cfo@example.com"]
        assert server.mails[0].content == b"".join(mails[0].wire(dot_stuffed=True)), "the first one goes step by step"


def test_a_large_mail_goes_as_one_chunk_in_several_writes(writes: list[bytes]) -> None:
    with ScriptedServer(extensions=CHUNKING) as server, transport_to(server) as transport:
        mail = mail_to(documents=pdf_of(1_000_000))
        seen: list[int] = []
        transport.send(mail_to())
        writes.clear()
        transport.send(mail, lambda sent, _whole: seen.append(sent))
        assert server.mails[1].content == b"".join(mail.wire())
        assert 4 <= len(writes) <= 8
        assert seen == sorted(seen)
        assert seen[-1] == mail.size


REFUSALS: list[tuple[dict[str, list[Any]], type[AnySendError]]] = [
    ({"MAIL": ["250 ok", "550 5.7.60 not as this sender"]}, SendError),
    ({"MAIL": ["250 ok", "451 4.3.0 later"]}, Deferred),
    ({"RCPT": ["250 ok", "550 5.1.1 unknown"], "BDAT": ["554 5.5.1 no valid recipients"]}, Refused),
    ({"RCPT": ["250 ok", "421 4.3.2 shutting down"], "BDAT": [cut]}, Deferred),
    ({"BDAT": ["452 4.3.1 disk full"]}, Deferred),
    ({"BDAT": ["554 5.7.1 spam"]}, Refused),
]


@pytest.mark.parametrize(("script", "error"), REFUSALS)
def test_a_refusal_in_one_write_is_no_doubt_and_closes_the_connection(
    script: dict[str, list[Any]], error: type[AnySendError]
) -> None:
    with ScriptedServer(script, extensions=CHUNKING) as server, transport_to(server) as transport:
        transport.send(mail_to())
        with pytest.raises(error) as caught:
            transport.send(mail_to())
        assert not isinstance(caught.value, OutcomeUnknown)
        assert not transport.in_doubt
        assert not transport.is_open
        transport.open()
        assert transport.is_open


@pytest.mark.parametrize("action", [cut, reset, silence, b"25", "354 what"], ids=name_of)
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "BDAT"])
def test_no_reply_after_the_last_byte_is_unknown_whatever_step_it_is_missing_at(step: str, action: Any) -> None:
    if action == "354 what" and step != "BDAT":
        action = cut
    script = {step: ["250 ok", action] if step != "BDAT" else [action]}
    with (
        ScriptedServer(script, extensions=CHUNKING) as server,
        transport_to(server, reply_timeout=0.3) as transport,
    ):
        transport.send(mail_to())
        with pytest.raises(OutcomeUnknown):
            transport.send(mail_to())
        assert transport.in_doubt
        assert not transport.is_open


@pytest.mark.parametrize(
    ("step", "answer"), [("MAIL", "354 what"), ("RCPT", "354 what"), ("DATA", "250 taken"), ("DATA", "334 what")]
)
@pytest.mark.parametrize("way", ["pipelined", "chunk after the replies"])
def test_an_answer_that_is_none_is_a_broken_connection_as_long_as_the_content_has_not_gone(
    way: str, step: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 5321 4.3.2: after it nobody knows which reply is whose."""
    monkeypatch.setattr(delivery, "_FRESH_SECONDS", 0.0)
    good = "354 go on" if step == "DATA" else "250 ok"
    extensions = EXTENSIONS if way == "pipelined" or step == "DATA" else CHUNKING
    with (
        ScriptedServer({step: [good, answer, good]}, extensions=extensions) as server,
        transport_to(server) as transport,
    ):
        transport.send(mail_to())
        with pytest.raises(ConnectError, match=f"answered {step} .* It said: {answer}"):
            transport.send(mail_to())
        assert not transport.in_doubt
        assert not transport.is_open
        transport.open()
        transport.send(mail_to())
        assert len(server.mails) == 2


def test_one_of_two_recipients_refused_in_one_write_is_a_result() -> None:
    script = {"RCPT": ["250 ok", "250 ok", "550 5.1.1 unknown"]}
    with ScriptedServer(script, extensions=CHUNKING) as server, transport_to(server) as transport:
        transport.send(mail_to())
        result = transport.send(mail_to("a@example.com", "b@example.com"))
        assert (result.accepted, [*result.refused]) == (("a@example.com",), ["b@example.com"])
        assert transport.is_open


def test_a_server_that_hung_up_meanwhile_makes_no_doubt() -> None:
    """The whole mail in one write would be gone, and nobody would know where."""
    script = {"dot": ("250 taken", cut)}
    with ScriptedServer(script, extensions=CHUNKING) as server, transport_to(server) as transport:
        transport.send(mail_to())
        server.wait_for(transport._talk.connection.has_news)
        with pytest.raises(ConnectError):
            transport.send(mail_to())
        assert not transport.in_doubt


def test_a_connection_that_has_been_quiet_is_asked_first(monkeypatch: pytest.MonkeyPatch, writes: list[bytes]) -> None:
    monkeypatch.setattr(delivery, "_FRESH_SECONDS", 0.0)
    with ScriptedServer(extensions=CHUNKING) as server, transport_to(server) as transport:
        transport.send(mail_to())
        writes.clear()
        transport.send(mail_to())
        assert len(writes) == 2
        assert writes[0].startswith(b"MAIL")
        assert writes[1].startswith(b"BDAT")


def test_a_server_that_does_not_know_what_it_offers_is_asked_the_usual_way_next_time() -> None:
    with ScriptedServer({"BDAT": "502 5.5.1 what?"}, extensions=CHUNKING) as server:
        transport = transport_to(server)
        transport.open()
        transport.send(mail_to())
        with pytest.raises(ConnectError, match="CHUNKING"):
            transport.send(mail_to())
        assert not transport.in_doubt
        transport.open()
        for _ in range(2):
            transport.send(mail_to())
        transport.close()
        assert [session.steps.count("dot") for session in server.sessions] == [1, 2]


@pytest.mark.parametrize("extensions", [EXTENSIONS, CHUNKING], ids=["data", "chunk"])
def test_an_archive_never_gets_what_nobody_else_gets(extensions: tuple[str, ...]) -> None:
    script = {"RCPT": ["250 ok", "550 5.1.1 unknown", "250 ok"]}
    with ScriptedServer(script, extensions=extensions) as server, transport_to(server) as transport:
        transport.send(mail_to())
        settings = replace(settings_for(server), copy_to="archive@example.com")
        with pytest.raises(Refused):
            transport.send(mail_to(settings=settings))
        assert len(server.mails) == 1
        assert transport.is_open, "all replies were read, and RSET did the rest"
        transport.send(mail_to(settings=settings))
        assert len(server.mails) == 2


@pytest.mark.parametrize("answer", ["354 go on", "250 taken"])
def test_a_server_that_wants_the_body_though_it_refused_everybody_gets_none(answer: str) -> None:
    """RFC 2920 3.1: a client must be ready for that."""
    script = {"RCPT": ["250 ok", "550 5.1.1 unknown"], "DATA": ["354 go on", answer]}
    with ScriptedServer(script) as server, transport_to(server) as transport:
        transport.send(mail_to())
        with pytest.raises(Refused):
            transport.send(mail_to())
        assert not transport.is_open
        assert len(server.mails) == 1


def test_nothing_that_breaks_a_line_gets_into_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(extensions=CHUNKING) as server, transport_to(server) as transport:
        transport.send(mail_to())
        monkeypatch.setattr(Conversation, "tell", pytest.fail)
        with pytest.raises(ValueError, match="RCPT"):
            transport.send(replace(mail_to(), recipients=("a@example.com>\r\nDATA",)))
