"""What was given to docmail 0.1.0, and how `tests/written_by_0_1_0/` was made of it.

The files are kept as that docmail wrote them, and read by the tests of every later one. They are never made anew: run
with a later docmail, this would write what that one writes. `python -m tests.support.written_by_0_1_0 FOLDER` with the
code of 0.1.0 made them.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docmail
from docmail.errors import DocmailError
from docmail.settings import Security, SignIn
from docmail.templates import Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from docmail.outbox import Outbox
    from docmail.sandbox import Sandbox

FOLDER = Path(__file__).parents[1] / "written_by_0_1_0"

SENDER = "Analyst <analyst@example.com>"
PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"
BATCH = "2026-11 invoices"

# --- settings, templates, keyring -------------------------------------------------------------------------------------

SETTINGS: dict[str, docmail.Settings] = {
    "default": docmail.Settings(SENDER, docmail.SmtpServer("smtp.gmail.com", username="analyst@example.com")),
    "own server": docmail.Settings(
        '"Müller, Zoë" <analyst@example.com>',
        docmail.SmtpServer(
            "mail.example.org", 465, Security.TLS, "analyst", fingerprint="SHA256:" + ":".join(["0A", "f5"] * 16)
        ),
        copy_to="archive@example.com",
        reply_to=("office@example.com", "Desk <desk@example.com>"),
    ),
    "relay": docmail.Settings(SENDER, docmail.SmtpServer("localhost", 1025, Security.NONE)),
    "form": docmail.Settings("Accounts", docmail.HttpServer("mail.example.com"), reply_to=("office@example.com",)),
    "postmark": docmail.Settings(SENDER, docmail.HttpServer("", "postmark")),
    "microsoft": docmail.Settings(
        SENDER,
        docmail.SmtpServer(
            "smtp.office365.com",
            username="analyst@example.com",
            sign_in=SignIn.MICROSOFT,
            client_id="11111111-2222-3333-4444-555555555555",
            tenant="example.com",
        ),
    ),
    "graph": docmail.Settings(
        "Analyst",
        docmail.HttpServer(
            "",
            "graph",
            "analyst@example.com",
            sign_in=SignIn.MICROSOFT,
            client_id="11111111-2222-3333-4444-555555555555",
        ),
    ),
    "google": docmail.Settings(
        SENDER,
        docmail.SmtpServer(
            "smtp.gmail.com",
            username="analyst@example.com",
            sign_in=SignIn.GOOGLE,
            client_id="1.apps.googleusercontent.com",
        ),
    ),
}

# Nobody's passwords. A refresh token is longer than an entry of a keyring may be on some systems, and is kept in parts.
SECRETS = {
    "default": "abcdefghijklmnop",
    "own server": "pa ss wörd",
    "postmark": "made-up-key",
    "microsoft": "made-up-token-" * 200,
    "graph": "another-token-" * 200,
    "google": "1//made-up-token",
}

TEMPLATES = (
    Template("invoice", "Invoice {{ invoice_no }}", "Dear {{ name }},\n\n{{ row['E-mail'] }}\n"),
    Template("état 2", "État", "{% for line in lines %}- {{ line }}\n{% endfor %}"),
)

# --- mails ------------------------------------------------------------------------------------------------------------

LISTED = "Steps:\r\n\r\n3. three\r\n7. seven\u2028- dash\n* star\n\n1) one\n\n"
LISTED += "> quoted *text*\n\n| a | b |\n|---|---|\n| 1 | 2 |"

SENT: dict[str, dict[str, Any]] = {
    "sent": {"to": "cfo@example.com", "subject": "Q3", "body": "Attached.", "documents": PDF},
    "several": {
        "to": ["Zoë Ångström <zoe@example.com>", "cfo@example.com"],
        "cc": "team@example.com",
        "bcc": "boss@example.com",
        "reply_to": "Desk <desk@example.com>",
        "subject": "Çapital, ünd mehr",
        "body": LISTED,
    },
    "texts": {"to": "cfo@example.com", "subject": "Texts", "body": ["One\r\n", "2. Two", "* Three"]},
    "resent": {"to": "cfo@example.com", "subject": "Resent", "body": "Twice, on purpose."},
    "partly": {"to": "cfo@example.com; nobody@example.com", "subject": "Partly", "body": ""},
}
"""What each key was sent with."""

REFUSED: dict[str, Any] = {"to": "nobody@example.com", "subject": "Refused", "body": "Nobody is there."}
FAILED: dict[str, Any] = {"to": "cfo@example.com", "subject": "Failed", "body": "No connection."}
UNKNOWN: dict[str, Any] = {"to": "cfo@example.com", "subject": "Unknown", "body": "Cut after the last byte."}
DEAD: dict[str, Any] = {
    "to": "cfo@example.com",
    "subject": "Dead",
    "body": "The kernel died.",
    "documents": [PDF, PDF + b"2"],
}
QUEUED: dict[str, Any] = {"to": "cfo@example.com", "subject": "Queued", "body": "It waits.", "documents": PDF}


def pieces() -> list[Any]:
    """Return a body of texts, tables and figures."""
    import pandas as pd
    from matplotlib.figure import Figure

    untitled, titled = Figure((2, 1)), Figure((2, 1))
    untitled.subplots().plot([1, 2, 3])
    titled.subplots().set_title("Sales *2026*")
    frame = pd.DataFrame({"Region": ["North", "South_*"], "Revenue": [1234.5, 0.25], "Open": [True, False]})
    return ["Sales rose:\n\n4. four", untitled, frame, titled, "Regards"]


def invoices() -> list[dict[str, Any]]:
    """Return the rows of the batch; their values hold what Markdown has a meaning for."""
    names = [
        "*Bold* [Ltd](x)",
        "1. First",
        "- Dash",
        "# Sharp",
        "> Quote",
        "a|b_c_",
        "https://example.com/a_b",
        "  end",
    ]
    first = [
        {"invoice_no": number, "name": name, "email": f"c{number}@example.com", "total": 12.0 + number / 4}
        for number, name in enumerate(names, 101)
    ]
    return [{"invoice_no": 100, "name": "Nobody", "email": "nobody@example.com", "total": 0.5}, *first]


def merged(name: str = "{{ name }}") -> docmail.message.merging.Merge:
    """Return the messages of the batch."""
    return docmail.merge(
        invoices(),
        key="invoice_no",
        to="{{ email }}",
        subject="Invoice {{ invoice_no }}",
        body=f"Dear {name},\n\n2. {{{{ total }}}}\n5. {{{{ name }}}}\n",
        documents=document,
        name="{{ invoice_no }}.pdf",
    )


def document(row: Mapping[str, Any]) -> bytes:
    """Return the document of a row."""
    return PDF + f"% {row['invoice_no']}\n%%EOF\n".encode()


# --- how they were made -----------------------------------------------------------------------------------------------


class _Clock:
    """The time of day that docmail sees: each look is a hundredth of a second later."""

    def __init__(self, year: int, month: int, day: int) -> None:
        self.now = datetime(year, month, day, 9, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


def _write(folder: Path) -> None:
    home = docmail.home.Home.below(folder / "home")
    _write_settings(folder, home)
    with docmail.Sandbox() as box:
        time.time = _Clock(2026, 9, 1)
        settings = replace(box.settings, sender=SENDER, home=home)
        docmail.send(
            PDF + b"long ago", to="cfo@example.com", subject="Expired", body="Old.", key="expired", settings=settings
        )
        time.time = _Clock(2026, 11, 2)
        with closing(docmail.Outbox(home.outbox)) as outbox:  # drops the content of the first
            outbox.content_days = 36_500  # the others keep theirs, however long these files are kept
        _send_singly(box, settings)
        with closing(docmail.Outbox(home.outbox)) as outbox:
            _send_batch(box, outbox, settings)
        _die_while_sending(settings)
    _tidy(home.outbox)
    _write_schema_1(home.outbox / "outbox.sqlite3", folder / "schema_1.sqlite3")


def _write_settings(folder: Path, home: docmail.home.Home) -> None:
    import keyring

    from tests.support.memory_keyring import MemoryKeyring

    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    os.environ["DOCMAIL_HOME"] = str(folder / "home")
    for name, settings in SETTINGS.items():
        replace(settings, home=home).save(name)
    for template in TEMPLATES:
        docmail.templates.save(template)
    for name, secret in SECRETS.items():
        docmail.credentials.set(SETTINGS[name], secret)
    entries = [[service, username, value] for (service, username), value in sorted(memory.data.items())]
    (folder / "keyring.json").write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _send_singly(box: Sandbox, settings: docmail.Settings) -> None:
    def send(key: str | None, given: Mapping[str, Any], *, resend: bool = False) -> None:
        with suppress(DocmailError, UserWarning):
            docmail.send(
                given.get("documents", ()),
                **{k: v for k, v in given.items() if k != "documents"},
                key=key,
                settings=settings,
                resend=resend,
            )

    for key, given in SENT.items():
        send(key, given)
    send("resent", SENT["resent"], resend=True)
    send("pieces", {"to": "cfo@example.com", "subject": "Pieces", "body": pieces()})
    send(None, {"to": "cfo@example.com", "subject": "No key", "body": "Nothing to compare."})
    send("refused", REFUSED)
    box.drop("end", times=1)
    send("unknown", UNKNOWN)
    whole = settings
    assert isinstance(settings.server, docmail.SmtpServer)
    settings = replace(settings, server=replace(settings.server, port=1))
    docmail.credentials.set(settings, "nobody's", remember=False)
    send("failed", FAILED)
    with closing(docmail.Outbox((whole.home or docmail.home.user_home()).outbox)) as outbox:
        outbox.add(docmail.Message(**QUEUED), key="queued", settings=whole)


def _send_batch(box: Sandbox, outbox: Outbox, settings: docmail.Settings) -> None:
    outbox.add_all(merged(), batch=BATCH, settings=settings)
    outbox.run(settings=settings, batch=BATCH, limit=3, rate="6000/min")  # one of them is refused
    box.answer("rcpt", "451 4.7.1 Greylisted", times=1)
    outbox.run(settings=settings, batch=BATCH, limit=1).agree()  # type: ignore[attr-defined]  # deferred; all the rest is agreed to


def _die_while_sending(settings: docmail.Settings) -> None:
    """Let processes end in the middle: of a mail of its own, and of one of the batch."""
    _in_a_process_that_dies(partial(_send_dead, settings))
    _in_a_process_that_dies(partial(_begin_next, settings))


def _in_a_process_that_dies(does: Callable[[], object]) -> None:
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        does()
        os._exit(0)


def _send_dead(settings: docmail.Settings) -> None:
    from docmail.transport import SmtpTransport  # type: ignore[attr-defined]  # 0.1.0 has it there

    SmtpTransport.send = lambda *_arguments: os._exit(0)
    docmail.outbox.deliver(docmail.Message(**DEAD, key="dead"), settings=settings)


def _begin_next(settings: docmail.Settings) -> None:
    from docmail.outbox.queue import QueueStore, Waiting  # type: ignore[attr-defined]  # the names of 0.1.0

    store = QueueStore((settings.home or docmail.home.user_home()).outbox)
    store.advance(store.begin_attempt(), None, Waiting("analyst@example.com", BATCH))


def _tidy(folder: Path) -> None:
    """Leave what docmail needs: no locks that nobody holds, and not the half megabyte for a full disk."""
    with closing(sqlite3.connect(folder / "outbox.sqlite3")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in _locks(folder):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / "runs")


def _locks(folder: Path) -> Iterator[Path]:
    yield folder / "reserve"
    yield folder / "opening.lock"
    yield from folder.parent.glob("*.lock")


def _write_schema_1(source: Path, path: Path) -> None:
    """Write the same rows as the docmail before 0.1.0 did, whose tables 0.1.0 still makes first."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(docmail.outbox.schema._TABLES)
        database.execute("ATTACH ? AS newer", (str(source),))
        for table in ("mail", "recipient", "attachment"):
            names = ", ".join(row[1] for row in database.execute(f"PRAGMA main.table_info({table})"))
            database.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM newer.{table}")  # noqa: S608 - ours
        database.execute("PRAGMA user_version = 1")
        database.commit()


if __name__ == "__main__":
    os.environ |= {"LOGNAME": "analyst", "LANGUAGE": "en", "TZ": "UTC"}
    time.tzset()
    platform.node = lambda: "computer"
    _write(Path(sys.argv[1]))
