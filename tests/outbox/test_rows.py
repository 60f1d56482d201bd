"""The rows of an outbox come a few at a time, without their contents; a closed outbox says that it is closed."""

from __future__ import annotations

import tracemalloc
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.errors import DocmailError, MessageError
from docmail.outbox import Outbox, journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docmail.sandbox import Sandbox

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"
SETTINGS = docmail.Settings("A <a@example.com>", docmail.SmtpServer("smtp.example.com"))


def messages(number: int, first: int = 0) -> list[docmail.Message]:
    return [
        docmail.Message("c@example.com", f"No. {each}", documents=PDF, key=str(each))
        for each in range(first, first + number)
    ]


# --- the rows ---------------------------------------------------------------------------------------------------------


def test_iterating_holds_a_few_rows_in_memory_and_no_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows with their texts, pictures and all, were loaded at once: 197 MB for 400 mails."""
    texts = messages(150)
    mail = texts[0].render(SETTINGS)
    mail = replace(mail, head=mail.head + bytes(200_000))
    monkeypatch.setattr(docmail.Message, "render", lambda _self, _settings: mail)
    with Outbox(tmp_path) as outbox:
        outbox.add_all(texts, batch="b", settings=SETTINGS)
        tracemalloc.start()
        try:
            assert sum(1 for _row in outbox) == 150
            _now, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 2_000_000


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 7])
def test_every_row_comes_once_and_in_order_however_many_portions_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(journal, "_PORTION", 3)
    with Outbox(tmp_path) as outbox:
        if number:
            outbox.add_all(messages(number), batch="b", settings=SETTINGS)
        rows = list(outbox)
        assert [row.key for row in rows] == [str(each) for each in range(number)]
        assert all(row.documents == ("document.pdf",) and row.recipients["c@example.com"] for row in rows)
        assert len(outbox) == number


def test_what_changes_between_two_portions_is_neither_left_out_nor_shown_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a loop that adds a mail for each row comes to its end."""
    monkeypatch.setattr(journal, "_PORTION", 3)
    with Outbox(tmp_path) as outbox, Outbox(tmp_path) as other:
        outbox.add_all(messages(10), batch="b", settings=SETTINGS)
        seen = []
        for row in outbox:
            seen.append((row.id, row.state))
            if row.id == 2:
                other.withdraw("b")
            other.add(docmail.Message("c@example.com", f"Again {row.id}"), settings=SETTINGS)
        assert [number for number, _state in seen] == list(range(1, 11))
        assert {state for number, state in seen if number > 3} == {"failed"}, "each as it is when its portion is read"
        assert len(outbox) == 20


def test_the_rows_are_those_of_the_moment_at_which_the_loop_began(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.add_all(messages(2), batch="b", settings=SETTINGS)
        rows = iter(outbox)
        outbox.add_all(messages(2, first=2), batch="b", settings=SETTINGS)
        assert [row.key for row in rows] == ["0", "1"]


def test_a_key_is_refused_for_another_reply_to_address_though_rows_come_without_their_contents(box: Sandbox) -> None:
    given: dict[str, Any] = {"to": "c@example.com", "subject": "S", "key": "k", "settings": box.settings}
    docmail.send(PDF, **given, reply_to="desk@example.com")
    assert docmail.send(PDF, **given, reply_to="Desk <DESK@example.com>").repeated
    with pytest.raises(MessageError, match="another reply-to address"):
        docmail.send(PDF, **given, reply_to="office@example.com")


# --- closed -----------------------------------------------------------------------------------------------------------


def test_an_outbox_is_closed_at_the_end_of_a_with_also_by_an_error(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        assert list(outbox) == []
    assert repr(outbox) == "<Outbox, closed>"
    with pytest.raises(ZeroDivisionError), Outbox(tmp_path) as other:
        raise ZeroDivisionError
    assert repr(other) == "<Outbox, closed>"
    other.close()


ASKED: list[Callable[[Outbox], object]] = [
    len,
    iter,
    list,
    lambda outbox: outbox.__enter__(),
    lambda outbox: outbox.content_days,
    lambda outbox: setattr(outbox, "content_days", 3),
    lambda outbox: outbox.add(messages(1)[0], settings=SETTINGS),
    lambda outbox: outbox.add(docmail.Message("c@example.com", "S", documents=PDF), settings=SETTINGS),
    lambda outbox: outbox.add_all(messages(1), batch="b", settings=SETTINGS),
    lambda outbox: outbox.withdraw("b"),
    lambda outbox: outbox.preview(),
    lambda outbox: outbox.run(settings=SETTINGS),
    lambda outbox: outbox.run(settings=SETTINGS, wait=False),
    lambda outbox: outbox.retry(),
    lambda outbox: outbox.resolve(1, "sent"),
]


@pytest.mark.parametrize("ask", ASKED)
def test_a_closed_outbox_says_so_whatever_is_asked_and_keeps_nothing(
    tmp_path: Path, ask: Callable[[Outbox], object]
) -> None:
    with Outbox(tmp_path) as outbox:
        pass
    with pytest.raises(DocmailError, match=r"This outbox was closed\. Open it again: outbox = docmail\.Outbox\(\)\."):
        ask(outbox)
    assert outbox.folder == tmp_path
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_loop_over_an_outbox_that_is_closed_on_the_way_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_PORTION", 1)
    with Outbox(tmp_path) as outbox:
        outbox.add_all(messages(3), batch="b", settings=SETTINGS)
        rows = iter(outbox)
        assert next(rows).key == "0"
    with pytest.raises(DocmailError, match="This outbox was closed"):
        next(rows)


def test_closing_leaves_a_run_that_goes_on_and_other_outboxes_alone(box: Sandbox, tmp_path: Path) -> None:
    with closing(Outbox(tmp_path)) as other:
        box.delay("end", 0.1, times=1)
        with Outbox(tmp_path) as outbox:
            outbox.add_all(messages(5), batch="b", settings=box.settings)
            run = outbox.run(settings=box.settings, batch="b", wait=False)
        assert run.wait()["sent"] == 5
        assert [row.state for row in other] == ["sent"] * 5
        other.add(docmail.Message("c@example.com", "More"), settings=box.settings)
    assert len(box.inbox) == 5


def test_what_a_cell_shows_of_states_and_fields_are_words(tmp_path: Path) -> None:
    """A notebook keeps it, and `<State.QUEUED: 'queued'>` is nothing to read."""
    with Outbox(tmp_path) as outbox:
        outbox.add(messages(1)[0], settings=SETTINGS)
        [row] = outbox
        assert repr([row.state, row.recipients["c@example.com"].role]) == "['queued', 'to']"
    [problem] = docmail.Settings("A <a@example.com>", docmail.SmtpServer("")).problems()
    assert repr(problem).startswith("Problem(field='host', ")
