"""Each view carries the line that speaks when its kernel is gone; what it would say then is known beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.language import language
from docmail.outbox import Outbox, Run
from docmail.widgets import EmailButton, SettingsForm
from docmail.widgets.document.view import DocumentView
from docmail.widgets.outbox.history_view import HistoryView
from docmail.widgets.outbox.run_view import BatchView
from docmail.widgets.parts.kernel_gone import Lifeline

if TYPE_CHECKING:
    from pathlib import Path

    import ipywidgets

    from docmail.sandbox import Sandbox


def batch_view(box: Sandbox, number: int = 3, *, asks: bool = False) -> BatchView:
    """Return the view of a batch whose second mail is refused."""
    people = ["a@example.com", "nobody@example.com", "c@example.com"][:number]
    messages = [docmail.Message(to, "S", key=to) for to in people]
    Outbox().add_all(messages, batch="b", settings=box.settings)
    return BatchView(Run(Outbox().folder, box.settings, batch="b"), asks=asks)


def what_to_do(view: ipywidgets.VBox) -> str:
    """Return what a view says after a restart, besides that there was one."""
    said: str = view.children[0].what_to_do
    return said


def test_each_view_begins_with_it_and_ends_with_what_a_missing_front_end_calls_for(
    box: Sandbox, tmp_path: Path
) -> None:
    document = docmail.Document.of(b"a,b", name="t.csv")
    views: list[Any] = [
        SettingsForm(),
        DocumentView(document, None),
        EmailButton(document),
        HistoryView(tmp_path),
        batch_view(box),
    ]
    for view in views:
        first, *_others, last = view.children
        assert isinstance(first, Lifeline)
        assert "DOCMAIL_PASSWORD" in last.value
        assert "dm-lacking" in last._dom_classes


def test_it_speaks_the_language_in_which_the_view_was_made() -> None:
    with language("af"):
        line = Lifeline()
    assert (line.words["restarted"], line.what_to_do) == ("Die kern is weer begin.", "Voer hierdie sel weer uit.")
    assert SettingsForm(language="af").children[0].words["ended"] == "Die kern is afgesluit."


def test_a_batch_knows_how_many_were_sent(box: Sandbox) -> None:
    view = batch_view(box, asks=True)
    assert what_to_do(view) == "Nothing was sent yet; run this cell again."
    view.press("send")
    assert view.run.over.wait(20)
    view.refresh()
    assert what_to_do(view) == "2 of 3 were sent."
    added = [docmail.Message(f"c{number}@example.com", "S", key=f"more {number}") for number in range(30)]
    Outbox().add_all(added, batch="b", settings=box.settings)
    view.press("send-rest")
    assert what_to_do(view) == "2 of 33 were sent; run this cell again to go on.", "it asks about those that were added"


@pytest.mark.parametrize("batch", [None, "b"])
def test_of_mails_without_a_batch_only_those_of_this_run_are_counted(box: Sandbox, batch: str | None) -> None:
    docmail.send((), to="earlier@example.com", subject="S", settings=box.settings)
    outbox = Outbox()
    for number in (1, 2):
        outbox.add(docmail.Message(f"c{number}@example.com", "S", key=str(number)), settings=box.settings)
    run = outbox.run(settings=box.settings, batch=batch)
    expected = "Run this cell again." if batch else "2 of 2 were sent."
    assert what_to_do(BatchView(run)) == expected


def test_a_rehearsal_claims_nothing(box: Sandbox) -> None:
    batch_view(box)
    run = Outbox().run(settings=box.settings, batch="b", redirect_to="me@example.com", limit=1)
    assert what_to_do(BatchView(run)) == "Run this cell again."
