"""A program that is killed at any moment loses nothing and sends nothing twice; one mail a connection is in doubt."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.home import user_home
from docmail.outbox import Outbox
from docmail.settings import Security
from tests.support.slow_server import SlowServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.slow_server import Way

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"
KILLS = 34
MAILS = 300

# Loads everything once; each child is a fork of it, which begins in 10 ms instead of 500.
VICTIMS = """
import os, sys
import docmail, docmail.outbox, docmail.transport.smtp.transport, docmail.transport.http.transport, filelock, h11, ssl
settings = docmail.Settings.load("victim")
for _line in sys.stdin:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            docmail.Outbox().run(settings=settings, batch="b")
            code = 0
        finally:
            os._exit(code)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


# Waits for the others, then sends a few at a time, as often as there is something left, beside the others.
RACER = """
import sys
import docmail, docmail.outbox, docmail.transport.smtp.transport, filelock
settings = docmail.Settings.load("victim")
outbox = docmail.Outbox()
print("ready", flush=True)
sys.stdin.readline()
turns = refused = 0
while any(row.state in {"queued", "sending"} for row in outbox):
    try:
        outbox.run(settings=settings, batch="b", limit=3)
        turns += 1
    except docmail.errors.SendError:
        raise
    except docmail.errors.DocmailError:
        refused += 1
print(turns, refused, flush=True)
"""


@pytest.fixture
def victims() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", VICTIMS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    yield process
    process.communicate()


def tell(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    process.stdin.write("\n")
    return answer(process)


def answer(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def settings_for(server: SlowServer, way: Way) -> docmail.Settings:
    address = "Accounts <accounts@example.com>"
    if way == "http":
        http = docmail.HttpServer(f"http://127.0.0.1:{server.port}")
        return docmail.Settings("Accounts", http, reply_to="accounts@example.com")  # type: ignore[arg-type]
    return docmail.Settings(address, docmail.SmtpServer("127.0.0.1", server.port, Security.NONE))


def batch(number: int = MAILS) -> list[docmail.Message]:
    document = docmail.Document.of(PDF)
    return [
        docmail.Message(f"c{each}@example.com", f"No. {each}", "Attached.", document, key=str(each))
        for each in range(number)
    ]


@pytest.mark.parametrize(("way", "connections"), [("data", 4), ("bdat", 4), ("http", 1)])
def test_a_hundred_kills_at_random_moments_lose_nothing_and_double_nothing(
    way: Any, connections: int, victims: subprocess.Popen[str]
) -> None:
    moments = random.Random(way)  # noqa: S311 - moments, no secrets
    with SlowServer(way, places=connections) as server:
        settings = settings_for(server, way)
        settings.save("victim")
        outbox = Outbox(user_home().outbox)
        outbox.add_all(batch(), batch="b", settings=settings)
        killed = 0
        while killed < KILLS:
            before = server.steps.total()
            child = tell(victims)
            # It is killed so many steps of the server and so many milliseconds after it has begun.
            steps = moments.randrange(24)
            end = time.monotonic() + 10
            while server.steps.total() - before < steps:
                assert time.monotonic() < end, "it does not get on"
                time.sleep(0.0005)
            time.sleep(moments.uniform(0, 0.004))
            os.kill(child, signal.SIGKILL)
            assert answer(victims) == signal.SIGKILL, "it had nothing left to send"
            killed += 1
        outbox.run(settings=settings, batch="b")

        states: dict[str, int] = {}
        for row in outbox:
            states[row.state] = states.get(row.state, 0) + 1
            arrived = server.arrived[row.subject]
            assert arrived <= 1, f"{row.subject} was sent twice"
            assert arrived == 1 or row.state != "sent", f"{row.subject} is lost"
        assert states.keys() <= {"sent", "unknown"}, states
        assert sum(states.values()) == MAILS
        assert server.most_at_once == connections or way == "http"
        assert states.get("unknown", 0) <= KILLS * connections
        assert server.steps["BDAT"] > 0 or way != "bdat"


def test_programs_that_race_for_one_batch_take_turns_and_send_each_mail_once() -> None:
    with SlowServer("bdat") as server:
        settings = settings_for(server, "bdat")
        settings.save("victim")
        outbox = Outbox(user_home().outbox)
        outbox.add_all(batch(60), batch="b", settings=settings)
        racers = [
            subprocess.Popen([sys.executable, "-c", RACER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("\n")
            racer.stdin.flush()
        said = [racer.communicate(timeout=60)[0].split() for racer in racers]
        assert {row.state for row in outbox} == {"sent"}
        assert sorted(server.arrived.values()) == [1] * 60
        assert sum(int(turns) for turns, _refused in said) >= 20
        assert sum(int(refused) for _turns, refused in said) > 0, "they did not race"
