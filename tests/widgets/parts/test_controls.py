from __future__ import annotations

import logging
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest
from IPython.core.ultratb import VerboseTB

from docmail.language import _catalogue, language
from docmail.secret import Secret
from docmail.widgets.parts.controls import Actions, Controls, Password, Rule

if TYPE_CHECKING:
    from gettext import NullTranslations


PASSWORD = "correct horse"


class Presses:
    """Remembers what a press handed on."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any], Secret | None]] = []

    def __call__(self, action: str, values: dict[str, Any], secret: Secret | None) -> None:
        """Take a press as a form does."""
        self.all.append((action, values, secret))


def test_a_press_hands_on_the_values_on_the_screen_not_those_the_kernel_has() -> None:
    presses = Presses()
    choice = ipywidgets.ToggleButtons(options=[("one", 1), ("two", 2)])
    actions = Actions([("go", "Go")], presses, fields={"name": ipywidgets.Text("old"), "choice": choice})
    actions._handle_custom_msg({"action": "go", "values": {"name": "new", "choice": 1}}, [])
    assert presses.all == [("go", {"name": "new", "choice": 2}, None)]


@pytest.mark.parametrize("index", [None, 2, -1, "1"])
def test_an_index_that_names_no_choice_leaves_the_choice_as_it_is(index: object) -> None:
    presses = Presses()
    choice = ipywidgets.ToggleButtons(options=[("one", 1), ("two", 2)], value=2)
    actions = Actions([("go", "Go")], presses, fields={"choice": choice})
    actions._handle_custom_msg({"action": "go", "values": {"choice": index}}, [])
    assert presses.all == [("go", {"choice": 2}, None)]


def test_the_password_arrives_as_a_secret_and_nothing_else_holds_it() -> None:
    presses = Presses()
    actions = Actions([("go", "Go")], presses, carries="password")
    message = {"action": "go", "values": {}}
    actions._handle_custom_msg(message, [memoryview(PASSWORD.encode())])
    ((_action, _values, secret),) = presses.all
    assert secret == Secret(PASSWORD)
    assert PASSWORD not in repr((presses.all, message, actions, actions.get_state(), vars(actions)))


def test_a_further_password_comes_among_the_values_as_a_secret() -> None:
    presses = Presses()
    actions = Actions([("go", "Go")], presses, carries="password", carries_too=["other"])
    message = {"action": "go", "values": {}, "secrets": ["other"]}
    actions._handle_custom_msg(message, [memoryview(PASSWORD.encode())])
    assert presses.all == [("go", {"other": Secret(PASSWORD)}, None)]
    assert PASSWORD not in repr((presses.all, actions, actions.get_state(), vars(actions)))


def test_a_password_that_is_no_utf8_does_not_raise() -> None:
    presses = Presses()
    Actions([], presses)._handle_custom_msg({"action": "go"}, [memoryview(b"\xff")])
    assert presses.all[0][2] == Secret("\ufffd")


def test_a_verbose_traceback_through_the_handler_does_not_show_the_password() -> None:
    def fail(_action: str, _values: dict[str, Any], secret: Secret | None) -> None:
        assert secret
        raise ValueError("deliberate")  # noqa: EM101

    actions = Actions([], fail)
    buffers = [memoryview(PASSWORD.encode())]
    try:
        actions._received(actions, {"action": "go", "values": {}}, buffers)
    except ValueError as exc:
        shown = VerboseTB(theme_name="nocolor", include_vars=True).text(type(exc), exc, exc.__traceback__)
        frames = [frame.f_locals for frame, _line in walk_tb(exc.__traceback__)][1:]
    assert PASSWORD not in repr(frames), "no variable holds it, shown or not"
    assert "deliberate" in shown
    assert "secret = •••" in shown
    assert PASSWORD not in shown


def test_what_the_log_says_about_a_press_does_not_show_the_password(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_action: str, _values: dict[str, Any], _secret: Secret | None) -> None:
        raise ValueError("deliberate")  # noqa: EM101

    with caplog.at_level(logging.DEBUG):
        Actions([], fail)._handle_custom_msg({"action": "go"}, [memoryview(PASSWORD.encode())])
    assert PASSWORD not in caplog.text


def test_the_password_part_has_no_trait_that_could_hold_what_was_typed() -> None:
    own = set(Password.class_own_traits()) | set(Controls.class_own_traits())
    assert own == {"_esm", "_css", "part", "words", "label", "placeholder", "form"}


def test_rules_reach_the_front_end_with_the_index_of_a_choice() -> None:
    choice = ipywidgets.ToggleButtons(options=[("one", "a"), ("two", "b")])
    fields = {"choice": choice, "name": ipywidgets.Text()}
    actions = Actions(
        [], Presses(), fields=fields, rules=[Rule("b", "choice", "is", "b"), Rule("n", "name", "lacks", "@")]
    )
    assert [rule["value"] for rule in actions.rules] == [1, "@"]


def test_the_language_of_the_form_holds_for_its_later_presses(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str | None] = []

    def catalogue(code: str | None) -> NullTranslations:
        chosen.append(code)
        return _catalogue(None)

    monkeypatch.setattr("docmail.language._catalogue", catalogue)

    def handle(*_press: object) -> None:
        from docmail.language import _

        chosen.clear()
        _("Send")

    with language("de"):
        actions = Actions([], handle)
    actions._handle_custom_msg({"action": "go"}, [])
    assert chosen == ["de"]
