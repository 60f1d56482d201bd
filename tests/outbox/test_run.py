"""A run keeps to the account's rate, continues after what passes, stops for what does not, and can always be left."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.command_line import commands as command_line
from docmail.errors import AuthenticationError, ConnectError, Deferred, DocmailError, Kind, MessageError, TLSError
from docmail.home import user_home
from docmail.message import base64_pieces
from docmail.outbox import Outbox, Run, claims, daily_warning
from docmail.outbox.changes import Outcome
from docmail.outbox.control import Progress
from docmail.outbox.journal import Journal
from docmail.outbox.limits import Limits
from docmail.outbox.queue import Group, Queue
from docmail.outbox.rate import AccountRate, Rate
from docmail.outbox.rows import State
from docmail.outbox.store import Store
from docmail.settings import Security
from docmail.transport.smtp.delivery import Delivery
from tests.support.scripted import PASSWORD, ScriptedServer, cut, reset, settings_for
from tests.support.slow_server import SlowServer
from tests.transport.http.test_transport import Server, answering, reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.sandbox import Sandbox
    from tests.support.scripted import Session

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try what was deferred again at once."""
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=0.02, reconnect_seconds=(0.01, 0.02)))


def queue(settings: docmail.Settings, number: int = 3, *, name: str = "b", **message: Any) -> Outbox:
    outbox = Outbox()
    outbox.add_all(
        [docmail.Message(f"c{each}@example.com", f"No. {each}", key=str(each), **message) for each in range(number)],
        batch=name,
        settings=settings,
    )
    return outbox


def scripted(server: ScriptedServer) -> docmail.Settings:
    settings = settings_for(server)
    docmail.credentials.set(settings, PASSWORD, remember=False)
    return settings


def wait_for(condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


# --- the connection ---------------------------------------------------------------------------------------------------


def test_all_mails_go_over_one_connection() -> None:
    with ScriptedServer() as server:
        assert queue(settings := scripted(server)).run(settings=settings) == {"sent": 3}
        assert len(server.sessions) == 1
        assert server.verbs.count("AUTH") == 1


def test_after_a_number_of_mails_the_connection_is_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, mails_per_connection=2))
    with ScriptedServer() as server:
        assert queue(settings := scripted(server), 5).run(settings=settings) == {"sent": 5}
        assert [len(session.mails) for session in server.sessions] == [2, 2, 1]


@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "body"])
@pytest.mark.parametrize("action", [cut, reset])
def test_a_connection_that_breaks_before_the_last_byte_is_opened_again(step: str, action: Any) -> None:
    good = {"greeting": "220 hi", "EHLO": "250 hi", "DATA": "354 go on", "body": lambda session: session.take_body()}
    script = {step: [action, good.get(step, "250 ok")]}
    with ScriptedServer(script, extensions=("PIPELINING",)) as server:
        settings = settings_for(server, username="")
        # More than the buffers of both sides hold: of a small mail the last byte may have gone when the news comes.
        large = docmail.Document.of(bytes(8_000_000), name="large.bin") if step == "body" else ()
        assert queue(settings, documents=large).run(settings=settings) == {"sent": 3}
        assert sorted(mail.recipients[0] for mail in server.mails) == [f"c{number}@example.com" for number in range(3)]


@pytest.mark.parametrize("extensions", [(), ("PIPELINING",)], ids=["steps", "pipelined"])
@pytest.mark.parametrize(("step", "answer"), [("RCPT", "354 what"), ("DATA", "250 taken")])
def test_an_answer_that_is_none_is_tried_over_another_connection_and_not_without_end(
    step: str, answer: str, extensions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = "354 go on" if step == "DATA" else "250 ok"
    with ScriptedServer({step: [good, answer, good]}, extensions=extensions) as server:
        settings = settings_for(server, username="")
        assert queue(settings).run(settings=settings) == {"sent": 3}
        assert (len(server.sessions), len(server.mails)) == (2, 3)
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, tries=3))
    with ScriptedServer({step: answer}, extensions=extensions) as server:
        settings = settings_for(server, username="")
        outbox = queue(settings, name="c")
        with pytest.raises(ConnectError, match=answer):
            outbox.run(settings=settings, batch="c")
        assert len(server.sessions) == 3
        assert [row.state for row in outbox if row.batch == "c"] == ["queued"] * 3


def test_a_server_that_ends_the_conversation_after_some_mails_is_no_reason_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=3600))
    with ScriptedServer({"MAIL": ["250 ok", ("421 4.7.0 enough for one connection", cut), "250 ok"]}) as server:
        assert queue(settings := scripted(server)).run(settings=settings) == {"sent": 3}
        assert len(server.sessions) == 2


def test_three_connection_failures_in_a_row_stop_the_run_and_keep_the_queue() -> None:
    with ScriptedServer({"greeting": cut}) as server:
        outbox = queue(settings := scripted(server))
        with pytest.raises(ConnectError):
            outbox.run(settings=settings)
        assert len(server.sessions) == 3
    assert [row.state for row in outbox] == ["queued"] * 3


def test_a_certificate_that_is_not_trusted_is_not_tried_three_times(box: Sandbox) -> None:
    outbox = queue(box.settings)
    untrusted = replace(box.settings, server=docmail.SmtpServer(box.host, box.port, username="accounts@example.com"))
    started = time.monotonic()
    with pytest.raises(TLSError):
        outbox.run(settings=untrusted)
    assert time.monotonic() - started < 10
    assert outbox.run(settings=box.settings) == {"sent": 3}


def test_a_wrong_password_stops_at_once() -> None:
    with ScriptedServer({"AUTH": "535 5.7.8 wrong"}) as server:
        outbox = queue(settings := scripted(server))
        with pytest.raises(AuthenticationError):
            outbox.run(settings=settings)
        assert len(server.sessions) == 1


def test_a_mail_over_which_every_connection_breaks_does_not_keep_the_others_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a filter on the way does that dislikes something about it."""
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=3600))

    def filtered(session: Session) -> None:
        if session.mails[-1].recipients == ["c1@example.com"]:
            reset(session)
        session.send(b"250 ok\r\n")

    with ScriptedServer({"RCPT": filtered}) as server:
        run = queue(settings := scripted(server), 5).run(settings=settings)
    assert run == {"queued": 1, "sent": 4}
    assert run.again_at is not None
    assert len(server.sessions) == 3, "it is tried twice, then the others go"


# --- what the server defers ------------------------------------------------------------------------------------------


def test_what_is_put_off_is_tried_again_after_the_others(box: Sandbox) -> None:
    box.answer("rcpt", "450 4.2.0 Greylisted", recipient="c0@example.com", times=2)
    assert queue(box.settings).run(settings=box.settings) == {"sent": 3}
    assert [mail.subject for mail in box.inbox] == ["No. 1", "No. 2", "No. 0"]


def test_a_mail_that_is_put_off_again_and_again_is_given_up(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, tries=3))
    box.answer("rcpt", "450 4.2.0 Not now", recipient="c0@example.com")
    outbox = queue(box.settings)
    assert outbox.run(settings=box.settings) == {"failed": 1, "sent": 2}
    assert "Given up after 3 attempts" in next(iter(outbox)).reason
    box.reset()
    assert outbox.retry("b") == 1
    assert outbox.run(settings=box.settings) == {"sent": 3}


def test_what_is_put_off_for_long_is_left_to_the_next_run(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=3600))
    box.answer("rcpt", "450 4.2.0 Greylisted", recipient="c0@example.com", times=1)
    outbox = queue(box.settings)
    run = outbox.run(settings=box.settings)
    assert run == {"queued": 1, "sent": 2}
    assert run.again_at is not None
    assert outbox.run(settings=box.settings) == {"queued": 1, "sent": 2}


def test_a_limit_stops_the_run_and_nothing_more_is_tried(box: Sandbox) -> None:
    box.answer("end", "550 5.4.5 Daily user sending limit exceeded", recipient="c1@example.com")
    outbox = queue(box.settings, 5)
    with pytest.raises(Deferred):
        outbox.run(settings=box.settings)
    assert [row.state for row in outbox] == ["sent", *["queued"] * 4]


def test_a_limit_whose_end_the_server_does_not_say_is_told_by_what_was_sent(box: Sandbox) -> None:
    box.answer("end", "550 5.4.5 Daily user sending limit exceeded", recipient="c1@example.com")
    outbox = queue(box.settings, 3)
    with pytest.raises(Deferred) as caught:
        outbox.run(settings=box.settings)
    first = next(iter(outbox)).sent_at
    assert first is not None
    assert f"{(first + timedelta(days=1)).astimezone():%Y-%m-%d %H:%M}" in str(caught.value)


@pytest.mark.parametrize("step", ["auth", "mail", "rcpt", "end"])
@pytest.mark.parametrize("code", [421, 454])
def test_a_limit_is_one_whatever_code_and_step_it_is_said_with(box: Sandbox, step: Any, code: int) -> None:
    outbox = queue(box.settings, 4)
    outbox.run(settings=box.settings, limit=1)
    first = next(iter(outbox)).sent_at
    assert first is not None
    box.answer(step, f"{code} 4.7.0 Your daily sending limit is exceeded")
    with pytest.raises(Deferred) as caught:
        outbox.run(settings=box.settings)
    assert caught.value.kind is Kind.LIMIT
    assert f"{(first + timedelta(days=1)).astimezone():%Y-%m-%d %H:%M}" in caught.value.hint
    assert [(row.state, row.reply) for row in outbox][2:] == [("queued", None)] * 2, "nothing more was tried"
    box.reset()
    assert outbox.run(settings=box.settings) == {"sent": 4}


def test_a_limit_that_is_said_of_one_recipient_stops_the_run_after_the_mail(box: Sandbox) -> None:
    box.answer("rcpt", "452 4.7.0 Daily limit exceeded", recipient="late@example.com", times=1)
    outbox = Outbox()
    people = [["c@example.com", "late@example.com"], ["d@example.com"]]
    outbox.add_all([docmail.Message(to, "x", key=to[0]) for to in people], batch="b", settings=box.settings)
    with pytest.raises(Deferred) as caught:
        outbox.run(settings=box.settings)
    assert caught.value.kind is Kind.LIMIT
    assert [mail.recipients for mail in box.inbox] == [("c@example.com",)]
    assert outbox.run(settings=box.settings) == {"sent": 2}
    assert [mail.recipients for mail in box.inbox][1:] == [("late@example.com",), ("d@example.com",)]


def test_time_left_is_judged_by_what_is_settled_not_by_what_was_deferred() -> None:
    progress = Progress()
    for state in (State.QUEUED, State.QUEUED, State.SENT, State.QUEUED, State.REFUSED, State.QUEUED):
        progress.notify(replace(outcome_of(1), state=state), None)
    assert (progress.tried, progress.done, len(progress._moments)) == (6, 2, 2)
    assert [each.state for each in progress.last] == ["queued", "sent", "queued", "refused", "queued"]


def test_a_service_that_says_how_long_to_wait_hears_of_no_mail_before() -> None:
    """It is said of the account, so the next mail waits as well as the one that was deferred."""
    answers = [reply("503 Busy", "", "Retry-After: 1"), *[reply("200 OK", "taken")] * 3]
    moments: list[float] = []

    def serve(server: Server, sock: Any) -> None:
        moments.append(time.monotonic())
        answering(answers.pop(0))(server, sock)

    with Server(serve) as server:
        settings = http_settings(server)
        assert queue(settings).run(settings=settings) == {"sent": 3}
        assert moments[1] - moments[0] >= 1
        answers += [reply("503 Busy", "", "Retry-After: 7200"), reply("200 OK", "taken")]
        with pytest.raises(Deferred, match=f"{datetime.now().astimezone() + timedelta(hours=2):%Y-%m-%d %H:}"):
            queue(settings, name="c").run(settings=settings)
        assert len(answers) == 1, "nothing more was tried"


@pytest.mark.parametrize("after", ["200000", "999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_service_that_asks_to_wait_longer_than_a_day_is_tried_after_a_day_and_this_is_said(after: str) -> None:
    with Server(answering(reply("503 Busy", "", f"Retry-After: {after}"))) as server:
        settings = http_settings(server)
        outbox = queue(settings, 1)
        with pytest.raises(Deferred, match=r"asked to wait until .* a day at most") as caught:
            outbox.run(settings=settings)
        again = outbox._store.queue("accounts@example.com").again_at
        assert again is not None
        assert timedelta(hours=23) < again - datetime.now().astimezone() <= timedelta(hours=24)
        assert f"{again.astimezone():%Y-%m-%d %H:}" in caught.value.hint
        assert "asked to wait until" in next(iter(outbox)).reason


def http_settings(server: Server) -> docmail.Settings:
    http = docmail.HttpServer(f"http://127.0.0.1:{server.port}")
    return docmail.Settings("Accounts", http, reply_to="accounts@example.com")  # type: ignore[arg-type]  # a str will do


def test_waiting_grows_with_chance_obeys_the_server_and_ends() -> None:
    limits = Limits()
    waits = [limits.seconds_to_retry(tries) for tries in range(limits.tries)]
    assert waits[-1] is None
    found = [wait for wait in waits if wait is not None]
    assert 60 <= found[0] <= 75
    assert found[3] >= 480
    assert max(found) <= 1800 * 1.25
    assert 3 * 3600 < sum(found) < 6 * 3600
    assert limits.seconds_to_retry(0, 7200.0) == 7200.0
    assert limits.seconds_to_retry(0, 1e12) == limits.seconds_to_retry(0, float("inf")) == 86400.0
    assert len({limits.seconds_to_retry(0) for _ in range(20)}) > 10


# --- the rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "interval"), [("30/min", 2.0), ("1/s", 1.0), (" 60 / Hour ", 60.0), ("300/day", 288.0), ("unlimited", 0.0)]
)
def test_a_rate_is_an_even_distance_between_mails(text: str, interval: float) -> None:
    assert Rate.parse(text).interval == interval


@pytest.mark.parametrize("text", ["", "30", "0/min", "-1/s", "30/fortnight", "1.5/s", None, 30])
def test_what_is_no_rate_is_refused(text: Any) -> None:
    with pytest.raises(MessageError, match="rate"):
        Rate.parse(text)


def test_a_run_keeps_to_its_rate_and_the_next_one_remembers_it(box: Sandbox) -> None:
    outbox = queue(box.settings, 4)
    started = time.monotonic()
    outbox.run(settings=box.settings, rate="5/s", limit=3)
    outbox.run(settings=box.settings)
    assert time.monotonic() - started >= 0.6
    assert len(box.inbox) == 4
    assert outbox._store.queue("accounts@example.com").rate() == "5/s"


def test_a_single_send_waits_for_nothing_and_the_run_waits_for_it(box: Sandbox) -> None:
    outbox = queue(box.settings, 1)
    outbox._store.queue("accounts@example.com").set_rate("2/s")
    docmail.send(PDF, to="cfo@example.com", subject="Now", settings=box.settings)
    keeper = AccountRate(outbox._store.queue("accounts@example.com"), box.settings)
    assert 0 < keeper.wait_seconds() <= 0.5


def test_the_provider_s_own_limit_is_kept_without_being_told(tmp_path: Path) -> None:
    settings = docmail.Settings("A <a@example.com>", docmail.SmtpServer("smtp.office365.com", username="a@example.com"))
    keeper = AccountRate(Store(tmp_path).queue("a@example.com"), settings)
    assert keeper.interval == 2.0
    assert keeper.describe() == "Microsoft 365 allows 30 a minute"
    gmail = docmail.presets.by_name("Gmail")
    assert "about 500 mails a day" in daily_warning(gmail, 501)
    assert daily_warning(gmail, 500) == ""


@pytest.mark.parametrize("jump", [-86400.0 * 365, 86400.0 * 365])
def test_a_clock_that_jumps_neither_stops_a_queue_nor_hurries_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    settings = docmail.Settings("A <a@example.com>", docmail.SmtpServer("smtp.example.com"))
    outbox = Outbox(tmp_path)
    outbox.add(docmail.Message("c@example.com", "x"), settings=settings)
    store = outbox._store
    keeper = AccountRate(store.queue("a@example.com"), settings)
    keeper.set("30/min")
    waiting = store.queue("a@example.com")
    waiting.reserve_time(keeper.interval)
    with store.file.transaction() as connection:
        connection.execute("UPDATE mail SET not_before = ?, put_off = ?", (time.time() + 60, time.time()))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    assert keeper.wait_seconds() <= 2.0
    assert waiting.next_waiting() in {0.0, now() + 60 + jump} or jump > 0
    assert waiting.advance(claims.begin(tmp_path), None) is not None


# --- how many ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"rate": "1000/s"}], ids=["unlimited", "with a rate"])
@pytest.mark.parametrize("way", ["smtp", "http"])
def test_a_limit_is_kept_and_every_mail_is_counted_over_however_many_connections(
    way: str, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last mail of a connection counts as the others do."""
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, mails_per_connection=2))
    with ScriptedServer() as smtp, Server(answering(reply("200 OK", "taken"))) as http:
        settings = scripted(smtp) if way == "smtp" else http_settings(http)
        run = queue(settings, 14).run(settings=settings, limit=7, **options)
        assert (run["sent"], run.progress.tried, run.progress.done, run.progress.missed) == (7, 7, 7, 0)
        assert len(smtp.mails) + len(http.requests) == 7
        assert len(run.progress.last) == 5
        run = Outbox().run(settings=settings, limit=7)
        assert (run["sent"], run.progress.tried, len(smtp.mails) + len(http.requests)) == (14, 7, 14)


def test_a_limit_is_a_number_of_mails_and_not_of_attempts() -> None:
    """What is tried over another connection, because the first one broke, is one mail."""
    with ScriptedServer({"MAIL": ["250 ok", cut, "250 ok", "250 ok", reset, "250 ok"]}) as server:
        run = queue(settings := scripted(server), 6).run(settings=settings, limit=4)
        assert (run["sent"], len(server.mails)) == (4, 4)


@pytest.mark.parametrize("answer", ["450 4.2.0 Not now", "550 5.1.1 No such user"])
def test_what_was_deferred_or_refused_counts_for_a_limit(
    box: Sandbox, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=3600))
    box.answer("rcpt", answer, recipient="c1@example.com")
    queue(box.settings, 6).run(settings=box.settings, limit=3)
    assert [mail.subject for mail in box.inbox] == ["No. 0", "No. 2"]


def test_a_refusal_in_the_last_mail_of_a_connection_is_reported(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, mails_per_connection=2))
    monkeypatch.setattr("docmail.settings.settings.Settings.load", lambda _profile=None: box.settings)
    outbox = Outbox()
    people = [["a@example.com"], ["b@example.com", "nobody@example.com"], ["c@example.com"]]
    outbox.add_all([docmail.Message(to, to[0], key=to[0]) for to in people], batch="b", settings=box.settings)
    assert command_line.main(["outbox", "run", "--limit", "2"]) == 1
    assert len(box.inbox) == 2
    assert command_line.main(["outbox", "run", "--limit", "2"]) == 0


def test_the_last_mails_of_further_connections_are_counted_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, mails_per_connection=3))
    with SlowServer("bdat", delay=0.0005) as server:
        server.others_say = "550 5.1.1 No such user."
        settings = docmail.Settings("a@example.com", docmail.SmtpServer("127.0.0.1", server.port, Security.NONE))
        run = queue(settings, 90).run(settings=settings)
        counts = run.counts()
        assert server.most_at_once > 1
        assert (run.progress.tried, run.progress.done) == (90, 90)
        assert run.progress.missed == counts.get("refused", 0)
        assert counts["sent"] == server.arrived.total()


def test_a_mail_that_ends_a_run_is_counted_as_well(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    outbox = queue(box.settings)
    monkeypatch.setattr(Delivery, "_judge_content", interrupt)
    run = Run(outbox.folder, box.settings)
    with pytest.raises(KeyboardInterrupt):
        run.start().wait()
    assert run.counts() == {"queued": 2, "unknown": 1}
    assert (run.progress.tried, run.progress.missed) == (1, 1)


# --- leaving it -------------------------------------------------------------------------------------------------------


def test_a_run_without_waiting_returns_at_once_and_goes_on(box: Sandbox) -> None:
    box.delay("end", 0.1)
    run = queue(box.settings).run(settings=box.settings, wait=False)
    assert run.is_running
    assert run.wait() == {"sent": 3}


def test_the_same_call_again_finds_the_run_that_goes_on(box: Sandbox) -> None:
    box.delay("end", 0.2)
    outbox = queue(box.settings)
    run = outbox.run(settings=box.settings, batch="b", wait=False)
    assert outbox.run(settings=box.settings, batch="b") is run
    assert len(box.inbox) == 3


def test_an_interrupt_lets_the_mail_that_is_on_its_way_arrive(box: Sandbox) -> None:
    """Otherwise somebody would have to ask whether it did."""
    outbox = queue(box.settings)
    box.delay("end", 0.5)

    def interrupt() -> None:
        wait_for(lambda: any(row.state == "sending" for row in outbox))
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        outbox.run(settings=box.settings)
    thread.join()
    assert {row.state for row in outbox} <= {"sent", "queued"}
    assert [row.state for row in outbox].count(State.SENT) == len(box.inbox)
    box.reset()
    assert outbox.run(settings=box.settings) == {"sent": 3}


OTHER = """
import docmail
from docmail import credentials
from docmail.sandbox import SANDBOX_PASSWORD
settings = docmail.Settings.load("other")
credentials.provide(settings.account, credentials.Secret(SANDBOX_PASSWORD))
print("ready", flush=True)
input()
try:
    print(dict(docmail.Outbox().run(settings=settings, batch="b")), flush=True)
except docmail.errors.DocmailError as exc:
    print(exc, flush=True)
docmail.send(b"%PDF-1.4 %%EOF", to="cfo@example.com", subject="In between", settings=settings)
print("sent", flush=True)
"""


def test_of_two_programs_one_runs_the_batch_and_the_other_says_so_and_sends_in_between(box: Sandbox) -> None:
    settings = replace(box.settings, home=user_home())
    settings.save("other")
    outbox = Outbox(user_home().outbox)
    outbox.add_all(
        [docmail.Message(f"c{each}@example.com", f"No. {each}", key=str(each)) for each in range(6)],
        batch="b",
        settings=settings,
    )
    box.delay("end", 0.2)
    with subprocess.Popen(
        [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "ready\n"
        run = outbox.run(settings=settings, batch="b", wait=False)
        box.inbox.wait(1)
        run.pause()  # whatever the other one needs for it, this batch is not over before
        other.stdin.write("\n")
        other.stdin.flush()
        said = other.stdout.readline()
        assert "already" in said
        assert "process" in said
        assert other.stdout.readline() == "sent\n"
        run.resume()
        assert run.wait() == {"sent": 6}
    subjects = [mail.subject for mail in box.inbox]
    assert sorted(subjects) == ["In between", *(f"No. {each}" for each in range(6))]
    assert subjects.index("In between") < 6


# --- faults of this computer ------------------------------------------------------------------------------------------


def test_a_journal_that_fails_after_a_mail_was_sent_stops_the_run_and_says_so(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = queue(box.settings)
    original, steps = Queue.advance, []

    def failing(self: Queue, *arguments: Any, **keywords: Any) -> Any:
        steps.append(arguments)
        if len(steps) > 1:
            raise DocmailError("No space left on device.")  # noqa: EM101, TRY003 - as the disk says it
        return original(self, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "advance", failing)
        patch.setattr(Queue, "settle", failing)
        with pytest.raises(DocmailError, match="No space left"):
            outbox.run(settings=box.settings)
    assert [row.state for row in Outbox()] == ["unknown", "queued", "queued"]
    assert len(box.inbox) == 1


@pytest.mark.parametrize(
    ("part", "name"), [(Queue, "next_at"), (Journal, "mail"), (Queue, "shared_contents"), (Store, "claim")], ids=str
)
def test_a_fault_at_any_question_to_the_journal_loses_and_doubles_nothing(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, part: type, name: str
) -> None:
    outbox = queue(box.settings)
    outbox._store.queue("accounts@example.com").set_rate("100/s")

    def failing(*_arguments: Any) -> Any:
        raise DocmailError("The disk does not answer.")  # noqa: EM101, TRY003 - made up

    with monkeypatch.context() as patch:
        patch.setattr(part, name, failing)
        with pytest.raises(DocmailError, match="does not answer"):
            outbox.run(settings=box.settings)
    assert not {row.state for row in Outbox()} & {"sent", "sending", "unknown"}
    assert len(box.inbox) == 0
    outbox.retry()
    assert outbox.run(settings=box.settings) == {"sent": 3}


def test_a_mail_that_cannot_be_read_is_not_in_doubt_because_the_one_before_it_was_sent(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = queue(box.settings)
    original, read = Journal.mail, []

    def failing(self: Journal, number: int, *rest: Any) -> Any:
        read.append(number)
        if len(read) == 2:
            raise DocmailError("The disk does not answer.")  # noqa: EM101, TRY003 - made up
        return original(self, number, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "mail", failing)
        with pytest.raises(DocmailError, match="does not answer"):
            outbox.run(settings=box.settings)
    assert [row.state for row in outbox] == ["sent", "failed", "queued"]
    outbox.retry()
    assert outbox.run(settings=box.settings) == {"sent": 3}
    assert len(box.inbox) == 3


def test_one_mail_whose_document_is_gone_fails_and_the_others_go(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add_all(
        [
            docmail.Message("c@example.com", f"No. {each}", documents=PDF + b"%d %%%%EOF" % each, key=str(each))
            for each in range(3)
        ],
        batch="b",
        settings=box.settings,
    )
    second = list(outbox)[1]
    (outbox._store.folder / "spool" / second.contents[0]).unlink()
    assert outbox.run(settings=box.settings) == {"failed": 1, "sent": 2}


def test_a_document_that_all_share_is_encoded_once(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []

    def noted(file: Any, size: int) -> Any:
        encoded.append(size)
        return base64_pieces(file, size)

    monkeypatch.setattr("docmail.outbox.shared_contents.base64_pieces", noted)
    terms = docmail.Document.of(PDF + bytes(100_000) + b"%%EOF", name="terms.pdf")
    assert queue(box.settings, documents=terms).run(settings=box.settings) == {"sent": 3}
    assert encoded == [terms.size]
    assert {mail.attachments[0].content for mail in box.inbox} == {terms.read()}
    assert len(list((user_folder(box) / "spool").iterdir())) == 1


def user_folder(box: Sandbox) -> Path:
    assert box.settings.home is not None
    return box.settings.home.outbox


def test_ten_thousand_rows_are_added_counted_and_begun_quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = docmail.Settings("A <a@example.com>", docmail.SmtpServer("smtp.example.com", security=Security.NONE))
    first = docmail.Message("c@example.com", "x", key="0")
    # It is not the making of messages that is looked at here.
    mail = first.render(settings)
    monkeypatch.setattr(docmail.Message, "render", lambda _self, _settings: mail)
    store = Outbox(tmp_path)._store
    messages = []
    for number in range(10_000):
        message = object.__new__(docmail.Message)
        message.__dict__.update(vars(first), key=str(number))
        messages.append(message)
    outbox = Outbox(tmp_path)
    assert outbox.add_all(messages, batch="many", settings=settings).added == 10_000
    assert outbox.add_all(messages[:100], batch="many", settings=settings).known == 100
    assert store.journal.count() == {"queued": 10_000}
    claim, waiting = claims.begin(tmp_path), store.queue("a@example.com")
    started = time.process_time()
    outcome = None
    for _ in range(200):
        begun = waiting.advance(claim, outcome)
        assert begun is not None
        outcome = outcome_of(begun.id)
    assert time.process_time() - started < 2, "a step must not look at all the rows"


def outcome_of(number: int) -> Outcome:
    return Outcome(number, State.SENT, {"c@example.com": (State.SENT, None)})


def test_its_words_are_short_and_name_no_address(box: Sandbox) -> None:
    run: Run = queue(box.settings).run(settings=box.settings)
    assert repr(run) == "<Run over: 3 sent>"
    assert (run.progress.total, run.progress.done, run.progress.tried) == (3, 3, 3)
    assert all("@" not in str(each) for each in run.progress.last)
    assert Store(user_folder(box)).journal.count() == {"sent": 3}


# --- runs that are kept -----------------------------------------------------------------------------------------------


def open_files(folder: Path) -> list[str]:
    """Return what this process has open of the records of mail in a folder."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the look itself
            found.append(str(each.readlink()))
    return sorted(path for path in found if path.startswith(str(folder)) and ".sqlite3" in path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Only Linux lists what a process has open")
@pytest.mark.parametrize("starts", [True, False])
def test_runs_that_are_kept_keep_no_file_open(box: Sandbox, tmp_path: Path, *, starts: bool) -> None:
    """Each kept the database and its log, two descriptors; a notebook keeps what its cells have shown."""
    runs = []
    for number in range(20):
        with Outbox(tmp_path / f"outbox {number % 2}") as outbox:
            outbox.add(docmail.Message("c@example.com", f"No. {number}"), settings=box.settings)
            run = Run(outbox.folder, box.settings)
        runs.append(run.start().wait() if starts else run)
    assert open_files(tmp_path) == []
    for run in runs:
        assert dict(run) == {"sent" if starts else "queued": 10}
        groups = [run.queue.count(group) for group in (Group.QUEUED, Group.PARTLY_SENT, Group.UNDELIVERED)]
        assert groups == [0 if starts else 10, 0, 0]
        assert len(run.queue.rows(Group.QUEUED, 25)) == run.waiting == groups[0]
        assert repr(run).startswith(f"<Run {'over' if starts else 'asked'}: 10 ")
    assert open_files(tmp_path) == []
    assert runs[0].again().start().wait()["sent"] == 10


def test_a_run_is_asked_by_several_threads_while_it_ends(box: Sandbox, tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.add_all(
            [docmail.Message("c@example.com", f"No. {each}", key=str(each)) for each in range(10)],
            batch="b",
            settings=box.settings,
        )
    run = Run(tmp_path, box.settings, batch="b")
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            while not run.over.is_set() or run.waiting:
                assert sum(run.counts().values()) == 10
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it fails the test
            failures.append(exc)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    run.start()
    for thread in threads:
        thread.start()
    run.wait()
    for thread in threads:
        thread.join()
    assert failures == []
    assert run["sent"] == 10


def test_a_run_whose_outbox_is_gone_still_says_what_it_has_sent() -> None:
    with docmail.Sandbox() as box, Outbox() as outbox:
        outbox.add(docmail.Message("c@example.com", "S"), settings=box.settings)
        run = outbox.run(settings=box.settings)
        folder = outbox.folder
    assert not folder.exists()
    assert (repr(run), dict(run)) == ("<Run over: 1 sent>", {"sent": 1})
    with pytest.raises(DocmailError, match=r"There is no outbox in .* any more"):
        run.queue.retry()
    assert not folder.exists(), "and none is made"
