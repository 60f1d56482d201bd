"""A history of 50,000 mails: how soon its first page is there, and how soon a filter is; and a merge of as many rows.

The memory of a merge is that beyond the rows themselves, beside one of 500.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from docmail.outbox import Wanted, csv_of, history_of
from docmail.outbox.store import Store
from docmail.widgets.outbox.history_view import HistoryView

if TYPE_CHECKING:
    from collections.abc import Callable

MAILS = 50_000
_FIRST_PAGE, _FILTER = 300, 200  # ms that are wanted
_TIMES = 5

_MAIL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})
INSERT INTO mail (account, batch, key, state, single, message_id, sender, addressed, subject, body_sha256, boundary,
    smtputf8, created, sent_at, reply, reason, user)
SELECT 'a@example.com', 'batch ' || (i / 1000), i, CASE WHEN i % 50 THEN 'sent' ELSE 'refused' END, 0,
    '<' || i || '@example.com>', 'a@example.com', '["customer' || i || '@example.com"]', 'Invoice ' || i, '', '', 0,
    1.7e9 + i, 1.7e9 + i, CASE WHEN i % 50 THEN '[250, "2.0.0", "Ok: queued as ' || i || '"]'
    ELSE '[550, "5.1.1", "No such mailbox"]' END, '', 'ann' FROM n"""
_RECIPIENT = "INSERT INTO recipient SELECT id, 0, 'customer' || id || '@example.com', 'to', state, reply FROM mail"
_ATTACHMENT = """
INSERT INTO attachment
SELECT id, 0, 'Invoice ' || id || '.pdf', 'application/pdf', 84000, hex(randomblob(32)) FROM mail"""

_MERGE = """
import json, re, sys
import pandas as pd
import docmail
number = int(sys.argv[1])
settings = docmail.Settings("A <a@example.com>", docmail.SmtpServer("localhost", security="none"))
def megabytes(line):
    return int(re.search(line + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1000
def rows(number):
    numbers = range(number)
    return pd.DataFrame({"no": numbers, "email": [f"customer{each}@example.com" for each in numbers]})
def add(frame, batch):
    messages = docmail.merge(frame, key="no", to="{{ email }}", subject="Invoice {{ no }}", body="**{{ no }}** is due.")
    return docmail.Outbox().add_all(messages, batch=batch, settings=settings)
add(rows(300), "before")
frame = rows(number)
open("/proc/self/clear_refs", "w").write("5")
memory = megabytes("VmRSS")
add(frame, "measured")
print(json.dumps(megabytes("VmHWM") - memory))
"""


def _line(what: str, do: Callable[[], object], wanted: float | None = None) -> None:
    """Print the shortest of some times, and the processor's, which says more on a computer that is busy."""
    walls, cpus = [], []
    for _time in range(_TIMES):
        wall, cpu = time.perf_counter(), time.process_time()
        do()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    said = f"   (wanted: {wanted:.0f})" if wanted else ""
    print(f"  {what:34} {min(walls) * 1000:7.0f} ms{said}   {min(cpus) * 1000:5.0f} ms CPU")


def _merge(number: int) -> float:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "DOCMAIL_HOME": home}
        found = subprocess.run(
            [sys.executable, "-c", _MERGE, str(number)], capture_output=True, check=True, text=True, env=environment
        )
    return float(json.loads(found.stdout.splitlines()[-1]))


def main() -> None:
    """Print the times of a large history, and the memory of a large merge."""
    print(f"A history of {MAILS:,} mails")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(folder)
        with store.file.transaction() as connection:
            for statement in (_MAIL.format(number=MAILS), _RECIPIENT, _ATTACHMENT):
                connection.execute(statement)
        store.close()

        def view() -> None:
            HistoryView(folder).screen._handle_custom_msg({"ready": True}, [])

        def found(wanted: Wanted, begin: int = 0) -> Callable[[], object]:
            def look() -> None:
                with history_of(folder) as history:
                    history.page(wanted, begin=begin)

            return look

        def save() -> None:
            with history_of(folder) as history:
                csv_of(history.rows(Wanted()))

        _line("first page, drawn", view, _FIRST_PAGE)
        _line("last page", found(Wanted(), MAILS - 25), _FIRST_PAGE)
        for what, wanted in (
            ("who: customer49", Wanted(who="customer49")),
            ("who: nobody", Wanted(who="nobody")),
            ("what: Invoice 3", Wanted(what="Invoice 3")),
            ("state: refused", Wanted(state="refused")),
            ("reply: mailbox", Wanted(reply="mailbox")),
            ("reply: 550 5.1.1 No such", Wanted(reply="550 5.1.1 No such")),
            ("reply: 250 2.0.0 Ok (nearly all)", Wanted(reply="250 2.0.0 Ok")),
            ("all three, none fits", Wanted(who="x", what="y", reply="z")),
        ):
            _line(what, found(wanted), _FILTER)
        _line("saved as CSV", save)
    few, many = _merge(500), _merge(MAILS)
    print(f"A merge of {MAILS:,} rows: {many:.1f} MB beyond the rows; of 500: {few:.1f} MB")
