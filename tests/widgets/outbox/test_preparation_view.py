"""The line under a cell whose batch takes longer to make."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.errors import BatchError
from docmail.outbox import BatchProgress, Outbox
from docmail.outbox.changes import Changes
from docmail.widgets.outbox import preparation_view

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docmail.sandbox import Sandbox


class Output:
    """What stands under the cell, one text after the other."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.html = ""
        self.changed = Event()

    def display(self, bundle: dict[str, str], **_options: Any) -> Output:
        """Show the first text, or the live view below it."""
        if bundle["text/plain"]:
            self.update(bundle)
        return self

    def update(self, bundle: dict[str, str], **_options: Any) -> None:
        """Show another one in its place."""
        self.texts.append(bundle["text/plain"])
        self.html = bundle["text/html"]
        if "1 of 2" in self.texts[-1]:
            self.changed.set()


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Output:
    shown = Output()
    monkeypatch.setattr("IPython.display.display", shown.display)
    monkeypatch.setattr("docmail.outbox.observers.preparations", [preparation_view.show])
    monkeypatch.setattr(preparation_view, "_CALM_SECONDS", 0.01)
    monkeypatch.setattr(preparation_view, "_LOOK_SECONDS", 0.01)
    return shown


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with docmail.Sandbox() as sandbox:
        yield sandbox


def add(box: Sandbox, output: Output, *, wrong: type[BaseException] | None = None, key: str = "n") -> None:
    """Add two rows; the second one waits until the first one is counted on the screen."""

    def make(row: Mapping[str, Any]) -> None:
        if row["n"] == 2:
            assert output.changed.wait(20)
            if wrong is not None:
                raise wrong

    rows = [{"n": 1, "k": 1}, {"n": 2, "k": 1}]
    merged = docmail.merge(rows, key=key, to="a@example.com", subject="x", documents=make)
    Outbox().add_all(merged, batch="b", settings=box.settings)


def test_it_says_how_far_it_is_and_what_came_of_it(box: Sandbox, output: Output) -> None:
    add(box, output)
    assert "Generating and checking: 1 of 2" in output.texts
    assert output.texts[-1] == "Generated and checked: 2 rows."
    assert "<progress" not in output.html, "what the notebook keeps is the result"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (ValueError, "Generated and checked: 2 rows. Nothing was added."),
        (KeyboardInterrupt, "Generated and checked: 1 row. Interrupted: nothing was added."),
    ],
)
def test_a_batch_that_is_refused_or_interrupted_says_that_nothing_was_added(
    box: Sandbox, output: Output, wrong: type[BaseException], words: str
) -> None:
    with pytest.raises((BatchError, KeyboardInterrupt)):
        add(box, output, wrong=wrong)
    assert output.texts[-1] == words
    assert len(Outbox()) == 0


def test_what_is_interrupted_while_it_is_written_down_makes_no_claim(
    box: Sandbox, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox()
    written = Changes.add_all

    def interrupted(*arguments: Any) -> int:
        written(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Changes, "add_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add(box, output)
    assert "run the cell again; it recognises what is recorded already" in output.texts[-1]
    monkeypatch.undo()
    assert len(outbox) == 0
    add(box, output)
    assert len(outbox) == 2


def test_a_screen_that_fails_does_not_hinder_the_batch(
    box: Sandbox, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any, **_options: Any) -> None:
        output.changed.set()
        raise RuntimeError

    monkeypatch.setattr("IPython.display.display", broken)
    add(box, output)
    assert len(Outbox()) == 2


def test_rows_of_unknown_number_are_counted(output: Output) -> None:
    assert preparation_view.PreparationView(BatchProgress(done=1234)).text() == "Generating and checking: 1,234"
    assert output.texts == []
