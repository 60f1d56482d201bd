"""A long queue goes over several connections, which are a help and no more: nothing else is different."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.errors import DocmailError, Kind, SendError
from docmail.outbox import Outbox
from docmail.outbox.extra_connections import ExtraConnections
from docmail.outbox.queue import Queue
from docmail.outbox.rate import AccountRate
from docmail.outbox.rows import State
from docmail.outbox.store import Store
from docmail.settings import Security
from docmail.transport import open_transport
from tests.support.slow_server import SlowServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAILS = 120


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=0.05))


def settings_for(server: SlowServer) -> docmail.Settings:
    return docmail.Settings("accounts@example.com", docmail.SmtpServer("127.0.0.1", server.port, Security.NONE))


def queue(folder: Path, settings: docmail.Settings, number: int = MAILS) -> Outbox:
    outbox = Outbox(folder)
    messages = (docmail.Message("cfo@example.com", f"No. {each}", "Hello.", key=str(each)) for each in range(number))
    outbox.add_all(messages, batch="b", settings=settings)
    return outbox


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def assert_each_arrived_once(server: SlowServer, outbox: Outbox, number: int = MAILS) -> None:
    assert {row.state for row in outbox} == {"sent"}
    assert sorted(server.arrived.values()) == [1] * number


@pytest.mark.parametrize("way", ["data", "bdat"])
def test_a_long_queue_goes_over_four_connections_and_each_mail_goes_once(way: Any, tmp_path: Path) -> None:
    with SlowServer(way) as server:
        settings = settings_for(server)
        outbox = queue(tmp_path, settings)
        run = outbox.run(settings=settings)
        assert server.most_at_once == 4
        assert_each_arrived_once(server, outbox)
        assert (run.progress.done, run.progress.tried) == (MAILS, MAILS)


@pytest.mark.parametrize(
    ("number", "options"), [(Outbox.limits.long_queue, {}), (50, {"limit": 49}), (50, {"rate": "3000/s"})], ids=str
)
def test_one_connection_is_enough_for_few_mails_and_for_those_that_wait_for_a_rate(
    number: int, options: Any, tmp_path: Path
) -> None:
    with SlowServer("bdat", delay=0.0001) as server:
        settings = settings_for(server)
        outbox = queue(tmp_path, settings, number)
        outbox.run(settings=settings, **options)
        assert server.most_at_once == 1
        assert server.arrived.total() == options.get("limit", number)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("smtp.example.com", True), ("email-smtp.eu-west-1.amazonaws.com", True), ("smtp.gmail.com", False)],
)
def test_a_provider_of_mailboxes_is_reached_over_one_connection(host: str, allowed: bool, tmp_path: Path) -> None:  # noqa: FBT001
    settings = docmail.Settings("a@example.com", docmail.SmtpServer(host, 587, username="a@example.com"))
    own = AccountRate(Store(tmp_path).queue("a@example.com"), settings)
    assert own.allows_many_connections is allowed
    own.set("30/min")
    assert not own.allows_many_connections


@pytest.mark.parametrize("places", [1, 2, 3])
def test_a_server_with_few_places_gets_everything_is_asked_once_more_and_keeps_one_free(
    places: int, tmp_path: Path
) -> None:
    with SlowServer("bdat", delay=0.005, places=places) as server:
        settings = settings_for(server)
        outbox = queue(tmp_path, settings)
        run = outbox.run(settings=settings, wait=False)
        wait_for(lambda: server.sent_away == 1)
        arrived = server.arrived.total()
        wait_for(lambda: server.arrived.total() >= arrived + 20)
        assert run.waiting > 10, "this came too late to be seen"
        assert server.at_once == max(places - 1, 1)
        run.wait()
        assert server.sent_away == 1
        assert_each_arrived_once(server, outbox)


def test_a_limit_that_a_further_connection_meets_stops_all_of_them(tmp_path: Path) -> None:
    with SlowServer("bdat", delay=0.005) as server:
        server.others_say = "550 5.4.5 Daily user sending limit exceeded."
        settings = settings_for(server)
        outbox = queue(tmp_path, settings)
        with pytest.raises(SendError, match="limit") as caught:
            outbox.run(settings=settings)
        assert caught.value.kind is Kind.LIMIT
        states = [row.state for row in outbox]
        assert {*states} == {"sent", "queued"}
        assert states.count(State.SENT) == server.arrived.total() < MAILS


def test_what_further_connections_put_off_is_tried_again_in_the_same_run(tmp_path: Path) -> None:
    with SlowServer("bdat") as server:
        server.others_say = "451 4.3.0 Try again later."
        settings = settings_for(server)
        outbox = queue(tmp_path, settings, 60)
        outbox.run(settings=settings)
        assert server.most_at_once > 1
        assert_each_arrived_once(server, outbox, 60)


def test_what_a_further_connection_puts_off_when_nothing_else_waits_is_still_waited_for(tmp_path: Path) -> None:
    with SlowServer("bdat", delay=0.0005) as server:
        server.others_say, server.others_wait = "451 4.3.0 Try again later.", 1.0
        settings = settings_for(server)
        outbox = queue(tmp_path, settings, 60)
        run = outbox.run(settings=settings, wait=False)
        wait_for(lambda: server.arrived.total() == 59)
        server.others_say, server.others_wait = "250 ok", 0.0  # to the next connection; the other still waits
        run.wait()
        assert server.most_at_once == 2
        assert_each_arrived_once(server, outbox, 60)


def test_one_more_connection_begins_only_when_mails_get_through_over_all(tmp_path: Path) -> None:
    with SlowServer("bdat", delay=0.0005) as server:
        server.others_wait = 1.0
        settings = settings_for(server)
        outbox = queue(tmp_path, settings)
        outbox.run(settings=settings)
        assert server.most_at_once == 2
    with SlowServer("bdat", delay=0.0005) as server:
        server.first_says = "550 5.1.1 No such user."
        settings = settings_for(server)
        outbox = queue(tmp_path / "refused", settings, 60)
        outbox.run(settings=settings)
        assert server.most_at_once == 1


def test_a_run_that_fails_waits_for_the_mails_of_further_connections(tmp_path: Path) -> None:
    with SlowServer("bdat") as server:
        server.others_wait = 0.5
        settings = settings_for(server)
        outbox = queue(tmp_path, settings)
        run = outbox.run(settings=settings, wait=False)
        wait_for(lambda: server.at_once == 2)
        server.first_says = "550 5.4.5 Daily user sending limit exceeded."
        with pytest.raises(SendError, match="limit"):
            run.wait()
        counts = run.counts()
        assert counts.keys() == {"sent", "queued"}
        assert counts["sent"] == server.arrived.total()


def test_a_refused_recipient_is_no_reason_for_a_connection_to_end(tmp_path: Path) -> None:
    with SlowServer("bdat") as server:
        server.others_say = "550 5.1.1 No such user."
        settings = settings_for(server)
        outbox = queue(tmp_path, settings)
        outbox.run(settings=settings)
        states = [row.state for row in outbox]
        assert {*states} == {"sent", "refused"}
        assert states.count(State.REFUSED) > 3
        assert states.count(State.SENT) == server.arrived.total()


def test_a_paused_run_sends_over_no_connection_and_goes_on_over_several(tmp_path: Path) -> None:
    with SlowServer("bdat", delay=0.005) as server:
        settings = settings_for(server)
        outbox = queue(tmp_path, settings)
        run = outbox.run(settings=settings, wait=False)
        wait_for(lambda: server.at_once == 4)
        run.pause()
        wait_for(lambda: server.at_once == 0)
        arrived = server.arrived.total()
        assert arrived < MAILS
        assert run.counts() == {"sent": arrived, "queued": MAILS - arrived}
        server.most_at_once = 0
        run.resume()
        run.wait()
        assert server.most_at_once == 4
        assert_each_arrived_once(server, outbox)


def test_breaking_off_leaves_no_mail_that_nobody_knows_of(tmp_path: Path) -> None:
    with SlowServer("bdat", delay=0.02) as server:
        server.others_say, server.others_wait = "550 5.1.1 No such user.", 10.0  # which is not waited for
        settings = settings_for(server)
        outbox = queue(tmp_path, settings)
        run = outbox.run(settings=settings, wait=False)
        wait_for(lambda: server.at_once == 2 and run.counts().get("sending", 0) == 2)
        run.abort()
        run.wait()
        counts = run.counts()
        assert counts.keys() <= {"sent", "queued"}
        assert counts.get("sent", 0) == server.arrived.total() < MAILS


def test_a_journal_that_fails_beside_the_first_connection_stops_the_run_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = Queue.advance
    failed: list[DocmailError] = []
    full = DocmailError("The disk is full.")

    def failing(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread().name == "docmail-extra" and not failed:
            failed.append(full)
            raise full
        return advance(*arguments, **options)

    monkeypatch.setattr(Queue, "advance", failing)
    with SlowServer("bdat", delay=0.005) as server:
        settings = settings_for(server)
        outbox = queue(tmp_path, settings)
        with pytest.raises(DocmailError, match="The disk is full"):
            outbox.run(settings=settings)
        counts = dict(outbox.run(settings=settings))
        assert counts == {"sent": MAILS}
        assert_each_arrived_once(server, outbox)


class ScriptedSender:
    """Sends nothing: it fails at once, or takes its time after it was ended."""

    gets_through = True

    def __init__(self, *, fails: bool) -> None:
        self.fails, self.finished = fails, False

    def send_beside(self, _transport: Any, _attempt: str, _shared: Any, is_over: Callable[[], bool]) -> None:
        """Do what it was made for."""
        wait_for(is_over)
        if self.fails:
            raise ZeroDivisionError
        time.sleep(0.3)
        self.finished = True


def test_a_fault_of_one_connection_is_raised_when_all_others_have_ended() -> None:
    senders = [ScriptedSender(fails=True), ScriptedSender(fails=False)]
    waiting = iter(senders)
    several = ExtraConnections(lambda: next(waiting), lambda: True, 3)  # type: ignore[arg-type,return-value]
    server = docmail.SmtpServer("127.0.0.1", 25, Security.NONE)
    first = open_transport(docmail.Settings("a@example.com", server))
    for _ in senders:
        several.begin_one("", None, first)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        several.end()
    assert senders[1].finished
