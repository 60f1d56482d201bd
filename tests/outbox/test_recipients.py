"""What the server has said of one recipient stays true, whatever becomes of the others and of this process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.errors import OutcomeUnknown, Refused, SendError
from docmail.home import user_home
from docmail.outbox import Outbox
from docmail.outbox.changes import Changes
from docmail.outbox.remembered_servers import RememberedServers
from docmail.transport import open_transport
from docmail.transport.capabilities import OF_THIS_PROCESS
from docmail.transport.http.transport import HttpTransport
from docmail.transport.smtp.delivery import Delivery
from tests.support.scripted import PASSWORD, ScriptedServer, cut, name_of, reset, settings_for
from tests.transport.http.test_transport import OK, Server, answering, reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.outbox import Row
    from docmail.sandbox import Sandbox
    from docmail.settings import Settings

WAYS = {
    "step by step": ("AUTH PLAIN",),
    "pipelined": ("PIPELINING", "AUTH PLAIN"),
    "in chunks": ("PIPELINING", "CHUNKING", "AUTH PLAIN"),
}
GONE, BUSY = "550 5.1.1 No such user", "450 4.2.0 Not now"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try what was deferred again at once."""
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=0.02, reconnect_seconds=(0.01, 0.02)))


def states(row: Row) -> dict[str, str]:
    return {address.partition("@")[0]: each.state for address, each in row.recipients.items()}


def said(row: Row, name: str) -> str:
    return str(row.recipients[f"{name}@example.com"].reply)


def last(outbox: Outbox) -> Row:
    return list(outbox)[-1]


def queue(settings: Settings, *mails: tuple[str, ...], **options: Any) -> Outbox:
    outbox = Outbox()
    messages = [
        docmail.Message([f"{name}@example.com" for name in names], f"No. {number}", key=str(number), **options)
        for number, names in enumerate(mails)
    ]
    outbox.add_all(messages, batch="b", settings=settings)
    return outbox


def account(server: ScriptedServer) -> Settings:
    """Return the settings for a server that has shown before that it takes chunks, if it offers them."""
    place = f"127.0.0.1:{server.port}"
    OF_THIS_PROCESS.note_chunks(place, takes=True)
    with Outbox() as outbox:
        RememberedServers(outbox._store.journal).note_chunks(place, takes=True)
    settings = settings_for(server)
    docmail.credentials.set(settings, PASSWORD, remember=False)
    return settings


def lost_in(way: str, *replies: str, action: Any = cut) -> dict[str, Any]:
    """Return the script of a server that takes a mail, gives these replies to the recipients of the next, and goes."""
    end = "BDAT" if way == "in chunks" else "dot"
    first = [] if way == "in chunks" else ["250 ok"]
    return {"RCPT": ["250 ok", *replies, "250 ok"], end: [*first, action, "250 ok"]}


@pytest.mark.parametrize(
    ("way", "action"),
    [
        *((way, cut) for way in WAYS),
        *((way, (b"25", cut)) for way in WAYS),
        # In chunks, a reset takes the replies with it that nobody has read yet.
        *((way, reset) for way in WAYS if way != "in chunks"),
    ],
    ids=name_of,
)
def test_who_is_refused_stays_refused_and_who_is_deferred_waits_when_the_rest_is_in_doubt(
    way: str, action: Any
) -> None:
    script = lost_in(way, "250 ok", GONE, BUSY, action=action)
    with ScriptedServer(script, extensions=WAYS[way]) as server:
        outbox = queue(settings := account(server), ("first",), ("got", "gone", "busy"))
        run = outbox.run(settings=settings)
        assert run == {"sent": 1, "unknown": 1}
        row = last(outbox)
        assert states(row) == {"got": "unknown", "gone": "refused", "busy": "queued"}
        assert (said(row, "gone"), said(row, "busy"), said(row, "got")) == (GONE, BUSY, "None")

        outbox.resolve(row.id, "sent")
        row = last(outbox)
        assert states(row) == {"got": "sent", "gone": "refused", "busy": "queued"}
        assert said(row, "gone") == GONE
        assert outbox.run(settings=settings) == {"sent": 2}
        assert states(last(outbox)) == {"got": "sent", "gone": "refused", "busy": "sent"}
        assert server.mails[-1].recipients == ["busy@example.com"]


@pytest.mark.parametrize("way", WAYS)
def test_who_is_refused_gets_nothing_either_when_the_rest_is_sent_again(way: str) -> None:
    with ScriptedServer(lost_in(way, "250 ok", GONE), extensions=WAYS[way]) as server:
        outbox = queue(settings := account(server), ("first",), ("got", "gone"))
        outbox.run(settings=settings)
        outbox.resolve(last(outbox).id, "resend")
        assert states(last(outbox)) == {"got": "queued", "gone": "refused"}
        assert outbox.run(settings=settings) == {"sent": 2}
        assert server.mails[-1].recipients == ["got@example.com"]


def test_a_mail_that_the_server_has_refused_to_everybody_is_in_no_doubt_for_want_of_a_last_reply() -> None:
    """In one write, the replies to the recipients come after the content has gone."""
    with ScriptedServer(lost_in("in chunks", GONE, GONE), extensions=WAYS["in chunks"]) as server:
        outbox = queue(settings := account(server), ("first",), ("gone", "away"))
        assert outbox.run(settings=settings) == {"refused": 1, "sent": 1}


def test_what_was_said_before_the_replies_end_is_known() -> None:
    script = {"RCPT": ["250 ok", GONE, cut]}
    with ScriptedServer(script, extensions=WAYS["in chunks"]) as server:
        outbox = queue(settings := account(server), ("first",), ("gone", "got"))
        assert outbox.run(settings=settings) == {"sent": 1, "unknown": 1}
    assert states(last(outbox)) == {"gone": "refused", "got": "unknown"}


@pytest.mark.parametrize(
    ("step", "answer", "state"),
    [("dot", "451 4.3.0 Later", "failed"), ("dot", "554 5.7.1 Spam", "refused"), ("DATA", cut, "failed")],
    ids=["deferred", "refused", "cut"],
)
def test_each_keeps_the_words_that_were_about_him_when_the_mail_itself_does_not_get_through(
    step: str, answer: Any, state: str
) -> None:
    with ScriptedServer({"RCPT": ["250 ok", GONE], step: answer}) as server:
        settings = account(server)
        with pytest.raises(SendError) as caught:
            docmail.send((), to="got@example.com; gone@example.com", subject="Q3", settings=settings)
        row = last(Outbox())
    assert states(row) == {"got": state, "gone": "refused"}
    assert said(row, "gone") == GONE
    assert str(caught.value.refused["gone@example.com"]) == GONE


def test_a_send_in_doubt_says_who_was_refused_and_nobody_waits(box: Sandbox) -> None:
    """One attempt: who was deferred has not got it, and no run sends it by itself."""
    box.answer("rcpt", GONE, recipient="gone@example.com")
    box.answer("rcpt", BUSY, recipient="busy@example.com")
    box.drop("end", times=1)
    people = "got@example.com; gone@example.com; busy@example.com"
    with pytest.raises(OutcomeUnknown) as caught:
        docmail.send((), to=people, subject="Q3", key="q3", settings=box.settings)
    assert {address: str(said) for address, said in caught.value.refused.items()} == {
        "gone@example.com": GONE,
        "busy@example.com": BUSY,
    }
    outbox = Outbox()
    assert states(last(outbox)) == {"got": "unknown", "gone": "refused", "busy": "failed"}
    outbox.resolve(last(outbox).id, "sent")
    assert (last(outbox).state, states(last(outbox))) == ("sent", {"got": "sent", "gone": "refused", "busy": "failed"})
    assert outbox.run(settings=box.settings) == {"sent": 1}
    assert len(box.inbox) == 1


@pytest.mark.parametrize("moment", ["after the last byte", "while it is recorded"])
def test_an_interrupt_leaves_who_was_refused(box: Sandbox, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    judge = Delivery._judge_content

    def interrupted(self: Delivery, reply: Any) -> Any:
        found = judge(self, reply)
        if moment == "after the last byte":
            raise KeyboardInterrupt
        return found

    settle = Changes.settle_alone
    recorded: list[object] = []

    def recording(self: Changes, *arguments: Any, **options: Any) -> None:
        recorded.append(arguments)
        if moment == "while it is recorded" and len(recorded) == 1:
            raise KeyboardInterrupt
        settle(self, *arguments, **options)

    monkeypatch.setattr(Delivery, "_judge_content", interrupted)
    monkeypatch.setattr(Changes, "settle_alone", recording)
    with pytest.raises(KeyboardInterrupt):
        docmail.send((), to="got@example.com; nobody@example.com", subject="Q3", settings=box.settings)
    row = last(Outbox())
    assert (row.state, states(row)) == ("unknown", {"got": "unknown", "nobody": "refused"})
    assert said(row, "nobody").startswith("550")


CHILD = """
import sys, docmail
from docmail import credentials
from docmail.sandbox import SANDBOX_PASSWORD
settings = docmail.Settings.load("victim")
credentials.provide(settings.account, credentials.Secret(SANDBOX_PASSWORD))
people = "got@example.com; nobody@example.com; busy@example.com"
if sys.argv[1] == "send":
    docmail.send((), to=people, subject="Q3", settings=settings)
else:
    outbox = docmail.Outbox()
    outbox.add(docmail.Message(people, "Q3"), settings=settings)
    outbox.run(settings=settings)
"""


@pytest.mark.parametrize(("way", "deferred"), [("send", "failed"), ("run", "queued")])
def test_a_kill_after_the_last_byte_leaves_who_was_refused(box: Sandbox, way: str, deferred: str) -> None:
    settings = replace(box.settings, home=user_home())
    settings.save("victim")
    box.answer("rcpt", BUSY, recipient="busy@example.com")
    box.delay("end", 60)
    child = subprocess.Popen([sys.executable, "-c", CHILD, way])
    outbox = Outbox(user_home().outbox)
    wait_for(lambda: any("refused" in states(row).values() for row in outbox))
    child.send_signal(signal.SIGKILL)
    child.wait()
    row = last(Outbox(outbox.folder))
    assert (row.state, states(row)) == ("unknown", {"got": "unknown", "nobody": "refused", "busy": deferred})
    assert said(row, "nobody").startswith("550")
    outbox.resolve(row.id, "sent")
    assert states(last(outbox)) == {"got": "sent", "nobody": "refused", "busy": deferred}
    outbox.close()


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_the_archive_is_refused_or_in_doubt_for_itself(box: Sandbox) -> None:
    settings = replace(box.settings, copy_to="archive@example.com")
    box.answer("rcpt", GONE, recipient="archive@example.com")
    box.drop("end", times=1)
    outbox = queue(settings, ("got",))
    assert outbox.run(settings=settings) == {"unknown": 1}
    assert states(last(outbox)) == {"got": "unknown", "archive": "refused"}
    outbox.resolve(last(outbox).id, "sent")
    assert states(last(outbox)) == {"got": "sent", "archive": "refused"}


def test_a_copy_for_the_archive_alone_that_is_lost_asks_nobody(box: Sandbox) -> None:
    settings = replace(box.settings, copy_to="archive@example.com")
    box.answer("rcpt", BUSY, recipient="archive@example.com", times=1)
    outbox = queue(settings, ("got",))
    run = outbox.run(settings=settings, limit=1)
    assert run == {"queued": 1}
    box.drop("end", times=1)
    assert outbox.run(settings=settings) == {"sent": 1}
    assert states(last(outbox)) == {"got": "sent", "archive": "unknown"}


# --- by HTTP ----------------------------------------------------------------------------------------------------------


def http_settings(server: Server) -> Settings:
    http = docmail.HttpServer(f"http://127.0.0.1:{server.port}")
    return docmail.Settings("Accounts", http, reply_to="accounts@example.com")  # type: ignore[arg-type]  # a str will do


def test_a_blind_copy_that_was_never_posted_is_in_no_doubt() -> None:
    """It has a post of its own, which does not come when nobody knows of the mail itself."""
    with Server(answering(b"", OK)) as server:
        outbox = queue(settings := http_settings(server), ("got",), bcc="blind@example.com")
        assert outbox.run(settings=settings) == {"unknown": 1}
        assert states(last(outbox)) == {"got": "unknown", "blind": "queued"}
        outbox.resolve(last(outbox).id, "sent")
        assert outbox.run(settings=settings) == {"sent": 1}
        assert [request.form["to"] for request in server.requests] == ["got@example.com", "blind@example.com"]


@pytest.mark.parametrize(
    ("status", "state"), [("422 Unprocessable", "refused"), ("413 Too large", "refused"), ("503 Busy", "failed")]
)
def test_a_blind_copy_is_refused_by_what_the_status_means_and_not_by_its_number(status: str, state: str) -> None:
    """As replies of SMTP, 422 would be worth another attempt, and 503 none."""
    with Server(answering(OK, reply(status))) as server, pytest.warns(UserWarning, match="blind@"):
        docmail.send((), to="got@example.com", subject="Q3", bcc="blind@example.com", settings=http_settings(server))
    assert states(last(Outbox())) == {"got": "sent", "blind": state}


def test_an_interrupt_between_two_posts_leaves_what_is_known_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    post, posts = HttpTransport._post, list[object]()

    def interrupted(self: HttpTransport, *arguments: Any) -> Any:
        posts.append(arguments)
        if len(posts) == 3:
            raise KeyboardInterrupt
        return post(self, *arguments)

    monkeypatch.setattr(HttpTransport, "_post", interrupted)
    with Server(answering(OK, reply("422 Unprocessable"))) as server, pytest.raises(KeyboardInterrupt):
        docmail.send(
            (),
            to="got@example.com",
            subject="Q3",
            bcc="gone@example.com; blind@example.com",
            settings=http_settings(server),
        )
    row = last(Outbox())
    assert (row.state, states(row)) == ("unknown", {"got": "sent", "gone": "refused", "blind": "unknown"})
    assert row.sent_at is not None


def test_a_kill_between_two_posts_leaves_what_is_known_of_the_others() -> None:
    """A child sends, and is killed while the server sits on its reply to the third post."""

    def serve(server: Server, sock: Any) -> None:
        number = server.connections
        server.read(sock)
        if number == 3:
            server.stop.wait(60)
        server.send(sock, reply("422 Unprocessable") if number == 2 else OK)

    code = (
        "import docmail; docmail.send((), to='got@example.com', subject='Q3', bcc='gone@example.com; b@example.com',"
        " settings=docmail.Settings.load())"
    )
    with Server(serve) as server:
        http_settings(server).save()
        child = subprocess.Popen([sys.executable, "-c", code])
        wait_for(lambda: len(server.requests) == 3)
        child.send_signal(signal.SIGKILL)
        child.wait()
    row = last(Outbox())
    assert (row.state, states(row)) == ("unknown", {"got": "sent", "gone": "refused", "b": "unknown"})


def test_refused_is_said_before_it_is_sent() -> None:
    """The transport notifies before the content goes, so that no kill after the last byte comes too early."""
    heard: list[tuple[list[str], int]] = []
    with ScriptedServer({"RCPT": ["250 ok", GONE]}) as server:
        mail = docmail.Message(["got@example.com", "gone@example.com"], "Q3").render(settings_for(server))
        with open_transport(settings_for(server), secret=docmail.credentials.Secret(PASSWORD)) as transport:
            notify = lambda replies, _kind: heard.append((list(replies), server.verbs.count("DATA")))  # noqa: E731
            transport.send(mail, notify=notify)
    assert heard == [(["gone@example.com"], 0)]


def test_a_mail_that_everybody_refuses_is_an_error_and_no_news(box: Sandbox) -> None:
    with pytest.raises(Refused):
        docmail.send((), to="nobody@example.com", subject="Q3", settings=box.settings)
    assert states(last(Outbox())) == {"nobody": "refused"}
