"""What happens to the journal's files and to its process under a run loses nothing and sends nothing twice."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

import docmail
from docmail import home
from docmail.errors import DocmailError
from docmail.outbox import Outbox, database, earlier_use, schema
from docmail.outbox.file_locks import Guard

if TYPE_CHECKING:
    from pathlib import Path

    from docmail.sandbox import Sandbox

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"
SETTINGS = docmail.Settings("A <a@example.com>", docmail.SmtpServer("smtp.example.com"))
MAILS = 8

LOOK = """
import collections, json, sys
from docmail.outbox import Outbox
outbox = Outbox(sys.argv[1])
print(json.dumps(collections.Counter(row.state for row in outbox)))
outbox.close()
"""

# Since Python 3.12; this is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def messages(number: int = MAILS) -> list[docmail.Message]:
    return [
        docmail.Message(f"c{each}@example.com", f"No. {each}", "Attached.", PDF, key=str(each))
        for each in range(number)
    ]


def queue(settings: docmail.Settings, number: int = MAILS) -> Outbox:
    outbox = Outbox()
    outbox.add_all(messages(number), batch="b", settings=settings)
    return outbox


def look(folder: Path) -> dict[str, int]:
    """Open and close the outbox in another program; return what that one sees."""
    done = subprocess.run([sys.executable, "-c", LOOK, str(folder)], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def arrived(box: Sandbox) -> Counter[str]:
    return Counter(mail.subject for mail in box.inbox)


def back_up(folder: Path, to: Path) -> Path:
    """Copy the database by itself, as a program for backups does that knows SQLite."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "outbox.sqlite3")) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    return to


def without_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "Guard", lambda path, is_wal: Guard(path, is_wal=False))  # noqa: ARG005


@pytest.fixture(params=[True, False])
def guarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it both ways: as on Linux, and as where no lock outlives a copy."""
    if not request.param:
        without_guard(monkeypatch)


@pytest.fixture(autouse=True)
def _nothing_to_settle_doubts_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look into no mailbox: a copy that is found there would settle what is unknown."""
    monkeypatch.setattr("docmail.outbox.run.work_quietly", lambda *_arguments, **_options: "")


# --- a copy made in the kernel ----------------------------------------------------------------------------------------


# Where no lock outlives a copy, the process may end with a bus error in that moment: not tried in this one.
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has locks that outlive a copy")
def test_a_backup_made_in_the_kernel_that_sends_doubles_and_loses_nothing(box: Sandbox, tmp_path: Path) -> None:
    """Closing the copied files dropped this process's locks, and the next program removed the log under it."""
    outbox = queue(box.settings)
    box.delay("end", 0.2)
    run = outbox.run(settings=box.settings, wait=False)
    for number in (1, 3, 5):
        box.inbox.wait(number)
        shutil.copytree(outbox.folder, tmp_path / str(number))
        look(outbox.folder)
    assert run.wait() == {"sent": MAILS}
    assert look(outbox.folder) == {"sent": MAILS}
    assert set(arrived(box).values()) == {1}


@pytest.mark.usefixtures("guarded")
def test_what_is_added_after_a_backup_in_the_same_kernel_is_seen_by_others(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    for number in range(1, 4):
        outbox.add(docmail.Message("c@example.com", f"No. {number}", documents=PDF), settings=SETTINGS)
        shutil.copytree(outbox.folder, tmp_path / str(number))
        assert look(outbox.folder) == {"queued": number}
        assert len(outbox) == number


def test_a_step_within_a_step_is_a_part_of_it(tmp_path: Path) -> None:
    store = Outbox(tmp_path)._store
    with store.file.transaction():
        store.journal.set_note("kept", "1")
    with suppress(ZeroDivisionError), store.file.transaction():
        store.journal.set_note("kept", "2")
        store.journal.set_note("lost", "1")
        raise ZeroDivisionError
    assert (store.journal.note("kept"), store.journal.note("lost")) == ("1", None)


def test_a_log_that_vanishes_in_the_middle_of_a_transaction_is_noticed_before_anything_relies_on_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "outbox"
    outbox = Outbox(folder)
    outbox.add(docmail.Message("c@example.com", "No. 1"), settings=SETTINGS)
    outbox._store.file.value("PRAGMA wal_checkpoint(TRUNCATE)")

    def write_into_nothing() -> None:
        with outbox._store.file.transaction() as connection:
            connection.execute("UPDATE mail SET state = 'sent'")
            (folder / "outbox.sqlite3-wal").unlink()
            (folder / "outbox.sqlite3-shm").unlink()

    with pytest.raises(DocmailError, match="nothing was recorded"):
        write_into_nothing()
    assert look(folder) == {"queued": 1}
    assert [row.state for row in outbox] == ["queued"]
    outbox.add(docmail.Message("c@example.com", "No. 2"), settings=SETTINGS)
    assert look(folder) == {"queued": 2}


def test_a_database_that_is_replaced_in_the_middle_of_a_transaction_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    outbox = Outbox(folder)
    outbox.add(docmail.Message("c@example.com", "No. 1"), settings=SETTINGS)
    copy = back_up(folder, tmp_path / "copy")

    def write_into_nothing() -> None:
        with outbox._store.file.transaction() as connection:
            connection.execute("UPDATE mail SET state = 'sent'")
            copy.replace(folder / "outbox.sqlite3")

    with pytest.raises(DocmailError, match="nothing was recorded"):
        write_into_nothing()
    other = Outbox(folder)
    assert [row.state for row in other] == ["queued"]
    log = (folder / "outbox.sqlite3-wal").stat().st_ino
    outbox.close()
    assert (folder / "outbox.sqlite3-wal").stat().st_ino == log, "it belongs to the other one"
    other.add(docmail.Message("c@example.com", "No. 2"), settings=SETTINGS)
    assert look(folder) == {"queued": 2}


def test_two_outboxes_of_one_process_share_what_they_know_of_the_files(tmp_path: Path) -> None:
    first, second = Outbox(tmp_path / "outbox"), Outbox(tmp_path / "x" / ".." / "outbox")
    first.add(docmail.Message("c@example.com", "No. 1"), settings=SETTINGS)
    first.close()
    with pytest.raises(DocmailError, match="closed"):
        len(first)
    assert len(second) == 1
    second.close()
    assert not (tmp_path / "outbox" / "outbox.sqlite3-wal").exists(), "the last one closes it"


# --- forks ------------------------------------------------------------------------------------------------------------

FORKS = """
import json, multiprocessing, os, sys
from collections import Counter
import docmail
from docmail.outbox import Outbox

def attempted(queue, function, *arguments):
    try:
        queue.put((function.__name__, str(function(*arguments))))
    except docmail.errors.DocmailError as exc:
        queue.put((function.__name__, str(exc)))

def send(settings, number):
    docmail.send(PDF, to="kid@example.com", subject=f"kid {number}", settings=settings, key=f"kid {number}")
    return "done"

def add(outbox, settings, number):
    for each in range(2):
        outbox.add(docmail.Message("kid@example.com", f"added {number}.{each}", documents=PDF), settings=settings)
    return "done"

def run(outbox, settings, number):
    outbox.run(settings=settings)

def wait(other):
    other.wait()

PDF = b"%PDF-1.4\\n1 0 obj\\n%%EOF\\n"
forked = multiprocessing.get_context("fork")
with docmail.Sandbox() as box:
    outbox = Outbox()
    outbox.add_all(
        [docmail.Message(f"c{each}@example.com", f"No. {each}", documents=PDF, key=str(each)) for each in range(20)],
        batch="b", settings=box.settings,
    )
    box.delay("end", 0.1)
    going = outbox.run(settings=box.settings, wait=False)
    queue = forked.SimpleQueue()
    said = Counter()
    for number in range(2):
        box.inbox.wait(number + 1)
        children = [
            forked.Process(target=attempted, args=(queue, send, box.settings, number)),
            forked.Process(target=attempted, args=(queue, add, outbox, box.settings, number)),
            forked.Process(target=attempted, args=(queue, run, outbox, box.settings, number)),
            forked.Process(target=attempted, args=(queue, wait, going)),
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
            said[" ".join(queue.get())] += 1
    if (child := os.fork()) == 0:
        outbox.add(docmail.Message("kid@example.com", "from a bare fork"), settings=box.settings)
        sys.exit(0)  # with all destructors, and what is registered with atexit
    assert os.waitpid(child, 0)[1] == 0
    going.wait()
    outbox.run(settings=box.settings)
    print(json.dumps([dict(outbox.run(settings=box.settings)), Counter(mail.subject for mail in box.inbox), said]))
"""


@needs_fork
def test_children_that_fork_under_a_run_add_and_send_themselves_and_nothing_is_doubled_or_lost() -> None:
    """They used the connection they had inherited: mails went out twice, and what they added vanished."""
    done = subprocess.run([sys.executable, "-c", FORKS], stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    counts, subjects, said = json.loads(done.stdout)
    expected = {f"No. {each}" for each in range(20)} | {"kid 0", "kid 1", "from a bare fork"}
    expected |= {f"added {number}.{each}" for number in range(2) for each in range(2)}
    assert subjects == dict.fromkeys(expected, 1)
    assert counts == {"sent": len(expected)}
    assert said["send done"] == said["add done"] == 2
    assert sum(number for text, number in said.items() if text.startswith("run Somebody is sending")) == 2
    assert (
        sum(number for text, number in said.items() if text.startswith("wait This run continues in the program")) == 2
    )


POOL = """
import json, multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
import docmail
from docmail.outbox import Outbox

def document(row):
    return b"%PDF-1.4\\n" + str(row).encode() + b"\\n%%EOF\\n"

settings = None
with docmail.Sandbox() as box:
    outbox = Outbox()
    outbox.add_all(
        [docmail.Message(f"c{each}@example.com", f"No. {each}", key=str(each)) for each in range(10)],
        batch="b", settings=box.settings,
    )
    box.delay("end", 0.1)
    going = outbox.run(settings=box.settings, batch="b", wait=False)
    rows = [{"k": each} for each in range(40)]
    mails = docmail.merge(rows, key="k", to="m@example.com", subject="M {{ k }}", documents=document)
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("fork")) as executor:
        outbox.add_all(mails, batch="m", settings=box.settings, executor=executor)
        box.inbox.wait(5)
    going.wait()
    counts = dict(outbox.run(settings=box.settings))
    print(json.dumps([counts, max(Counter(mail.subject for mail in box.inbox).values())]))
"""


@needs_fork
def test_documents_that_forked_processes_make_under_a_run_are_added_and_each_mail_goes_once() -> None:
    done = subprocess.run([sys.executable, "-c", POOL], stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == [{"sent": 50}, 1]


ORPHAN = """
import os, sys, time
from pathlib import Path
import docmail
from docmail.outbox import Outbox, claims
outbox = Outbox(sys.argv[1])
claim = claims.begin(outbox.folder)
outbox._store.changes.take(1, claim)
outbox._store.changes.begin(1, claim)
if os.fork() == 0:
    print(os.getpid(), flush=True)
    os.close(1)
    time.sleep(600)
os.kill(os.getpid(), 9)
"""


@needs_fork
def test_a_child_that_lives_longer_keeps_no_claim_of_its_parent(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.add(docmail.Message("c@example.com", "Q3"), settings=SETTINGS)
    outbox.close()
    done = subprocess.run([sys.executable, "-c", ORPHAN, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=False)
    child = int(done.stdout)
    try:
        assert [row.state for row in Outbox(tmp_path)] == ["unknown"]
    finally:
        os.kill(child, signal.SIGKILL)


def in_child(function: object) -> str:
    """Return what a function says in a forked child that ends as any program does."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        said = "nothing"
        try:
            function()  # type: ignore[operator]
        except DocmailError as exc:
            said = str(exc)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


@needs_fork
def test_a_child_of_a_fork_in_the_middle_of_a_transaction_says_that_it_cannot_use_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_FORK_SECONDS", 0.01)
    outbox = Outbox(tmp_path)
    begun, end = threading.Event(), threading.Event()

    def write() -> None:
        with outbox._store.file.transaction() as connection:
            connection.execute("INSERT INTO note VALUES ('from the thread', '1')")
            begun.set()
            end.wait()

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait()
    add = partial(outbox.add, docmail.Message("c@example.com", "Q3"), settings=SETTINGS)
    assert "was forked from one that was writing" in in_child(add)
    assert "was forked from one that was writing" in in_child(lambda: Outbox(tmp_path))
    end.set()
    thread.join()
    assert outbox._store.journal.note("from the thread") == "1"
    assert in_child(add) == "nothing"
    assert len(outbox) == 1


@needs_fork
def test_a_child_of_a_fork_that_nobody_announced_leaves_the_connection_alone(tmp_path: Path) -> None:
    """As a library in C does it."""
    outbox = Outbox(tmp_path)
    outbox.add(docmail.Message("c@example.com", "Q3"), settings=SETTINGS)
    reading, writing = os.pipe()
    if (child := ctypes.CDLL(None).fork()) == 0:
        said = ""
        for use in (lambda: len(outbox), lambda: Outbox(tmp_path)):
            try:
                use()
            except DocmailError as exc:
                said += str(exc)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        assert file.read().count("was forked from one that was writing") == 2
    os.waitpid(child, 0)
    outbox.add(docmail.Message("c@example.com", "Q4"), settings=SETTINGS)
    assert look(tmp_path) == {"queued": 2}


@needs_fork
def test_a_child_that_is_forked_while_documents_are_made_and_ends_discards_nothing_of_its_parent(
    tmp_path: Path,
) -> None:
    outbox = Outbox(tmp_path)
    parent, children = os.getpid(), []

    def document(row: dict[str, int]) -> bytes:
        if row["k"] == 3 and (child := os.fork()) == 0:
            sys.exit(0)
        elif row["k"] == 3:
            children.append(child)
            os.waitpid(child, 0)
        return PDF + str(row["k"]).encode() + b"\n%%EOF\n"

    mails = docmail.merge(
        [{"k": each} for each in range(6)], key="k", to="m@x.com", subject="{{ k }}", documents=document
    )
    try:
        outbox.add_all(mails, batch="m", settings=SETTINGS)
    except SystemExit:
        if os.getpid() != parent:
            os._exit(0)
        raise
    assert len(children) == 1
    assert [row.subject for row in outbox] == [str(each) for each in range(6)]
    assert len(list((tmp_path / "spool").iterdir())) == 6


# --- an older copy ----------------------------------------------------------------------------------------------------


def restore(copy: Path, folder: Path, way: str) -> None:
    """Put a copy of the database in its place, with or without its log."""
    path = folder / "outbox.sqlite3"
    if "in place" in way:
        shutil.copyfile(copy, path)
    else:
        copy.replace(path)
    if "without" in way:
        for suffix in ("-wal", "-shm"):
            (folder / f"outbox.sqlite3{suffix}").unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["ext4", "nfs4"])
@pytest.mark.parametrize("way", ["in place", "by rename"])
def test_what_waited_in_an_older_copy_is_asked_about_and_not_sent_again(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, kind: str
) -> None:
    monkeypatch.setattr(schema, "file_system", lambda _folder: kind)
    outbox = queue(box.settings)
    outbox.run(settings=box.settings, limit=2)
    copy = back_up(outbox.folder, tmp_path / "copy")
    assert outbox.run(settings=box.settings) == {"sent": MAILS}
    outbox.close()
    gc.collect()  # the run, which has the journal open as well
    restore(copy, outbox.folder, way)
    with pytest.raises(DocmailError, match=r"older copy.*“unknown” now"):
        Outbox()
    assert Outbox().run(settings=box.settings) == {"sent": 2, "unknown": MAILS - 2}
    assert set(arrived(box).values()) == {1}


def database_of(outbox: Outbox) -> sqlite3.Connection:
    return sqlite3.connect(outbox.folder / "outbox.sqlite3")


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        ("by rename", "ext4"),
        ("by rename", "nfs4"),
        ("by rename, without the log", "ext4"),
        ("in place, without the log", "ext4"),
        ("in place", "nfs4"),
    ],
)
def test_an_older_copy_under_a_run_stops_it_and_nothing_is_sent_twice(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, kind: str
) -> None:
    monkeypatch.setattr(schema, "file_system", lambda _folder: kind)
    outbox = queue(box.settings)
    copy = back_up(outbox.folder, tmp_path / "copy")
    box.delay("end", 0.2)
    run = outbox.run(settings=box.settings, wait=False)
    box.inbox.wait(3)
    outbox._store.file.value("PRAGMA wal_checkpoint(TRUNCATE)")
    restore(copy, outbox.folder, way)
    with pytest.raises(DocmailError, match=r"older copy|removed or replaced"):
        run.wait()
    outbox.close()
    del run
    box.reset()
    for _again in range(3):
        with suppress(DocmailError):
            Outbox().run(settings=box.settings)
    assert set(arrived(box).values()) == {1}
    assert set(look(outbox.folder)) <= {"unknown", "sent"}


def test_a_record_that_is_being_copied_over_is_said_to_be_replaced(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when `cp` has emptied the file, and the copy is not there yet."""
    monkeypatch.setattr(schema, "file_system", lambda _folder: "nfs4")
    outbox = queue(box.settings)
    (outbox.folder / "outbox.sqlite3").write_bytes(b"")
    with pytest.raises(DocmailError, match="removed or replaced"):
        list(outbox)
    with pytest.raises(DocmailError, match="removed or replaced"):
        outbox.run(settings=box.settings)
    assert len(box.inbox) == 0


def test_a_run_remembers_what_it_has_sent_however_the_record_changes_under_it(box: Sandbox) -> None:
    outbox = queue(box.settings)
    box.delay("end", 0.2)
    run = outbox.run(settings=box.settings, wait=False)
    box.inbox.wait(3)
    with closing(database_of(outbox)) as direct, direct:
        direct.execute("UPDATE mail SET state = 'queued', owner = NULL")
        direct.execute("UPDATE recipient SET state = 'queued'")
    with pytest.raises(DocmailError, match="older copy"):
        run.wait()
    assert "queued" not in look(outbox.folder)
    assert set(arrived(box).values()) == {1}


def test_a_copy_of_the_whole_folder_is_used_as_it_is(box: Sandbox, tmp_path: Path) -> None:
    outbox = queue(box.settings)
    outbox.run(settings=box.settings, limit=2)
    copy = shutil.copytree(outbox.folder, tmp_path / "copy")
    assert look(copy) == {"sent": 2, "queued": MAILS - 2}


@pytest.mark.parametrize("where", ["at a place of its own", "a sandbox's"])
@pytest.mark.parametrize("way", ["moved away", "removed", "written over", "in place"])
def test_the_whole_folder_restored_from_a_backup_is_an_older_copy(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, where: str
) -> None:
    outbox = Outbox() if where == "a sandbox's" else Outbox(tmp_path / "outbox")
    outbox.add_all(messages(), batch="b", settings=box.settings)
    outbox.run(settings=box.settings, limit=2)
    folder = outbox.folder
    backup = shutil.copytree(folder, tmp_path / "backup")
    assert outbox.run(settings=box.settings) == {"sent": MAILS}
    outbox.close()
    gc.collect()
    if where != "a sandbox's":
        monkeypatch.setattr(earlier_use, "_in_this_process", {})  # as in the next one
    if way == "moved away":
        folder.rename(tmp_path / "moved")
    elif way == "removed":
        shutil.rmtree(folder)
    for file in [each for each in backup.rglob("*") if each.is_file()]:
        place = folder / file.relative_to(backup)
        place.parent.mkdir(parents=True, exist_ok=True)
        if way != "in place":
            place.unlink(missing_ok=True)
        shutil.copyfile(file, place)
    with pytest.raises(DocmailError, match=r"older copy.*“unknown” now"):
        Outbox(folder)
    assert Outbox(folder).run(settings=box.settings) == {"sent": 2, "unknown": MAILS - 2}
    assert set(arrived(box).values()) == {1}


def test_a_log_that_was_restored_is_not_the_one_that_was_written_last_though_it_has_its_number(tmp_path: Path) -> None:
    """A file system gives the number of a removed file to the next one; a copy that is written over a file keeps it."""
    code = (
        "import os, sys, docmail; from docmail.outbox import Outbox\n"
        "settings = docmail.Settings('A <a@example.com>', docmail.SmtpServer('smtp.example.com'))\n"
        "outbox = Outbox(sys.argv[1])\n"
        "outbox.add(docmail.Message('c@example.com', sys.argv[2]), settings=settings)\n"
        "os._exit(0)"  # as if it were killed: its log stays
    )

    def add(subject: str) -> None:
        subprocess.run([sys.executable, "-c", code, str(folder), subject], check=True)

    folder, backup = tmp_path / "outbox", tmp_path / "backup"
    add("Q1")
    shutil.copytree(folder, backup)
    add("Q2")
    (folder / "outbox.sqlite3").rename(tmp_path / "moved")
    for name in ("outbox.sqlite3", "outbox.sqlite3-wal", "outbox.mark"):
        shutil.copyfile(backup / name, folder / name)
    with pytest.raises(DocmailError, match=r"older copy.*“unknown” now"):
        Outbox(folder)
    assert look(folder) == {"unknown": 1}


def test_the_whole_folder_restored_under_an_open_outbox_is_an_older_copy(box: Sandbox, tmp_path: Path) -> None:
    outbox = queue(box.settings)
    backup = shutil.copytree(outbox.folder, tmp_path / "backup")
    outbox.run(settings=box.settings, limit=2)
    outbox.folder.rename(tmp_path / "moved")
    shutil.copytree(backup, outbox.folder)
    with pytest.raises(DocmailError, match="older copy"):
        outbox.run(settings=box.settings)
    assert Outbox().run(settings=box.settings) == {"unknown": MAILS}
    assert set(arrived(box).values()) == {1}


def test_a_new_record_where_another_one_was_is_no_older_copy(tmp_path: Path) -> None:
    for _again in range(2):
        with Outbox(tmp_path / "outbox") as outbox:
            outbox.add_all(messages(), batch="b", settings=SETTINGS)
        with Outbox(tmp_path / "outbox") as outbox:
            assert {row.state for row in outbox} == {"queued"}
        shutil.rmtree(outbox.folder)


def test_where_the_user_has_no_place_to_remember_records_mail_is_written_down_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(home, "memory_of_records", lambda: tmp_path / "file" / "records")
    with Outbox(tmp_path / "outbox") as outbox:
        outbox.add_all(messages(), batch="b", settings=SETTINGS)
        assert len(list(outbox)) == MAILS


def test_programs_that_are_killed_leave_no_mark_that_looks_like_an_older_copy(tmp_path: Path) -> None:
    code = (
        "import sys, docmail; from docmail.outbox import Outbox; outbox = Outbox(sys.argv[1]); number = 0\n"
        "settings = docmail.Settings('A <a@example.com>', docmail.SmtpServer('smtp.example.com'))\n"
        "while True:\n    number = outbox.add(docmail.Message('c@example.com', 'x'), settings=settings)\n"
        "    print(number, flush=True)\n"
    )
    count = 0
    for kill in range(6):
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _line in range(3 + 7 * kill):
            count = int(child.stdout.readline())
        child.kill()
        child.communicate()
        assert len(Outbox(tmp_path)) >= count
