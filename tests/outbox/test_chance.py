"""What must be unique comes from the system's own chance: seeding `random` repeats a calculation, and no Message-ID."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.outbox import Outbox, resending

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.sandbox import Sandbox

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"
_BOUNDARY = re.compile(rb'boundary="?([^"\s;]+)')


@pytest.fixture(autouse=True)
def _numbers_left_alone() -> Any:
    """Leave the test's own chance as it was."""
    state = random.getstate()
    yield
    random.setstate(state)


def seeded(do: Callable[[], object]) -> None:
    """Do it twice as a notebook does that seeds its numbers in every cell."""
    numpy = pytest.importorskip("numpy")
    for _cell in range(2):
        random.seed(42)
        numpy.random.seed(42)
        do()


def ids(box: Sandbox) -> list[str]:
    return [str(mail["Message-ID"]) for mail in box.inbox]


def boundaries(box: Sandbox) -> list[bytes]:
    return [each for mail in box.inbox for each in _BOUNDARY.findall(mail.raw)]


def test_a_thousand_mails_of_a_seeded_notebook_have_a_thousand_message_ids() -> None:
    settings = docmail.Settings("A <a@example.com>", docmail.SmtpServer("smtp.example.com"))
    message = docmail.Message("c@example.com", "x", "Dear **all**", PDF)
    mails = []
    for _each in range(1000):
        random.seed(42)
        mails.append(message.render(settings))
    assert len({mail.message_id for mail in mails}) == 1000
    assert len({each for mail in mails for each in _BOUNDARY.findall(mail.head)}) == 2000


def test_seeded_mails_of_every_entrance_have_message_ids_and_boundaries_of_their_own(box: Sandbox) -> None:
    box.settings.save()
    keys = iter(range(10))

    def batch() -> None:
        with closing(Outbox()) as outbox:
            outbox.add_all([docmail.Message("b@example.com", "x", "t", PDF, key=str(next(keys)))], batch="b")
            outbox.add(docmail.Message("b@example.com", "x"))
            outbox.run(redirect_to="me@example.com")
            outbox.run()

    seeded(lambda: docmail.send(PDF, to="c@example.com", subject="x"))
    seeded(batch)
    (number, *_others) = [row.id for row in Outbox()]
    seeded(lambda: resending.send_again(Outbox().folder, number, box.settings))
    assert len(ids(box)) == len(set(ids(box))) == 12
    # A mail that is sent again, or rehearsed, is the same below its headers.
    assert all(each.startswith((b"=_", b"docmail-")) for each in boundaries(box))


@pytest.mark.parametrize("api", ["form", "graph", "postmark", "resend", "mailgun", "brevo", "sendgrid"])
def test_seeded_mails_through_a_service_have_identities_and_keys_of_their_own(box: Sandbox, api: str) -> None:
    settings = box.settings_for("form") if api == "form" else box.settings_for(api)
    results = []
    seeded(lambda: results.append(docmail.send(PDF, to="c@example.com", subject="x", body="*y*", settings=settings)))
    assert results[0].message_id != results[1].message_id
    assert len(set(ids(box))) == 2
    assert len(set(boundaries(box))) == len(boundaries(box)) >= 2


def test_sending_leaves_the_users_chance_as_it_was(box: Sandbox) -> None:
    """A calculation that is repeated has the same results, whether or not mail went out in between."""
    box.settings.save()
    random.seed(42)
    state = random.getstate()
    docmail.send(PDF, to="c@example.com", subject="x", body="Dear *all*")
    docmail.send(PDF, to="c@example.com", subject="x", settings=box.settings_for("form"))
    with closing(Outbox()) as outbox:
        outbox.add(docmail.Message("b@example.com", "x"))
        outbox.run()
    assert random.getstate() == state


FORKED = """
import json, os, random
import docmail
random.seed(42)
settings = docmail.Settings("A <a@example.com>", docmail.SmtpServer("smtp.example.com"))
message = docmail.Message("c@example.com", "x", documents=b"%PDF-1.4 %%EOF")
message.render(settings)
children = []
for _child in range(2):
    reading, writing = os.pipe()
    if os.fork() == 0:
        mails = [message.render(settings) for _each in range(20)]
        os.write(writing, json.dumps([[mail.message_id, mail.boundary] for mail in mails]).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        children.append(json.load(pipe))
    os.wait()
print(json.dumps(children))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_two_children_of_a_fork_make_no_message_id_twice() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True)
    made = [tuple(mail) for child in json.loads(done.stdout) for mail in child]
    assert len({message_id for message_id, _boundary in made}) == 40
    assert len({boundary for _message_id, boundary in made}) == 40
