from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest

from docmail.language import _
from docmail.language import language as speaking
from docmail.widgets.parts import painted
from docmail.widgets.parts.painted import Painted
from docmail.widgets.parts.scripts import script
from tests.support.requires import require_program

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET = "only-for-the-screen"


class Heard:
    """Collects what a widget sends to the browser."""

    def __init__(self, widget: Painted, monkeypatch: pytest.MonkeyPatch) -> None:
        self.messages: list[tuple[dict[str, Any], Sequence[bytes]]] = []
        monkeypatch.setattr(
            widget, "send", lambda content, buffers=None: self.messages.append((content, list(buffers or [])))
        )

    def of(self, kind: str) -> list[Any]:
        """Return what was said of one kind."""
        return [content[kind] for content, _buffers in self.messages if kind in content]


def say(widget: Painted, buffers: Sequence[bytes] = (), **content: Any) -> None:
    widget._handle_custom_msg(content, [memoryview(each) for each in buffers])


def test_what_is_drawn_goes_to_a_browser_that_is_there_and_is_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    widget = Painted(stored="<b>kept</b>")
    heard = Heard(widget, monkeypatch)
    widget.draw(table=SECRET)
    assert heard.messages == [], "nobody looks"
    say(widget, ready=True, ratio=2)
    assert heard.of("draw") == [{"table": SECRET}]
    widget.draw(table=SECRET, foot="x")
    assert heard.of("draw")[1:] == [{"foot": "x"}], "what has not changed is not sent again"
    say(widget, ready=True)
    assert heard.of("draw")[-1] == {"table": SECRET, "foot": "x"}, "another view, or the page was loaded again"
    state = repr(ipywidgets.Widget.get_manager_state())
    assert "kept" in state
    assert SECRET not in state + repr(widget)


def test_a_view_that_said_twice_that_it_waits_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said first may come when the cell is over, and what a person has opened since stays open."""
    widget = Painted()
    heard = Heard(widget, monkeypatch)
    begun: list[int] = []
    widget.on_ready = lambda: begun.append(1)
    for view in ("a", "a", "b", "a"):
        say(widget, ready=True, view=view)
    assert (len(heard.of("draw")), len(begun)) == (2, 2)


@pytest.mark.parametrize(("sent", "taken"), [(2, 2), (0.5, 1), (9, 3), (None, 1)])
def test_the_density_of_the_screen_is_believed_within_reason(sent: object, taken: float) -> None:
    widget = Painted()
    say(widget, ready=True, ratio=sent)
    assert widget.ratio == taken


def test_a_press_is_answered_and_a_handler_that_fails_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(action: str, which: str, values: dict[str, Any]) -> None:
        if action == "fail":
            raise ValueError(values)
        pressed.append((action, which))

    pressed: list[tuple[str, str]] = []
    widget = Painted(handle)
    heard = Heard(widget, monkeypatch)
    say(widget, press="fail", id="", values={"name": "<b>"})
    assert "ValueError" in widget.html
    assert "<b>'" not in widget.html
    say(widget, press="open", id="7", values={})
    assert pressed == [("open", "7")]
    assert widget.html == "", "the failure is over"
    assert heard.of("received") == [True, True]


def test_a_press_speaks_the_language_of_the_making() -> None:
    def handle(_action: str, _which: str, _values: dict[str, Any]) -> None:
        widget.draw(said=_("Send"))

    with speaking("af"):
        widget = Painted(handle)
    say(widget, press="x")
    assert widget.html == "Stuur"


def test_suggestions_are_sent_and_nowhere_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    widget = Painted(suggests=["to"])
    widget.suggest = lambda name, typed: [f"{name}-{typed}@example.com"]
    heard = Heard(widget, monkeypatch)
    say(widget, suggest="to", typed=SECRET)
    assert heard.of("options") == [[f"to-{SECRET}@example.com"]]
    assert SECRET not in repr(ipywidgets.Widget.get_manager_state())


# --- uploads ---


class Files(Painted):
    """Remembers what was uploaded."""

    def __init__(self) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.refused: list[str] = []
        super().__init__(take=lambda name, content: self.files.append((name, content)))

    def refuse_upload(self, name: str) -> None:
        """Remember it."""
        self.refused.append(name)


def piece(widget: Painted, content: bytes, *, at: int, size: int, name: str = "a.bin") -> None:
    say(widget, [content], piece=f"upload of {name}", name=name, size=size, at=at)


def test_a_file_is_whole_when_its_last_piece_has_come_and_is_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    widget = Files()
    heard = Heard(widget, monkeypatch)
    piece(widget, SECRET.encode(), at=0, size=22)
    piece(widget, b"other", at=0, size=5, name="b.bin")
    assert widget.files == [("b.bin", b"other")]
    piece(widget, b"...", at=19, size=22)
    assert widget.files[1] == ("a.bin", f"{SECRET}...".encode())
    assert heard.of("taken") == [True, True, True]
    assert widget._arriving == {}
    assert SECRET not in repr(ipywidgets.Widget.get_manager_state())


def test_an_empty_file_is_a_file() -> None:
    widget = Files()
    piece(widget, b"", at=0, size=0)
    assert widget.files == [("a.bin", b"")]


def test_a_file_that_is_too_large_or_misses_a_piece_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painted, "MAX_UPLOAD", 10)
    widget = Files()
    heard = Heard(widget, monkeypatch)
    piece(widget, b"12345", at=0, size=11)
    piece(widget, b"12345", at=0, size=10)
    piece(widget, b"67890", at=6, size=10)
    assert widget.files == []
    assert widget.refused == ["a.bin", "a.bin"]
    assert heard.of("taken") == [False, True, False]
    assert widget._arriving == {}


def test_the_script_is_one_that_javascript_understands() -> None:
    node = require_program("node")
    source = script("painted")
    subprocess.run([node, "--input-type=module", "--check"], input=source, text=True, check=True, timeout=30)
