"""The file of the outbox survives what happens to files: it grows old, breaks, meets full and foreign disks."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.command_line import main
from docmail.errors import DocmailError, MessageError
from docmail.outbox import Outbox, claims, schema, search
from docmail.outbox.changes import Outcome
from docmail.outbox.file_systems import file_system
from docmail.outbox.rows import State
from docmail.outbox.spool import Spool
from docmail.outbox.store import Store
from docmail.reply import Reply
from tests.support.requires import require_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docmail.sandbox import Sandbox

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"
SETTINGS = docmail.Settings("A <a@example.com>", docmail.SmtpServer("smtp.example.com"))


def messages(number: int, size: int = 0) -> list[docmail.Message]:
    return [
        docmail.Message(
            "c@example.com", f"No. {each}", "text " * 600, PDF + bytes(size) + b"%d %%%%EOF" % each, key=str(each)
        )
        for each in range(number)
    ]


def old_journal(folder: Path) -> None:
    """Write what the first docmail wrote."""
    with closing(sqlite3.connect(folder / "outbox.sqlite3")) as database:
        for statement in schema._statements(schema._TABLES):
            database.execute(statement)
        database.execute(
            "INSERT INTO mail (account, key, state, single, message_id, sender, addressed, subject, body_sha256, head,"
            " boundary, smtputf8, created, user) VALUES ('a@example.com', 'q3', 'sent', 1, '<1@x>', 'a@example.com',"
            " '[\"c@example.com\"]', 'Q3', '', NULL, '', 0, 1.0, 'me')"
        )
        database.execute("PRAGMA user_version = 1")
        database.commit()


# --- old and new ------------------------------------------------------------------------------------------------------


def test_a_journal_of_an_older_docmail_is_brought_up_to_date_with_all_its_rows(tmp_path: Path) -> None:
    old_journal(tmp_path)
    outbox = Outbox(tmp_path)
    (row,) = outbox
    assert (row.key, row.state, row.subject) == ("q3", "sent", "Q3")
    assert outbox.add(docmail.Message("c@example.com", "Q4"), settings=SETTINGS) == 2
    assert outbox._store.file.value("PRAGMA user_version") == schema.SCHEMA


def test_a_step_to_a_new_schema_is_taken_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_journal(tmp_path)
    with monkeypatch.context() as patch:
        patch.setitem(schema._STEPS, 2, schema._STEPS[2] + "CREATE TABLE mail (id);\n")
        with pytest.raises(DocmailError):
            Outbox(tmp_path)
    assert len(Outbox(tmp_path)) == 1


def test_a_journal_whose_middle_is_damaged_is_found_out_kept_and_begun_anew(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path)) as outbox:
        outbox.add_all(messages(60), batch="b", settings=SETTINGS)
    path = tmp_path / "outbox.sqlite3"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2  # what stands before it are the tables' own definitions, without which nothing opens
    content[middle:] = b"\xff" * (len(content) - middle)
    path.write_bytes(content)
    with pytest.raises(DocmailError):
        list(Outbox(tmp_path))
    with pytest.raises(DocmailError, match="no longer knows what was sent"):
        Outbox(tmp_path)
    assert list(Outbox(tmp_path)) == []
    (kept,) = tmp_path.glob("outbox-damaged-*.sqlite3")
    assert kept.read_bytes() == bytes(content)
    assert len(list(kept.with_suffix(".spool").iterdir())) == 60, "its documents belong to it"


def test_a_journal_that_was_emptied_is_a_damaged_one_and_no_new_one(tmp_path: Path) -> None:
    """As a power cut leaves some files; SQLite would begin anew in it, and every key would count as new."""
    with closing(Outbox(tmp_path)) as outbox:
        outbox.add_all(messages(1), batch="b", settings=SETTINGS)
    (tmp_path / "outbox.sqlite3").write_bytes(b"")
    with pytest.raises(DocmailError, match="no longer knows what was sent"):
        Outbox(tmp_path)
    assert list(Outbox(tmp_path)) == []
    (kept,) = tmp_path.glob("outbox-damaged-*.spool")
    assert len(list(kept.iterdir())) == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_an_outbox_whose_folder_vanished_under_it_takes_nothing_that_would_be_lost(
    tmp_path: Path, *, replaced: bool
) -> None:
    folder = tmp_path / "outbox"
    outbox = Outbox(folder)
    folder.rename(tmp_path / "moved")
    if replaced:
        Outbox(folder)
    else:
        (folder / "spool").mkdir(parents=True)
    with pytest.raises(DocmailError, match="removed or replaced while it was open; nothing was recorded"):
        outbox.add_all(messages(3), batch="b", settings=SETTINGS)
    assert not replaced or list(Outbox(folder)) == []


# --- a record that vanished ------------------------------------------------------------------------------------------


def use(folder: Path, *, documents: bool = True) -> None:
    with closing(Outbox(folder)) as outbox:
        outbox.add(
            docmail.Message("c@example.com", "Q3", documents=PDF if documents else (), key="q3"), settings=SETTINGS
        )
        claims.begin(outbox.folder)  # as a run does


def remove(folder: Path, *names: str) -> None:
    for name in names:
        for path in folder.glob(name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("documents", [True, False])
@pytest.mark.parametrize(
    "gone",
    [
        ["outbox.sqlite3*"],
        ["*.*", "reserve"],
        ["outbox.sqlite3*", "spool", "owners", "reserve", "opening.lock"],
        ["outbox.*", "spool"],
        ["outbox.sqlite3*", "owners", "reserve"],
    ],
    ids=" ".join,
)
def test_a_record_that_vanished_is_reported_before_a_new_one_is_begun(
    tmp_path: Path, gone: list[str], *, documents: bool
) -> None:
    """It was begun anew in silence: every key counted as new, and all of it could be sent again."""
    use(tmp_path, documents=documents)
    remove(tmp_path, *gone)
    with pytest.raises(DocmailError, match=r"gone from .*no longer knows what was sent.*backup"):
        Outbox(tmp_path)
    with closing(Outbox(tmp_path)) as outbox:
        assert list(outbox) == []
        outbox.add(docmail.Message("c@example.com", "Q4", documents=PDF), settings=SETTINGS)
    assert len(Outbox(tmp_path)) == 1, "it is reported once"


@pytest.mark.parametrize("left", ["its log", "its log alone", "its log and nothing in it", "its first page"])
def test_of_a_record_that_vanished_what_is_left_is_kept(tmp_path: Path, left: str) -> None:
    folder, outbox = tmp_path / "outbox", Outbox(tmp_path / "used")
    outbox.add(docmail.Message("c@example.com", "Q3", documents=PDF), settings=SETTINGS)
    shutil.copytree(outbox.folder, folder)  # as a computer that stopped leaves it
    journal_file = folder / "outbox.sqlite3"
    log = (folder / "outbox.sqlite3-wal").read_bytes()
    assert log
    if left.startswith("its log") and "nothing" not in left:
        journal_file.unlink()
        remove(folder, *(["outbox.mark", "owners", "spool"] if left == "its log alone" else []))
    elif left == "its first page":
        journal_file.write_bytes(journal_file.read_bytes()[:4096])
        (folder / "outbox.sqlite3-wal").unlink()
    else:
        journal_file.write_bytes(b"")
    with pytest.raises(DocmailError, match="no longer knows what was sent"):
        Outbox(folder)
    kept = [path.read_bytes() for path in folder.glob("outbox-damaged-*-wal")]
    assert kept == ([log] if left != "its first page" else [])
    assert [len(list(spool.iterdir())) for spool in folder.glob("outbox-damaged-*.spool")] == (
        [1] if left != "its log alone" else []
    )
    assert list(Outbox(folder)) == []


@pytest.mark.parametrize("path", [None, "outbox.sqlite3"])
def test_a_first_opening_that_was_cut_short_is_no_record_that_vanished(tmp_path: Path, path: str | None) -> None:
    Outbox(tmp_path).close()
    remove(tmp_path, "outbox.sqlite3*")
    if path is not None:
        (tmp_path / path).touch()
    assert list(Outbox(tmp_path)) == []


def test_a_first_opening_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    code = "import sys; print(flush=True); from docmail.outbox import Outbox; Outbox(sys.argv[1])"
    for number in range(12):
        folder = tmp_path / str(number)
        child = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        end = time.monotonic() + 20
        while not folder.exists():
            assert time.monotonic() < end
        time.sleep(0.002 * number)
        child.kill()
        child.communicate()
        assert list(Outbox(folder)) == []


def test_every_entrance_says_that_the_record_vanished(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    settings = box.settings
    assert settings.home is not None
    folder = settings.home.outbox

    def vanish() -> None:
        docmail.send(PDF, to="c@example.com", subject="Q3", settings=settings, key="q3")
        remove(folder, "outbox.sqlite3*")

    def send() -> None:
        docmail.send(PDF, to="c@example.com", subject="Q3", settings=settings, key="q3")

    def look_back() -> None:
        with search.history_if_any(folder) as store:
            assert store is not None

    for entrance in (send, lambda: Outbox(folder), look_back):
        vanish()
        before = len(box.inbox)
        with pytest.raises(DocmailError, match="no longer knows what was sent"):
            entrance()
        assert len(box.inbox) == before
    vanish()
    for what in ("list", "run", "retry"):
        assert main(["outbox", what]) == 1
        assert "no longer knows what was sent" in capsys.readouterr().err
        remove(folder, "outbox.sqlite3*")


def test_a_copy_put_in_the_place_of_a_record_that_vanished_is_an_older_one(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    use(folder)
    copy = shutil.copyfile(folder / "outbox.sqlite3", tmp_path / "copy")
    use_again = Outbox(folder)
    use_again.add(docmail.Message("c@example.com", "Q4", key="q4"), settings=SETTINGS)
    use_again.close()
    remove(folder, "outbox.sqlite3*")
    with pytest.raises(DocmailError, match="no longer knows what was sent"):
        Outbox(folder)
    shutil.copyfile(copy, folder / "outbox.sqlite3")
    remove(folder, "outbox.sqlite3-*")
    with pytest.raises(DocmailError, match="older copy"):
        Outbox(folder)
    assert [(row.key, row.state) for row in Outbox(folder)] == [("q3", "unknown")]


# --- foreign disks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "mode"), [("ext4", "wal"), ("nfs4", "delete"), ("cifs", "delete")])
def test_on_a_network_file_system_the_journal_needs_no_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    monkeypatch.setattr(schema, "file_system", lambda _folder: kind)
    outbox = Outbox(tmp_path)
    assert outbox._store.file.value("PRAGMA journal_mode") == mode
    assert outbox._store.file.value("PRAGMA synchronous") == 2
    assert outbox.add_all(messages(3), batch="b", settings=SETTINGS).added == 3
    assert (tmp_path / "outbox.sqlite3-shm").exists() == (mode == "wal")


@pytest.mark.parametrize("kind", ["fuse.sshfs", "davfs"])
def test_a_drive_on_which_two_computers_could_send_the_same_mail_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(schema, "file_system", lambda _folder: kind)
    with pytest.raises(DocmailError, match=r"two computers do not see.*twice.*DOCMAIL_HOME"):
        Outbox(tmp_path)
    assert not (tmp_path / "outbox.sqlite3").exists()


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    require_root("A small disk of its own")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Use up the disk to the last octet."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for piece in (bytes(65536), b"0"):
            with suppress(OSError):
                while file.write(piece):
                    pass
    return filler


def test_the_kind_of_a_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    with mounted(tmp_path / "a disk of Zoë's", "1m") as disk:
        assert file_system(disk / "x") == "tmpfs"
        link = tmp_path / "link"
        link.symlink_to(disk)
        assert file_system(link) == "tmpfs"
        assert file_system(tmp_path) != "tmpfs" or file_system(tmp_path.parent) == "tmpfs"


def test_a_batch_that_does_not_fit_on_the_disk_is_not_added_at_all(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "3m") as disk:
        outbox = Outbox(disk / "outbox")
        with pytest.raises(DocmailError, match=r"No space|full"):
            outbox.add_all(messages(40, 100_000), batch="b", settings=SETTINGS)
        assert list(outbox) == []
        outbox.close()


def test_a_disk_that_fills_up_in_the_middle_of_a_run_loses_and_doubles_nothing(box: Sandbox, tmp_path: Path) -> None:
    """What was sent is still written down, in space kept for that; then the run stops."""
    with mounted(tmp_path / "disk", "6m") as disk:
        outbox = Outbox(disk / "outbox")
        outbox.add_all(messages(60), batch="b", settings=box.settings)
        box.delay("end", 0.05, times=3)
        run = outbox.run(settings=box.settings, wait=False)
        box.inbox.wait(1)
        filler = fill(disk)
        with pytest.raises(DocmailError, match=r"(?i)disk|No space"):
            run.wait()
        filler.unlink()
        outbox.close()
        outbox = Outbox(disk / "outbox")
        counts = outbox.run(settings=box.settings)
        arrived = [mail.subject for mail in box.inbox]
        assert len(arrived) == len(set(arrived)), "nothing is sent twice"
        assert counts == {"sent": 60}
        assert {row.subject for row in outbox if row.state == "sent"} <= set(arrived)
        outbox.close()


def test_a_home_that_cannot_be_written_to_is_an_error_that_names_it(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "3m") as disk:
        outbox = Outbox(disk / "used")
        outbox.add_all(messages(1), batch="b", settings=SETTINGS)
        (outbox.folder / "runs").touch()  # as good as a folder in which no lock can be made
        with pytest.raises(DocmailError, match=r"cannot be used.*DOCMAIL_HOME"):
            outbox.run(settings=SETTINGS)
        outbox.close()
    with mounted(tmp_path / "other", "3m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(DocmailError, match=r"cannot be used.*DOCMAIL_HOME") as caught:
            Outbox(disk / "outbox")
        assert str(disk) in str(caught.value)


# --- how long contents are kept ---------------------------------------------------------------------------------------


def sent_long_ago(outbox: Outbox, days: float) -> None:
    with outbox._store.file.transaction() as database:
        database.execute("UPDATE mail SET state = 'sent', created = ?", (time.time() - days * 86400,))


def test_what_expires_gives_its_space_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docmail.outbox.spool._ORPHAN_SECONDS", -1.0)
    outbox = Outbox(tmp_path)
    outbox.add_all(messages(100), batch="b", settings=SETTINGS)
    sent_long_ago(outbox, 40)

    def size() -> int:
        outbox._store.file.value("PRAGMA wal_checkpoint(TRUNCATE)")
        return (tmp_path / "outbox.sqlite3").stat().st_size

    before = size()
    outbox._store.changes.expire(30)
    assert size() < before * 0.7
    assert list((tmp_path / "spool").iterdir()) == []
    assert len(outbox) == 100


def test_sending_makes_the_file_no_larger_however_many_mails_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mail is written down three times; what that needs is used again, and the log of a large batch is cut."""
    texts = [docmail.Message("c@example.com", f"No. {each}", key=str(each)) for each in range(200)]
    mail = texts[0].render(SETTINGS)
    mail = replace(mail, head=mail.head + bytes(50_000))
    monkeypatch.setattr(docmail.Message, "render", lambda _self, _settings: mail)
    outbox, store = Outbox(tmp_path), Store(tmp_path)
    outbox.add_all(texts, batch="b", settings=SETTINGS)
    store.file.value("PRAGMA synchronous = OFF")  # how long the disk takes is not looked at here
    waiting, claim, outcome, sizes = store.queue("a@example.com", "b"), claims.begin(tmp_path), None, []
    while (mail_begun := waiting.advance(claim, outcome)) is not None:
        recipients = {"c@example.com": (State.SENT, Reply(250, "2.0.0", "queued as 4D1X"))}
        outcome = Outcome(mail_begun.id, State.SENT, recipients)
        sizes.append(sum(path.stat().st_size for path in tmp_path.glob("outbox.sqlite3*")))
    assert sizes[-1] < sizes[0] * 1.05
    assert (tmp_path / "outbox.sqlite3-wal").stat().st_size < 5_000_000 < sizes[-1] / 2
    assert outbox._store.journal.count() == {"sent": 200}


def test_the_days_are_kept_in_the_journal_and_hold_at_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    assert outbox.content_days == 30
    outbox.add_all(messages(1), batch="b", settings=SETTINGS)
    sent_long_ago(outbox, 5)
    outbox.content_days = 3
    assert outbox._store.file.value("SELECT head FROM mail") is None
    assert Outbox(tmp_path).content_days == 3


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", None, True, 10**9])
def test_what_is_no_number_of_days_is_refused(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(MessageError, match="days"):
        Outbox(tmp_path).content_days = wrong


@pytest.mark.parametrize("jump", [0.0, -400 * 86400.0])
def test_what_expires_is_looked_for_once_a_day_also_by_a_clock_that_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    looked: list[object] = []
    monkeypatch.setattr(Spool, "clear", lambda _self, needed: looked.append(needed))
    for _ in range(3):
        Outbox(tmp_path)
    assert len(looked) == 1
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + (jump or 86401))
    for _ in range(2):
        Outbox(tmp_path)
    assert len(looked) == 2


def test_a_content_that_is_used_again_is_not_tidied_away_before_it_has_its_row(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    document = docmail.Document.of(PDF)
    sha256 = spool.take(document)
    old = time.time() - 10 * 86400
    os.utime(tmp_path / sha256, (old, old))
    assert spool.take(document) == sha256
    spool.clear(set())
    assert (tmp_path / sha256).exists()
