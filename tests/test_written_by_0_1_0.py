"""What version 0.1.0 wrote is read, and its mails are known again, whatever docmail makes of a text today.

The files are explained, with all that was given for them, in `tests/support/written_by_0_1_0.py`.
"""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail import language, templates
from docmail.errors import DocmailError, MessageError, OutcomeUnknown
from docmail.home import Home
from docmail.message import body
from docmail.outbox import Outbox, Run, search
from docmail.outbox import schema as journal
from docmail.templates import filling
from docmail.text import columns as frames
from docmail.text import markdown, source_of, value_given
from tests.support import written_by_0_1_0 as old

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from docmail.outbox import Row
    from docmail.sandbox import Sandbox
    from docmail.transport import SendResult
    from tests.support.memory_keyring import MemoryKeyring

both = pytest.mark.parametrize("schema", [1, 2])

STATES: dict[str | None, str] = {
    **dict.fromkeys(["expired", "sent", "several", "texts", "resent", "partly", "pieces", None, "101", "102"], "sent"),
    **dict.fromkeys(["refused", "100"], "refused"),
    **dict.fromkeys(["unknown", "dead", "104"], "unknown"),
    **dict.fromkeys(["queued", "103", "105", "106", "107", "108"], "queued"),
    "failed": "failed",
}


@pytest.fixture
def schema() -> int:
    return 2


@pytest.fixture
def home_0_1_0(home: Path, schema: int) -> Home:
    """Return the user's home as 0.1.0, or with an outbox as the docmail before it, left it."""
    folder = home / "docmail"
    shutil.copytree(old.FOLDER / "home", folder)
    if schema == 1:
        shutil.copy(old.FOLDER / "schema_1.sqlite3", folder / "outbox" / "outbox.sqlite3")
    return Home.below(folder)


@pytest.fixture
def settings(box: Sandbox, home_0_1_0: Home) -> docmail.Settings:
    """Return the settings of that home's sender, for a server in the test."""
    return replace(box.settings, sender=old.SENDER, home=home_0_1_0)


def send(settings: docmail.Settings, key: str, given: Mapping[str, Any], **changes: Any) -> SendResult:
    arguments = {"documents": (), **given, **changes}
    return docmail.send(arguments.pop("documents"), **arguments, key=key, settings=settings)


def row_of(folder: Path, key: str) -> Row:
    with Outbox(folder) as outbox:
        return next(row for row in reversed(list(outbox)) if row.key == key)


# --- what it is read as -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("home_0_1_0")
def test_settings_of_0_1_0_are_the_same_settings() -> None:
    assert docmail.settings.profiles() == sorted(old.SETTINGS)
    for name, given in old.SETTINGS.items():
        loaded = docmail.Settings.load(name)
        assert loaded == given
        assert loaded.problems() == []
        assert loaded.account == given.account


@pytest.mark.usefixtures("home_0_1_0")
def test_templates_of_0_1_0_are_the_same_templates() -> None:
    assert sorted(templates.names()) == sorted(template.name for template in old.TEMPLATES)
    for template in old.TEMPLATES:
        assert templates.load(template.name) == template


@pytest.mark.usefixtures("home_0_1_0")
def test_passwords_that_0_1_0_put_into_the_keyring_are_found_and_forgotten_whole(memory_keyring: MemoryKeyring) -> None:
    stored = json.loads((old.FOLDER / "keyring.json").read_text("utf-8"))
    memory_keyring.data |= {(service, username): value for service, username, value in stored}
    for name, secret in old.SECRETS.items():
        settings = docmail.Settings.load(name)
        found = docmail.credentials.get(settings)
        assert found is not None
        assert found.reveal() == secret
        assert docmail.credentials.where(settings) == "keyring"
        docmail.credentials.forget(settings)
    assert memory_keyring.data == {}


@both
def test_every_mail_of_0_1_0_has_its_state_and_those_of_ended_processes_are_unknown(home_0_1_0: Home) -> None:
    with Outbox(home_0_1_0.outbox) as outbox:
        rows = list(outbox)
        assert outbox._store.file.value("PRAGMA user_version") == journal.SCHEMA
    assert {row.key: row.state for row in rows} == STATES
    assert {row.user for row in rows} == {"analyst"}
    partly = next(row for row in rows if row.key == "partly")
    assert {address: each.state for address, each in partly.recipients.items()} == {
        "cfo@example.com": "sent",
        "nobody@example.com": "refused",
    }
    assert str(partly.recipients["nobody@example.com"].reply).startswith("550 5.1.1 ")
    several = next(row for row in rows if row.key == "several")
    assert {each.role for each in several.recipients.values()} == {"to", "cc", "bcc"}
    assert several.subject == old.SENT["several"]["subject"]


def test_what_an_outbox_of_0_1_0_remembers_of_itself_holds(home_0_1_0: Home, settings: docmail.Settings) -> None:
    with Outbox(home_0_1_0.outbox) as outbox:
        assert outbox.content_days == 36_500
    run = Run(home_0_1_0.outbox, settings, batch=old.BATCH)
    assert run.rate.describe() == "at most 6e+03 a minute"
    assert run.queue.is_agreed


def test_texts_and_documents_of_0_1_0_can_be_opened(home_0_1_0: Home) -> None:
    dead = row_of(home_0_1_0.outbox, "dead")
    with search.history_of(home_0_1_0.outbox) as store:
        contents = []
        for document in store.documents(dead.id):
            with document.open() as file:
                contents.append(file.read())
        assert contents == old.DEAD["documents"]
        seen = store.arrived(dead.id)
        assert seen is not None
        assert seen.text.strip() == old.DEAD["body"]
        with pytest.raises(MessageError, match="no longer kept"):
            store.documents(row_of(home_0_1_0.outbox, "expired").id)


# --- its keys ---------------------------------------------------------------------------------------------------------


@both
def test_a_key_that_0_1_0_sent_sends_nothing_again(box: Sandbox, settings: docmail.Settings) -> None:
    given = {**old.SENT, "expired": {"to": "cfo@example.com", "subject": "Expired", "body": "Old."}}
    for key, each in given.items():
        result = send(settings, key, each, documents=old.PDF if key == "sent" else ())
        assert result.repeated
        assert not result.note or key == "expired"
    result = send(settings, "pieces", {"to": "cfo@example.com", "subject": "Pieces", "body": old.pieces()})
    assert (result.repeated, result.note) == (True, "")
    for key, each in (("unknown", old.UNKNOWN), ("dead", old.DEAD)):
        with pytest.raises(OutcomeUnknown):
            send(settings, key, each)
    assert list(box.inbox) == []


@both
def test_a_key_with_which_0_1_0_reached_nobody_sends_now_and_once(box: Sandbox, settings: docmail.Settings) -> None:
    for key, each in (("queued", old.QUEUED), ("failed", old.FAILED)):
        first, second = (send(settings, key, each) for _ in range(2))
        assert (first.repeated, second.repeated, second.message_id) == (False, True, first.message_id)
        assert (first.note, second.note) == ("", "")
    assert [mail.subject for mail in box.inbox] == ["Queued", "Failed"]


@both
@pytest.mark.parametrize("key", [key for key, each in old.SENT.items() if each["body"]])
@pytest.mark.parametrize("change", [lambda text: f"{text}.", lambda text: text.replace("e", "a"), lambda _text: ""])
def test_a_key_of_0_1_0_is_refused_for_another_body(
    settings: docmail.Settings, key: str, change: Callable[[str], str]
) -> None:
    given = old.SENT[key]
    other = change(given["body"]) if isinstance(given["body"], str) else list(map(change, given["body"]))
    with pytest.raises(MessageError, match="another body"):
        send(settings, key, given, body=other)


@both
def test_a_batch_of_0_1_0_goes_on_where_it_was(box: Sandbox, home_0_1_0: Home, settings: docmail.Settings) -> None:
    with Outbox(home_0_1_0.outbox) as outbox:
        added = outbox.add_all(old.merged(), batch=old.BATCH, settings=settings)
        assert (added.added, added.known) == (0, 9)
        outbox.run(settings=settings, batch=old.BATCH)
        assert sorted(mail.subject for mail in box.inbox) == [f"Invoice {each}" for each in (103, 105, 106, 107, 108)]
        assert {row.state for row in outbox if row.key == "104"} == {"unknown"}
        with pytest.raises(MessageError, match="in the outbox already"):
            outbox.add(docmail.Message(**old.QUEUED), key="queued", settings=settings)


@pytest.mark.parametrize("name", ["{{ name }}!", "{{ name | lower }}", "{{ name | safe }}"])
def test_a_batch_of_0_1_0_takes_no_other_text_for_what_was_sent(
    home_0_1_0: Home, settings: docmail.Settings, name: str
) -> None:
    with Outbox(home_0_1_0.outbox) as outbox, pytest.raises(docmail.errors.BatchError) as caught:
        outbox.add_all(old.merged(name), batch=old.BATCH, settings=settings)
    assert "another body" in str(list(caught.value.problems))


# --- what docmail makes of a text changes -----------------------------------------------------------------------------


@pytest.fixture
def written_otherwise(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Return what gives every table, figure and value in a template another look, as a later docmail may."""

    def forget() -> None:
        filling._language.cache_clear()
        filling._compiled.cache_clear()

    def change() -> None:
        forget()
        escape, table = markdown.escape, markdown.table
        monkeypatch.setattr(markdown, "escape", lambda text: f"\u200a{escape(text)}")
        monkeypatch.setattr(body, "escape", markdown.escape)
        monkeypatch.setattr(filling, "escape", markdown.escape)
        monkeypatch.setattr(body, "table", lambda *parts: f"**Table**\n\n{table(*parts)}")
        monkeypatch.setattr(body, "_caption", lambda _figure, number: f"Picture no. {number}")
        monkeypatch.setattr(body, "_DENSITY", 1)
        monkeypatch.setattr(frames, "_PLACES", 1)
        monkeypatch.setenv("LANGUAGE", "af")

    yield change
    forget()


@both
@pytest.mark.usefixtures("box")
def test_a_text_of_0_1_0_that_docmail_writes_otherwise_is_no_other_text(
    home_0_1_0: Home, settings: docmail.Settings, written_otherwise: Callable[[], None]
) -> None:
    """Of a table and a figure it cannot know, and says so."""
    written_otherwise()
    assert next(iter(old.merged())).body.count("\u200a") == 3, "the look did change"
    with Outbox(home_0_1_0.outbox) as outbox:
        assert outbox.add_all(old.merged(), batch=old.BATCH, settings=settings).known == 9
    result = send(settings, "pieces", {"to": "cfo@example.com", "subject": "Pieces", "body": old.pieces()})
    assert result.repeated
    with language.language("en"):
        result = send(settings, "pieces", {"to": "cfo@example.com", "subject": "Pieces", "body": old.pieces()})
    assert "recorded by an older docmail" in result.note


def test_a_text_that_docmail_writes_otherwise_is_no_other_text(
    box: Sandbox, home_0_1_0: Home, settings: docmail.Settings, written_otherwise: Callable[[], None]
) -> None:
    given: dict[str, Any] = {"to": "cfo@example.com", "subject": "New", "body": old.pieces()}
    send(settings, "new", given)
    with Outbox(home_0_1_0.outbox) as outbox:
        outbox.add_all(old.merged(), batch="new", settings=settings)
        before = row_of(home_0_1_0.outbox, "new").body_sha256
        written_otherwise()
        result = send(settings, "new", {**given, "body": old.pieces()})
        assert (result.repeated, result.note) == (True, "")
        assert docmail.outbox.entry.body_digest(docmail.Message(**given)) != before
        assert outbox.add_all(old.merged(), batch="new", settings=settings).known == 9
    assert len(box.inbox) == 1


def figure(values: list[float], title: str = "Sales", kind: str = "plot") -> Any:
    from matplotlib.figure import Figure

    made = Figure((2, 1))
    axes = made.subplots()
    getattr(axes, kind)(*([range(len(values)), values] if kind in {"bar", "scatter"} else [values]))
    axes.set_title(title)
    return made


def frame(**columns: list[Any]) -> Any:
    import pandas as pd

    return pd.DataFrame(columns)


BODIES: list[Callable[[], Any]] = [
    lambda: "Dear all",
    lambda: "Dear  all",
    lambda: ["Dear", "all"],
    lambda: [frame(a=[1, 2], b=["x", "y"])],
    lambda: [frame(a=[1, 3], b=["x", "y"])],
    lambda: [frame(a=[1, 2], c=["x", "y"])],
    lambda: [frame(b=["x", "y"], a=[1, 2])],
    lambda: [frame(a=[1, 2], b=["x", None])],
    lambda: [frame(a=[1.00001, 2], b=["x", "y"])],
    lambda: [frame(a=[1, 2], b=["x", "y"]).set_index("b")],
    lambda: [frame(a=[1, 2], b=["x", "y"])["a"]],
    lambda: [figure([1, 2, 3])],
    lambda: [figure([1, 2, 4])],
    lambda: [figure([1, 2, 3], "Costs")],
    lambda: [figure([1, 2, 3], kind="bar")],
    lambda: [figure([1, 2, 4], kind="bar")],
    lambda: [figure([1, 2, 3], kind="scatter")],
    lambda: [figure([1, 2, 4], kind="scatter")],
    lambda: [figure([1, 2, 3], kind="pie")],
    lambda: [figure([1, 2, 4], kind="pie")],
    lambda: [figure([1, 2, 2, 3], kind="hist")],
    lambda: [figure([1, 2, 3, 3], kind="hist")],
    lambda: [figure([[1, 2], [3, 4]], kind="imshow")],  # type: ignore[list-item]
    lambda: [figure([[1, 2], [3, 5]], kind="imshow")],  # type: ignore[list-item]
    lambda: [figure([[1, 2], [3, 4]], kind="contourf")],  # type: ignore[list-item]
    lambda: [figure([1, 2, 3]), "and more"],
    lambda: ["and more", figure([1, 2, 3])],
]


def test_each_body_is_itself_and_no_other() -> None:
    first, second = ([source_of(docmail.Message("a@example.com", "S", made()).body) for made in BODIES] for _ in "12")
    assert first == second
    equal = [(a, b) for a in range(len(first)) for b in range(a) if first[a] == first[b]]
    assert equal == []


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(("one", "other"), [(3, 4), (11, 12), (11, 13), (0, 1)])
def test_a_key_is_refused_for_another_table_figure_or_text(settings: docmail.Settings, one: int, other: int) -> None:
    given = {"to": "cfo@example.com", "subject": "New"}
    send(settings, "new", given, body=BODIES[one]())
    assert send(settings, "new", given, body=BODIES[one]()).repeated
    with pytest.raises(MessageError, match="another body"):
        send(settings, "new", given, body=BODIES[other]())


def test_what_was_given_is_written_down_in_the_same_form_for_ever() -> None:
    """A change here would make another mail of every mail that is written down."""
    import pandas as pd

    table = frame(n=[1.0, None], d=[pd.Timestamp("2026-11-30"), pd.NaT], t=["é|", "b"])
    text = docmail.Message("a@example.com", "S", ["a\r\nb\u2028c", table, figure([1, 2, 3])]).body
    assert source_of(text) == (
        'a\nb\nc\n\n\x00table [[null, 0, 1], ["n", 1, null], ["d", "2026-11-30 00:00:00", null], '
        '["t", "\\u00e9|", "b"]]\n\n\x00figure [["", "", "Sales", "", "", ""], '
        '"c4ce89937e2ea45d3e061709e13ee7048c157ba5a74a75cd0083182222a1f896"]'
    )
    assert value_given("1. *a*\r\n  # b http://x.example/a_b!") == (
        *("1\\. \\*a\\*\n\xa0\xa0\\# b <http://x.example/a_b>\\!", True),
    )
    assert [value_given(value)[0] for value in (12.0, 0.1 + 0.2, 1e15, True, 10**15)] == [
        *("12", "0.3", "1e+15", "True", "1000000000000000")
    ]
    assert value_given(10**15)[1] is False, "it may have been a float, which 0.1.0 wrote otherwise"


def test_a_text_that_is_given_goes_into_other_processes_and_messages_with_what_it_was_made_of() -> None:
    import copy
    import pickle

    message = docmail.Message("a@example.com", "S", [frame(a=[1])], key="k")
    for other in (pickle.loads(pickle.dumps(message)), replace(message, key="l"), copy.deepcopy(message)):  # noqa: S301
        assert source_of(other.body) == source_of(message.body) != message.body
    other = replace(message, body="plain")  # type: ignore[arg-type]  # it takes what the constructor takes
    assert source_of(other.body) == "plain"


# --- the step to a newer schema ---------------------------------------------------------------------------------------

# Loads everything once; each child is a fork of it, which opens the outbox in a folder and is killed at the given
# statement, or after so many instructions of SQLite's.
OPENERS = """
import os, signal, sys
from pathlib import Path
import docmail, docmail.outbox, filelock, sqlite3
from docmail.outbox import schema

def killing(connection, kind, left):
    def step(*_statement):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    if kind == "statement":
        connection.set_trace_callback(step)
    else:
        connection.set_progress_handler(step, 1)
    return connection

connected = schema._connected
for line in sys.stdin:
    folder, kind, number = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            schema._connected = lambda path: killing(connected(path), kind, int(number))
            docmail.Outbox(Path(folder))
            code = 0
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def opened_and_killed() -> Iterator[Callable[[Path, str, int], bool]]:
    """Return what opens an outbox in a process that is killed on the way; False if it came to its end before."""
    process = subprocess.Popen(
        [sys.executable, "-c", OPENERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def open_and_kill(folder: Path, kind: str, number: int) -> bool:
        assert process.stdin is not None
        assert process.stdout is not None
        print(folder, kind, number, sep="\t", file=process.stdin, flush=True)
        code = int(process.stdout.readline())
        assert code in {0, -signal.SIGKILL}
        return code != 0

    yield open_and_kill
    process.communicate()


@both
@pytest.mark.parametrize(("kind", "every"), [("statement", 1), ("instruction", 97)])
def test_a_step_to_a_new_schema_outlives_its_process_wherever_that_is_killed(
    tmp_path: Path, schema: int, kind: str, every: int, opened_and_killed: Callable[[Path, str, int], bool]
) -> None:
    source = old.FOLDER / ("schema_1.sqlite3" if schema == 1 else "home/outbox/outbox.sqlite3")
    folder, found, number = tmp_path / "outbox", set(), 0
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(source, folder / "outbox.sqlite3")
        killed = opened_and_killed(folder, kind, number)
        with closing(sqlite3.connect(folder / "outbox.sqlite3")) as database:
            ((version,),) = database.execute("PRAGMA user_version").fetchall()
            names = {row[1] for row in database.execute("PRAGMA table_info(mail)")}
        assert (version, "tries" in names, "given_sha256" in names) in {
            (schema, schema > 1, False),
            (journal.SCHEMA, True, True),
        }, "all of it or nothing"
        found.add((killed, version))
        if not killed:
            break
        with Outbox(folder) as outbox:
            assert {row.key: row.state for row in outbox} == STATES
        number += every
    assert (True, schema) in found
    assert (False, journal.SCHEMA) in found


OPENING = """
import sys
import docmail, docmail.outbox, filelock, sqlite3
settings = docmail.Settings("A <analyst@example.com>", docmail.SmtpServer("smtp.example.com"))
print("ready", flush=True)
sys.stdin.readline()
with docmail.Outbox(sys.argv[1]) as outbox:
    outbox.add(docmail.Message("c@example.com", "New"), key=sys.argv[2], settings=settings)
    print(len(outbox), flush=True)
"""


@both
def test_several_programs_open_an_old_outbox_at_once(home_0_1_0: Home) -> None:
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", OPENING, str(home_0_1_0.outbox), f"new {number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    for program in programs:
        print(file=program.stdin, flush=True)
    counted = [int(program.communicate()[0]) for program in programs]
    assert [program.returncode for program in programs] == [0] * 4
    with Outbox(home_0_1_0.outbox) as outbox:
        rows = list(outbox)
    assert {row.key for row in rows} == {*STATES, *(f"new {number}" for number in range(4))}
    assert max(counted) == len(rows)


def test_an_outbox_of_a_newer_docmail_is_refused_in_a_sentence_and_left_as_it_is(
    box: Sandbox, home_0_1_0: Home, settings: docmail.Settings
) -> None:
    path = home_0_1_0.outbox / "outbox.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {journal.SCHEMA + 1}")
    before = path.read_bytes()
    for ask in (
        lambda: Outbox(home_0_1_0.outbox),
        lambda: send(settings, "sent", old.SENT["sent"]),
        lambda: Run(home_0_1_0.outbox, settings),
        lambda: search.history_of(home_0_1_0.outbox).__enter__(),
    ):
        with pytest.raises(DocmailError, match=r"written by a newer docmail; it is left as it is.*Update docmail"):
            ask()
    assert path.read_bytes() == before
    assert list(box.inbox) == []


def test_a_docmail_that_has_the_outbox_open_goes_on_while_a_newer_one_changes_it(home_0_1_0: Home) -> None:
    """A notebook's kernel lives for days; the next version adds columns with a default, and takes none away."""
    settings = replace(old.SETTINGS["relay"], home=home_0_1_0)
    with Outbox(home_0_1_0.outbox) as outbox:
        with closing(sqlite3.connect(home_0_1_0.outbox / "outbox.sqlite3")) as database:
            database.execute("ALTER TABLE mail ADD COLUMN more TEXT")
            database.execute(f"PRAGMA user_version = {journal.SCHEMA + 1}")
        number = outbox.add(docmail.Message("c@example.com", "Later"), key="later", settings=settings)
        assert next(row.subject for row in outbox if row.id == number) == "Later"


def test_a_row_that_an_older_docmail_adds_to_a_newer_file_is_compared_as_it_knew_to(
    box: Sandbox, home_0_1_0: Home, settings: docmail.Settings
) -> None:
    send(settings, "new", old.FAILED)
    with closing(sqlite3.connect(home_0_1_0.outbox / "outbox.sqlite3")) as database, database:
        database.execute("UPDATE mail SET given_sha256 = NULL WHERE key = 'new'")
    assert send(settings, "new", old.FAILED).repeated
    with pytest.raises(MessageError, match="another body"):
        send(settings, "new", old.FAILED, body="Another.")
    assert len(box.inbox) == 1
