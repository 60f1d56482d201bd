"""A run keeps to what the account may send in 24 hours, counted as its provider counts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail import presets
from docmail.errors import Deferred, Kind
from docmail.outbox import Outbox, daily
from docmail.outbox.daily import DailyLimits, provider_of
from docmail.presets.preset import Limits
from docmail.widgets.outbox.run_view import BatchView

if TYPE_CHECKING:
    from docmail.sandbox import Sandbox

Limiting = Callable[..., None]


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Limiting:
    """Return a function that has the sandbox be a provider with these limits."""

    def limit(*, approximate: tuple[str, ...] = (), **numbers: int) -> None:
        known = replace(presets.by_name("Microsoft 365"), limits=Limits(approximate=approximate, **numbers))
        monkeypatch.setattr(daily, "provider_of", lambda _settings: known)

    return limit


def queue(settings: docmail.Settings, number: int, *, name: str = "b", first: int = 0, **message: Any) -> Outbox:
    outbox = Outbox()
    messages = [
        docmail.Message(f"c{each}@example.net", f"No. {each}", key=str(each), **message)
        for each in range(first, first + number)
    ]
    outbox.add_all(messages, batch=name, settings=settings)
    return outbox


def age(outbox: Outbox, seconds: float) -> None:
    """Let so much time have passed since what was sent."""
    with outbox._store.file.transaction() as connection:
        connection.execute("UPDATE mail SET sent_at = sent_at - ? WHERE sent_at IS NOT NULL", (seconds,))


def test_a_confirmed_limit_stops_the_run_before_it_is_met(box: Sandbox, limited: Limiting) -> None:
    limited(recipients_per_day=5)
    outbox = queue(box.settings, 8)
    with pytest.warns(UserWarning, match="takes 5 recipients in 24 hours"):
        run = outbox.run(settings=box.settings)
    assert run == {"sent": 5, "queued": 3}
    assert run.again_at is not None
    assert timedelta(hours=23) < run.again_at - datetime.now(UTC) <= timedelta(hours=24)
    assert run.error is None
    assert outbox.run(settings=box.settings, limit=10) == {"sent": 5, "queued": 3}, "nothing was tried"
    assert len(box.inbox) == 5


def test_there_is_room_again_for_each_mail_that_is_a_day_old(box: Sandbox, limited: Limiting) -> None:
    limited(recipients_per_day=3)
    outbox = queue(box.settings, 3)
    outbox.run(settings=box.settings)
    age(outbox, 23 * 3600)
    queue(box.settings, 3, first=3)
    with pytest.warns(UserWarning, match="3 recipients today; Microsoft 365 takes 3 in 24 hours"):
        run = outbox.run(settings=box.settings)
    assert run == {"sent": 3, "queued": 3}
    assert run.again_at is not None
    assert run.again_at - datetime.now(UTC) < timedelta(hours=1)
    age(outbox, 3601)
    assert outbox.run(settings=box.settings) == {"sent": 6}


def test_the_copy_for_the_archive_counts(box: Sandbox, limited: Limiting) -> None:
    limited(recipients_per_day=6)
    settings = replace(box.settings, copy_to="archive@example.com")
    with pytest.warns(UserWarning, match="goes beyond"):
        assert queue(settings, 5).run(settings=settings) == {"sent": 3, "queued": 2}


def test_everybody_in_one_mail_counts_and_single_mails_as_well(box: Sandbox, limited: Limiting) -> None:
    limited(recipients_per_day=7)
    docmail.send([], to="a@example.net; b@example.net", subject="x", cc="c@example.net", settings=box.settings)
    outbox = Outbox()
    people = [[f"{letter}{number}@example.net" for letter in "xy"] for number in range(4)]
    outbox.add_all([docmail.Message(to, "x", key=to[0]) for to in people], batch="b", settings=box.settings)
    with pytest.warns(UserWarning, match="3 recipients today"):
        assert outbox.run(settings=box.settings, batch="b") == {"sent": 2, "queued": 2}


def test_refused_recipients_do_not_count(box: Sandbox, limited: Limiting) -> None:
    limited(recipients_per_day=4)
    box.answer("rcpt", "550 5.1.1 No such mailbox", recipient="c1@example.net")
    with pytest.warns(UserWarning, match="goes beyond"):
        assert queue(box.settings, 6).run(settings=box.settings) == {"sent": 4, "refused": 1, "queued": 1}


@pytest.mark.parametrize(
    ("limits", "sent"),
    [
        ({"per_day": 2}, 2),
        ({"external_per_day": 3}, 3),
        ({"different_per_day": 4}, 4),
        ({"per_day": 5, "external_per_day": 2}, 2),
    ],
)
def test_each_sort_of_limit_is_kept(box: Sandbox, limited: Limiting, limits: dict[str, int], sent: int) -> None:
    limited(**limits)
    with pytest.warns(UserWarning, match="in 24 hours|mails a day"):
        assert queue(box.settings, 6).run(settings=box.settings)["sent"] == sent


def test_recipients_in_one_s_own_domain_are_not_external_and_the_same_one_is_not_different(
    box: Sandbox, limited: Limiting
) -> None:
    limited(external_per_day=1, different_per_day=2)
    outbox = Outbox()
    messages = [docmail.Message("c@example.com", f"No. {each}", key=str(each)) for each in range(4)]
    outbox.add_all(messages, batch="b", settings=box.settings)
    assert outbox.run(settings=box.settings) == {"sent": 4}


def test_an_approximate_limit_warns_and_stops_nothing(box: Sandbox, limited: Limiting) -> None:
    limited(recipients_per_day=3, approximate=("recipients_per_day",))
    outbox = queue(box.settings, 5)
    with pytest.warns(UserWarning, match="takes about 3 recipients in 24 hours.*may refuse"):
        assert outbox.run(settings=box.settings) == {"sent": 5}


def test_with_nobody_there_the_rest_is_a_limit(
    box: Sandbox, limited: Limiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCMAIL_UNATTENDED", "yes")
    limited(recipients_per_day=2)
    outbox = queue(box.settings, 3)
    with pytest.warns(UserWarning, match="goes beyond"), pytest.raises(Deferred, match="2 recipients today") as caught:
        outbox.run(settings=box.settings)
    assert caught.value.kind is Kind.LIMIT
    assert caught.value.retry_after is not None
    assert 86000 < caught.value.retry_after <= 86400


def test_extra_connections_keep_to_it_together(
    box: Sandbox, limited: Limiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, long_queue=2))
    limited(recipients_per_day=30)
    with pytest.warns(UserWarning, match="goes beyond"):
        assert queue(box.settings, 60).run(settings=box.settings) == {"sent": 30, "queued": 30}
    assert len(box.inbox) == 30


def test_a_mail_with_more_recipients_than_the_limit_is_for_the_server_to_decide(
    box: Sandbox, limited: Limiting
) -> None:
    limited(recipients_per_day=1)
    outbox = Outbox()
    message = docmail.Message("a@example.net; b@example.net", "x", key="1")
    outbox.add_all([message], batch="b", settings=box.settings)
    with pytest.warns(UserWarning, match="goes beyond"):
        assert outbox.run(settings=box.settings) == {"sent": 1}


def test_the_view_says_what_went_before_and_why_it_ended(box: Sandbox, limited: Limiting) -> None:
    limited(recipients_per_day=10_000)
    outbox = queue(box.settings, 3)
    outbox.run(settings=box.settings)
    queue(box.settings, 30, name="c")
    run = outbox.run(settings=box.settings, batch="c", wait=False, limit=0)
    run.wait()
    view = BatchView(run.again(), asks=True)
    said = "3 recipients today; Microsoft 365 takes 10,000 in 24 hours (counted: what was sent from this computer)."
    assert said in view.question.html
    limited(recipients_per_day=13)
    run = outbox.run(settings=box.settings, batch="c", limit=20)
    assert run == {"sent": 10, "queued": 20}
    assert "13 recipients today" in (report := BatchView(run).report.value)
    assert run.again_at is not None
    assert f"{run.again_at.astimezone():%Y-%m-%d %H:%M}" in report


def test_without_a_known_limit_nothing_is_said(box: Sandbox) -> None:
    outbox = queue(box.settings, 2)
    run = outbox.run(settings=box.settings)
    assert run.daily_warning() == ""
    assert not DailyLimits(outbox._store.queue("accounts@example.com"), box.settings).stops_a_run


def settings_for(host: str, sender: str, username: str | None = None) -> docmail.Settings:
    return docmail.Settings(sender, docmail.SmtpServer(host, username=sender if username is None else username))


@pytest.mark.parametrize(
    ("host", "sender", "provider"),
    [
        ("smtp.gmail.com", "a@gmail.com", "Gmail"),
        ("smtp.gmail.com", "a@example.com", "Google Workspace"),
        ("smtp-relay.gmail.com", "a@example.com", "Google Workspace"),
        ("smtp.office365.com", "a@example.com", "Microsoft 365"),
        ("smtp.office365.com", "a@contoso.onmicrosoft.com", "Microsoft 365"),
        ("smtp-hve.office365.com", "a@example.com", "Microsoft High Volume Email"),
        ("smtp.mail.me.com", "a@example.com", "iCloud Mail"),
        ("smtp.zoho.sa", "a@example.com", "Zoho Mail"),
        ("smtp.zoho.com.cn", "a@example.com", "Zoho Mail"),
        ("mail.example.com", "a@gmail.com", None),
    ],
)
def test_the_limits_are_those_of_the_account_s_provider(host: str, sender: str, provider: str | None) -> None:
    found = provider_of(settings_for(host, sender))
    assert (found.name if found else None) == provider


def test_a_mailbox_over_http_has_the_limits_of_its_provider() -> None:
    graph = docmail.Settings("a@example.com", docmail.HttpServer("graph.microsoft.com", api="graph"))
    gmail = docmail.Settings("a@gmail.com", docmail.HttpServer("gmail.googleapis.com", api="gmail"))
    names = [provider.name if (provider := provider_of(each)) else None for each in (graph, gmail)]
    assert names == ["Microsoft 365", "Gmail"]


def test_an_address_at_onmicrosoft_com_writes_to_100_people_outside() -> None:
    microsoft = presets.by_name("Microsoft 365")
    assert microsoft.limits_of("a@contoso.onmicrosoft.com").external_per_day == 100
    assert microsoft.limits_of("a@contoso.onmicrosoft.com").recipients_per_day == 10_000
    assert microsoft.limits_of("a@example.com").external_per_day is None


def test_counting_a_large_journal_takes_less_than_a_second(box: Sandbox, limited: Limiting) -> None:
    limited(recipients_per_day=10_000)
    outbox = queue(box.settings, 2000)
    store = outbox._store
    with store.file.transaction() as connection:
        connection.execute("UPDATE mail SET state = 'sent', sent_at = created")
        connection.execute("UPDATE recipient SET state = 'sent'")
    began = time.process_time()
    assert "2,000 recipients today" in DailyLimits(store.queue("accounts@example.com"), box.settings).warning(list)
    assert time.process_time() - began < 1
