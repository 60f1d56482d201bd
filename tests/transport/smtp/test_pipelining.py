"""After the first mail of a connection, a mail takes as few round trips as the server offers, and no more doubt."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from docmail.errors import ConnectError, Deferred, OutcomeUnknown, Refused, SendError
from docmail.net import Connection
from docmail.transport import Waits
from docmail.transport.capabilities import RememberedCapabilities, may_take_chunks
from docmail.transport.smtp.conversation import Conversation
from tests.support.scripted import (
    EXTENSIONS,
    ScriptedServer,
    Session,
    ShownCapabilities,
    cut,
    mail_to,
    name_of,
    pdf_of,
    reset,
    settings_for,
    silence,
    transport_to,
    wait,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from docmail.errors import SendError as AnySendError
    from docmail.net import Deadline
    from docmail.transport.smtp.transport import SmtpTransport

CHUNKING = (*EXTENSIONS, "CHUNKING")
DOTS = ".\n..\nFrom here\n"


def quick(server: ScriptedServer, **options: Any) -> SmtpTransport:
    """Return a transport to a server that has shown before that it takes chunks, where it offers that."""
    return transport_to(server, **{"capabilities": ShownCapabilities(), **options})


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return what the client writes, one item for each write of its own."""
    written: list[bytes] = []
    send, stream = Connection.send, Connection.stream

    def sent(self: Connection, data: bytes, deadline: Deadline) -> None:
        written.append(data)
        send(self, data, deadline)

    def streamed(self: Connection, pieces: Iterable[bytes], on_sent: Callable[[int], None], *crawl: Any) -> None:
        def noted() -> Iterable[bytes]:
            for piece in pieces:
                written.append(bytes(piece))
                yield piece

        stream(self, noted(), on_sent, *crawl)

    monkeypatch.setattr(Connection, "send", sent)
    monkeypatch.setattr(Connection, "stream", streamed)
    return written


@pytest.mark.parametrize(("extensions", "expected"), [(("SIZE",), 5), (EXTENSIONS, 3), (CHUNKING, 1)])
def test_a_small_mail_after_the_first_takes_as_few_writes_as_the_server_offers(
    extensions: tuple[str, ...], expected: int, writes: list[bytes]
) -> None:
    """Step by step: MAIL, RCPT, DATA, body, dot; the body and its dot wait for nothing in between."""
    with ScriptedServer(extensions=(*extensions, "AUTH PLAIN")) as server, quick(server) as transport:
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
    with ScriptedServer(extensions=CHUNKING) as server, quick(server) as transport:
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
    ({"BDAT": ["421 4.3.2 shutting down"]}, Deferred),
    ({"BDAT": ["503 5.5.1 what?"]}, ConnectError),
]


@pytest.mark.parametrize(("script", "error"), REFUSALS)
def test_a_refusal_in_one_write_is_no_doubt_and_closes_the_connection(
    script: dict[str, list[Any]], error: type[AnySendError]
) -> None:
    with ScriptedServer(script, extensions=CHUNKING) as server, quick(server) as transport:
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
        quick(server, waits=Waits(reply=0.3)) as transport,
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
    way: str, step: str, answer: str
) -> None:
    """RFC 5321 4.3.2: after it nobody knows which reply is whose."""
    good = "354 go on" if step == "DATA" else "250 ok"
    extensions = EXTENSIONS if way == "pipelined" or step == "DATA" else CHUNKING
    with (
        ScriptedServer({step: [good, answer, good]}, extensions=extensions) as server,
        quick(server, waits=Waits(idle=0.0)) as transport,
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
    with ScriptedServer(script, extensions=CHUNKING) as server, quick(server) as transport:
        transport.send(mail_to())
        result = transport.send(mail_to("a@example.com", "b@example.com"))
        assert (result.accepted, [*result.refused]) == (("a@example.com",), ["b@example.com"])
        assert transport.is_open


def test_a_server_that_hung_up_meanwhile_makes_no_doubt() -> None:
    """The whole mail in one write would be gone, and nobody would know where."""
    script = {"dot": ("250 taken", cut)}
    with ScriptedServer(script, extensions=CHUNKING) as server, quick(server) as transport:
        transport.send(mail_to())
        server.wait_for(transport._talk.connection.has_news)
        with pytest.raises(ConnectError):
            transport.send(mail_to())
        assert not transport.in_doubt


def test_a_connection_that_has_been_quiet_is_asked_first(writes: list[bytes]) -> None:
    with ScriptedServer(extensions=CHUNKING) as server, quick(server, waits=Waits(idle=0.0)) as transport:
        transport.send(mail_to())
        writes.clear()
        transport.send(mail_to())
        assert len(writes) == 2
        assert writes[0].startswith(b"MAIL")
        assert writes[1].startswith(b"BDAT")


# --- chunks -----------------------------------------------------------------------------------------------------------


def test_the_first_chunk_for_a_server_is_announced_and_the_next_mails_take_one_write(writes: list[bytes]) -> None:
    memory = RememberedCapabilities()
    with ScriptedServer(extensions=CHUNKING) as server:
        place = f"127.0.0.1:{server.port}"
        with transport_to(server, capabilities=memory) as transport:
            transport.send(mail_to())
            assert memory.takes_chunks(place) is None
            writes.clear()
            transport.send(mail_to())
            assert [each.split(b"\r\n")[0].split(b" ")[0] for each in writes] == [b"MAIL", b"BDAT", b"BDAT"]
            assert writes[1] == b"BDAT 1\r\nF"
            assert memory.takes_chunks(place) is True
            writes.clear()
            transport.send(mail_to())
            assert len(writes) == 1
        with transport_to(server, capabilities=memory) as another:
            another.send(mail_to())
            writes.clear()
            another.send(mail_to())
            assert len(writes) == 1, "what one connection has found out, the next one knows"
        server.wait_for(lambda: len(server.mails) == 5)


@pytest.mark.parametrize("reply", ["500 5.5.1 what?", "502 5.5.1 what?", "554 5.7.1 no"])
def test_no_text_becomes_commands_at_a_server_that_offers_chunks_and_does_not_know_them(reply: str) -> None:
    """One letter is all that it gets of the mail, which then goes by DATA over another connection."""
    memory = RememberedCapabilities()
    with ScriptedServer({"first chunk": reply}, extensions=CHUNKING) as server:
        with transport_to(server, capabilities=memory) as transport:
            transport.send(mail_to())
            with pytest.raises(ConnectError, match="CHUNKING"):
                transport.send(mail_to(body="RSET\nQUIT\n"))
            assert not transport.in_doubt
            assert not transport.is_open
            transport.open()
            for _ in range(2):
                transport.send(mail_to(body="RSET\nQUIT\n"))
        assert server.verbs[server.verbs.index("BDAT") :][:2] == ["BDAT", "FRSET"]
        assert [session.steps.count("dot") for session in server.sessions] == [1, 2]
        assert memory.takes_chunks(f"127.0.0.1:{server.port}") is False


def test_a_server_that_knows_chunks_and_refuses_the_first_gets_the_mail_by_data_at_once() -> None:
    script = {"first chunk": (partial(Session.take_chunk, size=1, is_last=False), "551 5.7.1 no chunks today")}
    with ScriptedServer(script, extensions=CHUNKING) as server:
        with transport_to(server) as transport:
            for _ in range(3):
                assert transport.send(mail_to()).accepted
        assert len(server.sessions) == 1
        assert [session.steps.count("first chunk") for session in server.sessions] == [1]
        assert len([mail for mail in server.mails if mail.complete]) == 3


@pytest.mark.parametrize("shown", [True, False], ids=["shown before", "never tried"])
@pytest.mark.parametrize("reply", ["552 5.3.4 Header size exceeds fixed maximum size", "451 4.3.0 not now"])
def test_a_mail_that_is_refused_as_a_chunk_goes_once_more_by_data(reply: str, shown: bool) -> None:  # noqa: FBT001
    """What Exchange Online did (jstedfast/MailKit 904)."""
    memory = ShownCapabilities() if shown else RememberedCapabilities()
    with ScriptedServer({"BDAT": reply}, extensions=CHUNKING) as server:
        with transport_to(server, capabilities=memory) as transport:
            for _ in range(3):
                assert transport.send(mail_to()).accepted == ("cfo@example.com",)
        assert [session.steps.count("BDAT") for session in server.sessions] == [1]
        assert [session.steps.count("dot") for session in server.sessions] == [3]
        with transport_to(server, capabilities=memory) as transport:
            transport.send(mail_to())
            transport.send(mail_to())
        assert server.sessions[-1].steps.count("BDAT") == 0, "never again at that server"


def test_a_refusal_by_data_after_one_of_the_chunk_is_the_servers_own() -> None:
    script: dict[str, Any] = {"BDAT": "554 5.7.1 spam", "dot": ["250 ok", "554 5.7.1 spam"]}
    with ScriptedServer(script, extensions=CHUNKING) as server, quick(server) as transport:
        transport.send(mail_to())
        with pytest.raises(Refused, match="spam"):
            transport.send(mail_to())
        assert not transport.in_doubt


STALLS: list[tuple[str, Any]] = [("BDAT", silence), ("BDAT", cut), ("body", cut), ("first chunk", silence)]


@pytest.mark.parametrize(("step", "action"), STALLS)
def test_a_stall_or_a_break_in_a_chunk_ends_chunks_at_that_server(step: str, action: Any) -> None:
    """What large mails met at other servers; a mail in doubt stays in doubt, and the next ones go by DATA."""
    memory = ShownCapabilities() if step != "first chunk" else RememberedCapabilities()
    script = {step: [Session.take_body, action] if step == "body" else [action]}
    with ScriptedServer(script, extensions=CHUNKING) as server:
        waits = Waits(reply=0.3, late_reply=0.1)
        transport = transport_to(server, timeout=1, waits=waits, capabilities=memory)
        transport.open()
        transport.send(mail_to())
        with pytest.raises(OutcomeUnknown if step == "BDAT" else SendError):
            transport.send(mail_to(documents=pdf_of(3_000_000)))
        assert memory.takes_chunks(f"127.0.0.1:{server.port}") is False


def test_stop_says_nothing_about_chunks() -> None:
    memory = ShownCapabilities()
    with ScriptedServer({"BDAT": silence}, extensions=CHUNKING) as server:
        transport = transport_to(server, capabilities=memory)
        transport.open()
        transport.send(mail_to())
        timer = threading.Timer(0.5, transport.abort)
        timer.start()
        with pytest.raises(SendError):
            transport.send(mail_to())
        timer.join()
        assert memory.takes_chunks(f"127.0.0.1:{server.port}") is True


@pytest.mark.parametrize(
    ("host", "greeting", "may"),
    [
        ("mail.example.com", "mail.example.com ESMTP Postfix", True),
        ("smtp.office365.com", "hello", False),
        ("smtp.gmail.com", "hello", False),
        ("smtp.mail.me.com", "hello", False),
        ("mail.example.com", "EX01.example.com Microsoft ESMTP MAIL Service ready at Mon, 30 Nov 2026", False),
        ("mail.example.com", "Welcome to exchange.example.com", False),
    ],
)
def test_providers_and_exchange_never_get_chunks(host: str, greeting: str, may: bool) -> None:  # noqa: FBT001
    assert may_take_chunks(host, 587, greeting) is may


def test_exchange_gets_each_mail_by_data_though_it_offers_chunks() -> None:
    script = {"greeting": "220 EX01 Microsoft ESMTP MAIL Service ready"}
    with ScriptedServer(script, extensions=CHUNKING) as server, quick(server) as transport:
        for _ in range(3):
            transport.send(mail_to())
        assert server.sessions[0].steps.count("dot") == 3


def test_a_success_is_remembered_for_a_time_and_a_failure_for_good() -> None:
    memory = RememberedCapabilities(success_seconds=-1.0)
    memory.note_chunks("a:25", takes=True)
    memory.note_chunks("b:25", takes=False)
    assert memory.takes_chunks("a:25") is None
    assert memory.takes_chunks("b:25") is False


def test_one_deadline_covers_the_replies_to_one_write() -> None:
    """Each reply comes in time for itself; 20 of them would take six seconds."""
    slow = (wait(0.3), "250 ok")
    with (
        ScriptedServer({"RCPT": ["250 ok", slow]}, extensions=CHUNKING) as server,
        quick(server, waits=Waits(reply=1.0)) as transport,
    ):
        transport.send(mail_to())
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            transport.send(mail_to(*(f"{number}@example.com" for number in range(20))))
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("extensions", [EXTENSIONS, CHUNKING], ids=["data", "chunk"])
def test_an_archive_never_gets_what_nobody_else_gets(extensions: tuple[str, ...]) -> None:
    script = {"RCPT": ["250 ok", "550 5.1.1 unknown", "250 ok"]}
    with ScriptedServer(script, extensions=extensions) as server, quick(server) as transport:
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
    with ScriptedServer(script) as server, quick(server) as transport:
        transport.send(mail_to())
        with pytest.raises(Refused):
            transport.send(mail_to())
        assert not transport.is_open
        assert len(server.mails) == 1


def test_nothing_that_breaks_a_line_gets_into_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(extensions=CHUNKING) as server, quick(server) as transport:
        transport.send(mail_to())
        monkeypatch.setattr(Conversation, "send", pytest.fail)
        with pytest.raises(ValueError, match="RCPT"):
            transport.send(replace(mail_to(), recipients=("a@example.com>\r\nDATA",)))
