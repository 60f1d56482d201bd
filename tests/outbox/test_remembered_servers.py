"""What a server has shown is remembered with the record of mail: a success for 30 days, a failure for good."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import docmail
from docmail.outbox import Outbox
from docmail.outbox.remembered_servers import RememberedServers
from docmail.outbox.store import Store
from tests.support.scripted import ScriptedServer, settings_for

if TYPE_CHECKING:
    from pathlib import Path

SERVER = "mail.example.com:587"


def remembered(folder: Path) -> RememberedServers:
    return RememberedServers(Store(folder).journal)


def test_another_process_knows_it_as_well(tmp_path: Path) -> None:
    assert remembered(tmp_path).takes_chunks(SERVER) is None
    remembered(tmp_path).note_chunks(SERVER, takes=True)
    assert remembered(tmp_path).takes_chunks(SERVER) is True
    assert remembered(tmp_path).takes_chunks("mail.example.com:25") is None
    remembered(tmp_path).note_chunks(SERVER, takes=False)
    assert remembered(tmp_path).takes_chunks(SERVER) is False


@pytest.mark.parametrize(
    ("takes", "days", "known"), [(True, 29, True), (True, 31, None), (True, -1, None), (False, 3000, False)]
)
def test_a_success_holds_for_30_days_and_a_failure_for_good(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    takes: bool,  # noqa: FBT001
    days: int,
    known: bool | None,  # noqa: FBT001
) -> None:
    remembered(tmp_path).note_chunks(SERVER, takes=takes)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * 86400)
    assert remembered(tmp_path).takes_chunks(SERVER) is known


def test_a_success_does_not_undo_a_failure(tmp_path: Path) -> None:
    servers = remembered(tmp_path)
    servers.note_chunks(SERVER, takes=False)
    servers.note_chunks(SERVER, takes=True)
    assert servers.takes_chunks(SERVER) is False
    assert remembered(tmp_path).takes_chunks(SERVER) is False


def test_it_never_raises_and_remembers_as_long_as_it_can(tmp_path: Path) -> None:
    store = Store(tmp_path)
    servers = RememberedServers(store.journal)
    store.close()
    assert servers.takes_chunks(SERVER) is None
    servers.note_chunks(SERVER, takes=False)
    assert servers.takes_chunks(SERVER) is False


@pytest.mark.parametrize("written", ["", "yes", "maybe 12", "yes soon", "no"])
def test_a_note_that_nobody_wrote_like_this_is_none(tmp_path: Path, written: str) -> None:
    store = Store(tmp_path)
    store.journal.set_note(f"chunks {SERVER}", written)
    assert RememberedServers(store.journal).takes_chunks(SERVER) is None


def test_many_threads_may_ask_and_tell(tmp_path: Path) -> None:
    servers = remembered(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for each in range(64):
            pool.submit(servers.note_chunks, f"mail{each % 4}.example.com:587", takes=True)
            pool.submit(servers.takes_chunks, f"mail{each % 4}.example.com:587")
    assert all(remembered(tmp_path).takes_chunks(f"mail{each}.example.com:587") for each in range(4))


def test_a_run_remembers_a_server_that_refuses_chunks() -> None:
    script = {"BDAT": "502 5.5.2 Command not implemented"}
    with ScriptedServer(script, extensions=("PIPELINING", "CHUNKING")) as server:
        settings = settings_for(server, username="")
        outbox = Outbox()
        messages = [docmail.Message("c@example.com", f"No. {each}", key=str(each)) for each in range(3)]
        outbox.add_all(messages, batch="b", settings=settings)
        outbox.run(settings=settings)
        note = outbox._store.journal.note(f"chunks {settings.account.host}:{settings.account.port}")
        assert note is not None
        assert note.startswith("no ")
        tried = server.verbs.count("BDAT")
        assert tried
        outbox.add_all([replace(each, key=f"{each.key}-2") for each in messages], batch="b", settings=settings)
        assert Outbox().run(settings=settings) == {"sent": 6}
        assert server.verbs.count("BDAT") == tried, "never again at this server"
