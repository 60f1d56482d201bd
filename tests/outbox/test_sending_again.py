"""What a person sends again changes nothing before it can go: there is a connection first, and a failure leaves all."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail import credentials
from docmail.errors import (
    AuthenticationError,
    ConnectError,
    CredentialError,
    Deferred,
    DocmailError,
    MessageError,
    OutcomeUnknown,
    Refused,
    SendError,
    SettingsError,
    TLSError,
)
from docmail.home import user_home
from docmail.outbox import Outbox, Run, correct_and_send, resending
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.transport import open_transport
from docmail.widgets.outbox.run_view import BatchView

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.outbox import Row
    from docmail.sandbox import Sandbox
    from docmail.settings import Settings

STATES = ("unknown", "refused", "failed", "partly sent", "sent")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try what was deferred again at once, and give up after the second attempt."""
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=0.02, tries=2))


def mail_in(state: str, box: Sandbox, *, way: str = "send") -> Row:
    """Return a mail to two people in this state, of a `send` or of a batch."""
    if state == "unknown":
        box.drop("end", times=1)
    elif state == "failed":
        box.answer("end", "451 4.3.0 Busy")
    elif state != "sent":
        for name in ("got", "gone") if state == "refused" else ("gone",):
            box.answer("rcpt", "550 5.1.1 No such user", recipient=f"{name}@example.com")
    people = ["got@example.com", "gone@example.com"]
    if way == "send":
        with suppress(SendError), warnings.catch_warnings(action="ignore"):
            docmail.send((), to=people, subject="Q3", key="q3", settings=box.settings)
    else:
        outbox = Outbox()
        outbox.add_all([docmail.Message(people, "Q3", key="1")], batch="b", settings=box.settings)
        outbox.run(settings=box.settings)
        outbox.close()
    box.reset()
    (row,) = rows()
    assert row.state == state.removeprefix("partly ")
    return row


def rows() -> list[Row]:
    return list(Outbox())


def states(row: Row) -> dict[str, str]:
    return {address.partition("@")[0]: each.state for address, each in row.recipients.items()}


def got(box: Sandbox) -> Counter[str]:
    return Counter(address.partition("@")[0] for mail in box.inbox for address in mail.recipients)


def again(row: Row, settings: Settings, **options: Any) -> Any:
    return resending.send_again(Outbox().folder, row.id, settings, **options)


def no_password(box: Sandbox) -> Settings:
    credentials.withdraw(box.settings.account)
    return box.settings


def server_of(box: Sandbox, **changes: Any) -> docmail.SmtpServer:
    assert isinstance(box.settings.server, docmail.SmtpServer)
    return replace(box.settings.server, **changes)


def refused_settings(box: Sandbox) -> Settings:
    return replace(box.settings, server=server_of(box, port=0))


def nobody_listens(box: Sandbox) -> Settings:
    settings = replace(box.settings, server=server_of(box, port=1))
    credentials.set(settings, "x", remember=False)
    return settings


def untrusted(box: Sandbox) -> Settings:
    return replace(box.settings, server=server_of(box, ca_file=None))


def wrong_password(box: Sandbox) -> Settings:
    box.answer("auth", "535 5.7.8 Wrong")
    return box.settings


def busy_server(box: Sandbox) -> Settings:
    box.answer("connect", "421 4.3.2 Busy")
    return box.settings


OBSTACLES = [
    (no_password, CredentialError),
    (refused_settings, SettingsError),
    (nobody_listens, ConnectError),
    (untrusted, TLSError),
    (wrong_password, AuthenticationError),
    (busy_server, Deferred),
]


@pytest.mark.parametrize(
    ("state", "obstacle", "error"),
    [("unknown", *each) for each in OBSTACLES] + [(state, *OBSTACLES[0]) for state in STATES if state != "unknown"],
)
def test_what_cannot_begin_leaves_everything_as_it_was_and_nothing_for_the_next_run(
    box: Sandbox, state: str, obstacle: Callable[[Sandbox], Settings], error: type[DocmailError]
) -> None:
    row, good = mail_in(state, box), box.settings
    before, arrived = rows(), len(box.inbox)
    with pytest.raises(error):
        again(row, obstacle(box))
    assert rows() == before
    box.reset()
    credentials.set(good, SANDBOX_PASSWORD, remember=False)
    Outbox().run(settings=good)
    assert rows() == before
    assert len(box.inbox) == arrived


@pytest.mark.parametrize("way", ["send", "batch"])
@pytest.mark.parametrize("state", ["unknown", "partly sent"])
@pytest.mark.parametrize("step", ["mail", "rcpt", "data"])
def test_a_connection_that_breaks_in_the_middle_leaves_the_doubt_and_nothing_for_the_next_run(
    box: Sandbox, state: str, step: Any, way: str
) -> None:
    """A mail that may have arrived has not failed because another attempt has."""
    row = mail_in(state, box, way=way)
    before, arrived = rows(), len(box.inbox)
    box.drop(step)
    with pytest.raises(ConnectError):
        again(row, box.settings)
    box.reset()
    assert rows() == before
    outbox = Outbox()
    outbox.run(settings=box.settings)
    assert rows() == before
    assert len(box.inbox) == arrived


@pytest.mark.parametrize(("reply", "state"), [("451 4.3.0 Busy", "unknown"), ("554 5.7.1 Spam", "refused")])
def test_a_doubt_ends_with_a_refusal_and_not_with_a_deferral(box: Sandbox, reply: str, state: str) -> None:
    row = mail_in("unknown", box)
    box.answer("end", reply)
    with pytest.raises(SendError):
        again(row, box.settings)
    (row,) = rows()
    assert (row.state, states(row)) == (state, {"got": state, "gone": state})


def test_a_doubt_that_ends_for_one_of_two_stays_one(box: Sandbox) -> None:
    row = mail_in("unknown", box)
    box.answer("rcpt", "450 4.2.0 Not now", recipient="gone@example.com", times=1)
    assert again(row, box.settings).accepted == ("got@example.com",)
    (row,) = rows()
    assert (row.state, states(row)) == ("unknown", {"got": "sent", "gone": "unknown"})
    assert "may have arrived" in row.reason
    assert again(row, box.settings).accepted == ("gone@example.com",)
    (row,) = rows()
    assert (row.state, states(row)) == ("sent", {"got": "sent", "gone": "sent"})


def test_a_doubt_that_ends_in_another_one_is_still_about_everybody_who_was_not_refused(box: Sandbox) -> None:
    row = mail_in("unknown", box)
    box.answer("rcpt", "450 4.2.0 Not now", recipient="gone@example.com", times=1)
    box.drop("end", times=1)
    with pytest.raises(OutcomeUnknown):
        again(row, box.settings)
    (row,) = rows()
    assert (row.state, states(row)) == ("unknown", {"got": "unknown", "gone": "unknown"})


@pytest.mark.parametrize("state", ["refused", "failed", "partly sent", "unknown"])
@pytest.mark.parametrize("way", ["send", "batch"])
def test_it_goes_to_those_alone_who_have_not_got_it_and_stays_the_same_mail(box: Sandbox, state: str, way: str) -> None:
    row = mail_in(state, box, way=way)
    missing = ("gone@example.com",) if state == "partly sent" else ("got@example.com", "gone@example.com")
    assert resending.missing(row) == missing
    assert again(row, box.settings).accepted == missing
    (row,) = rows()
    assert (row.state, states(row)) == ("sent", {"got": "sent", "gone": "sent"})
    assert box.inbox[-1].recipients == missing
    assert box.inbox[-1]["Message-ID"] == row.message_id


def test_everybody_gets_a_partly_sent_mail_anew_if_that_is_what_was_asked_for(box: Sandbox) -> None:
    row = mail_in("partly sent", box)
    assert again(row, box.settings, everybody=True).accepted == ("got@example.com", "gone@example.com")
    first, second = rows()
    assert states(first) == {"got": "sent", "gone": "refused"}
    assert states(second) == {"got": "sent", "gone": "sent"}
    assert first.message_id != second.message_id


def test_who_is_refused_again_is_refused_and_the_mail_stays_sent(box: Sandbox) -> None:
    row = mail_in("partly sent", box)
    box.answer("rcpt", "550 5.7.1 Still not", recipient="gone@example.com")
    with pytest.raises(Refused):
        again(row, box.settings)
    (found,) = rows()
    assert (found.state, found.reply, states(found)) == ("sent", row.reply, {"got": "sent", "gone": "refused"})
    assert str(found.recipients["gone@example.com"].reply) == "550 5.7.1 Still not"


def test_a_mail_that_somebody_else_has_settled_meanwhile_is_not_sent(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = mail_in("unknown", box)
    opened = open_transport

    def slowly(*arguments: Any, **options: Any) -> Any:
        Outbox().resolve(row.id, "sent")
        return opened(*arguments, **options)

    monkeypatch.setattr("docmail.outbox.single_mail.open_transport", slowly)
    arrived = len(box.inbox)
    with pytest.raises(MessageError, match="nothing was sent"):
        again(row, box.settings)
    (row,) = rows()
    assert (row.state, len(box.inbox)) == ("sent", arrived)


CHILD = """
import sys, docmail
from docmail import credentials
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.outbox import resending
settings = docmail.Settings.load("victim")
credentials.provide(settings.account, credentials.Secret(SANDBOX_PASSWORD))
resending.send_again(docmail.Outbox().folder, 1, settings)
"""


@pytest.mark.parametrize(("step", "state"), [("connect", "refused"), ("auth", "refused"), ("mail", "unknown")])
def test_a_kill_before_it_begins_leaves_it_as_it_was_and_after_that_it_is_in_doubt(
    box: Sandbox, step: Any, state: str
) -> None:
    settings = replace(box.settings, home=user_home())
    settings.save("victim")
    box.answer("rcpt", "550 5.1.1 No such user", times=1)
    with pytest.raises(Refused):
        docmail.send((), to="gone@example.com", subject="Q3", settings=settings)
    box.reset()
    box.delay(step, 60)
    child = subprocess.Popen([sys.executable, "-c", CHILD])
    outbox = Outbox(user_home().outbox)
    if state == "unknown":
        wait_for(lambda: outbox._store.journal.count() == {"sending": 1})
    else:
        # It has claimed nothing when it waits for the server; to be seen is only the life of its process.
        wait_for(lambda: list((outbox.folder / "owners").glob("*.lock")))
        time.sleep(0.3)
    child.send_signal(signal.SIGKILL)
    child.wait()
    box.reset()
    outbox = Outbox(user_home().outbox)
    assert [row.state for row in outbox] == [state]
    outbox.run(settings=settings)
    assert len(box.inbox) == 0


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


# --- a key that is sent again on purpose ------------------------------------------------------------------------------


@pytest.mark.parametrize(("obstacle", "error"), [OBSTACLES[0], OBSTACLES[4]])
def test_resend_that_cannot_begin_leaves_the_key_with_what_was_sent(
    box: Sandbox, obstacle: Callable[[Sandbox], Settings], error: type[DocmailError]
) -> None:
    """Otherwise the same cell, run again, would send a second mail without being asked to."""
    row, good = mail_in("sent", box), box.settings
    with pytest.raises(error):
        send(obstacle(box), resend=True)
    box.reset()
    credentials.set(good, SANDBOX_PASSWORD, remember=False)
    assert rows() == [row]
    assert send(good).repeated
    assert len(box.inbox) == 1


@pytest.mark.parametrize("state", ["sent", "unknown"])
@pytest.mark.parametrize("step", ["mail", "rcpt", "data"])
def test_resend_that_does_not_get_through_gives_the_key_back(box: Sandbox, state: str, step: Any) -> None:
    mail_in(state, box)
    box.drop(step, times=1)
    with pytest.raises(ConnectError):
        send(box.settings, resend=True)
    if state == "sent":
        assert send(box.settings).repeated
    else:
        with pytest.raises(OutcomeUnknown, match="resolve"):
            send(box.settings)
    assert len(box.inbox) == 1
    outbox = Outbox()
    assert outbox.retry() == 0
    assert not send(box.settings, resend=True).repeated
    assert len(box.inbox) == 2


def send(settings: Settings, **options: Any) -> Any:
    return docmail.send(
        (), to=["got@example.com", "gone@example.com"], subject="Q3", key="q3", settings=settings, **options
    )


# --- the buttons of a batch -------------------------------------------------------------------------------------------


def view_of(box: Sandbox, settings: Settings | None = None) -> BatchView:
    return BatchView(Run(Outbox().folder, settings or box.settings, batch="b"))


def press_again(view: BatchView) -> None:
    (doubt,) = view.doubts.children
    doubt.children[1]._handle("again", {}, None)
    view.run.over.wait(20)
    view.refresh()


@pytest.mark.parametrize("obstacle", [no_password, nobody_listens, wrong_password])
def test_the_buttons_of_a_batch_change_nothing_where_nothing_can_begin(
    box: Sandbox, obstacle: Callable[[Sandbox], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, reconnect_seconds=(0.01, 0.02)))
    outbox = Outbox()
    people = ["lost@example.com", "gone@example.com"]
    outbox.add_all([docmail.Message(to, to, key=to) for to in people], batch="b", settings=box.settings)
    box.drop("end", recipient=people[0], times=1)
    box.answer("rcpt", "550 5.1.1 No such user", recipient=people[1])
    good = box.settings
    assert outbox.run(settings=good) == {"refused": 1, "unknown": 1}
    box.reset()
    before = list(outbox)
    view = view_of(box, obstacle(box))
    press_again(view)
    assert view.run.error is not None
    assert list(outbox) == before
    view.press("retry")
    view.run.over.wait(20)
    assert list(outbox) == before
    box.reset()
    credentials.set(good, SANDBOX_PASSWORD, remember=False)
    assert outbox.run(settings=good) == {"refused": 1, "unknown": 1}
    assert len(box.inbox) == 1

    view = view_of(box, good)
    press_again(view)
    assert view.run == {"refused": 1, "sent": 1}
    view.press("retry")
    view.run.over.wait(20)
    assert view.run == {"sent": 2}
    assert got(box) == {"lost": 2, "gone": 1}


@pytest.mark.parametrize("step", ["mail", "data"])
def test_a_doubt_that_a_run_cannot_send_is_left_for_a_person(box: Sandbox, step: Any) -> None:
    mail_in("unknown", box, way="batch")
    before = rows()
    box.drop(step, times=1)
    view = view_of(box)
    press_again(view)
    assert rows() == before
    assert view.run == {"unknown": 1}
    assert len(view.doubts.children) == 1, "it is asked about again"
    press_again(view)
    assert view.run == {"sent": 1}


def test_a_mail_of_another_sender_is_not_sent_by_this_one(box: Sandbox) -> None:
    boss = replace(box.settings, sender="Boss <boss@other.example>")
    outbox = Outbox()
    outbox.add(docmail.Message("got@example.com", "Q3"), settings=boss)
    box.drop("end", times=1)
    outbox.run(settings=boss)
    view = BatchView(Run(outbox.folder, box.settings))
    press_again(view)
    assert "boss@" not in view.report.value
    assert "was sent as" in view.report.value
    assert [row.state for row in outbox] == ["unknown"]


def test_a_second_press_while_it_is_on_its_way_sends_nothing_more(box: Sandbox) -> None:
    mail_in("unknown", box, way="batch")
    view = view_of(box)
    box.delay("end", 0.5)
    buttons = view.doubts.children[0].children[1]
    for _click in range(3):
        buttons._handle("again", {}, None)
    view.run.over.wait(20)
    assert view.run == {"sent": 1}
    assert got(box) == {"got": 2, "gone": 2}


# --- a refused address is corrected ---


@pytest.fixture
def partly(box: docmail.Sandbox) -> Outbox:
    """Return an outbox with a mail that one of two has got."""
    outbox = Outbox()
    people = ['"Ärn, B" <a@example.com>', "X Y <nobody@example.com>"]
    outbox.add_all([docmail.Message(people, "S", key="1")], batch="b", settings=box.settings)
    outbox.run(settings=box.settings)
    return outbox


def corrected(box: docmail.Sandbox, outbox: Outbox, **options: str) -> docmail.SendResult:
    return correct_and_send(outbox.folder, 1, box.settings, {"nobody@example.com": options["to"]})


def test_only_the_corrected_address_gets_it_and_all_read_the_same_names(box: docmail.Sandbox, partly: Outbox) -> None:
    assert corrected(box, partly, to="somebody@example.com").accepted == ("somebody@example.com",)
    first, second = box.inbox
    assert second.recipients == ("somebody@example.com",)
    assert second["To"] == '"Ärn, B" <a@example.com>, X Y <somebody@example.com>'
    assert (second["Message-ID"], second.text) == (first["Message-ID"], first.text)
    (row,) = partly
    assert {address: str(each.state) for address, each in row.recipients.items()} == {
        "a@example.com": "sent",
        "somebody@example.com": "sent",
    }
    assert row.corrected == {"somebody@example.com": "nobody@example.com"}


@pytest.mark.parametrize("address", ["nobody@example.com", "somebody@example.com"])
def test_the_data_is_recognised_with_the_old_address_and_with_the_new_one(
    box: docmail.Sandbox, partly: Outbox, address: str
) -> None:
    corrected(box, partly, to="somebody@example.com")
    message = docmail.Message(["a@example.com", address], "S", key="1")
    assert partly.add_all([message], batch="b", settings=box.settings).known == 1
    other = docmail.Message(["a@example.com", "third@example.com"], "S", key="1")
    with pytest.raises(docmail.errors.BatchError, match="1 row of 1 cannot be sent"):
        partly.add_all([other], batch="b", settings=box.settings)


def test_a_correction_that_is_refused_as_well_can_be_corrected_again(box: docmail.Sandbox, partly: Outbox) -> None:
    box.answer("rcpt", "550 5.1.1 No such user", recipient="somebody@example.com")
    with pytest.raises(docmail.errors.Refused):
        corrected(box, partly, to="somebody@example.com")
    (row,) = partly
    assert row.state == "sent"
    correct_and_send(partly.folder, 1, box.settings, {"somebody@example.com": "third@example.com"})
    (row,) = partly
    assert row.corrected == {"third@example.com": "nobody@example.com"}
    assert row.recipients["third@example.com"].state == "sent"


def test_what_was_corrected_meanwhile_is_not_sent_twice(box: docmail.Sandbox, partly: Outbox) -> None:
    corrected(box, partly, to="somebody@example.com")
    with pytest.raises(docmail.errors.MessageError, match="Everybody has got it"):
        corrected(box, partly, to="third@example.com")
    assert len(box.inbox) == 2


def test_nobody_gets_it_twice_by_a_correction(box: docmail.Sandbox, partly: Outbox) -> None:
    with pytest.raises(docmail.errors.AddressError, match=r"goes to A@example\.com already"):
        corrected(box, partly, to="A@example.com")
    assert len(box.inbox) == 1


def test_a_correction_after_the_last_byte_is_lost_is_in_doubt(box: docmail.Sandbox, partly: Outbox) -> None:
    box.drop("end", times=1)
    with pytest.raises(docmail.errors.OutcomeUnknown):
        corrected(box, partly, to="somebody@example.com")
    (row,) = partly
    assert row.recipients["somebody@example.com"].state == "unknown"
    assert row.recipients["a@example.com"].state == "sent"
