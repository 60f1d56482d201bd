"""The rules that are kept in JavaScript, in Node: by themselves, and beside the same rules in Python."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from docmail.presets import services
from docmail.settings import Mailbox, SignIn, implied
from docmail.widgets.parts import scripts
from docmail.widgets.settings import fields
from tests.support.requires import require_program

HERE = Path(__file__).parent
PARTS = Path(scripts.__file__).parent

COMPARED = """
import { readFileSync } from "node:fs";
const { common, follow, rules, cases } = JSON.parse(readFileSync(0, "utf-8"));
const { impliedSecurity, statesOf } = await import(`data:text/javascript,${encodeURIComponent(common)}`);
const found = cases.map((values) => ({
  states: statesOf(rules, values),
  securities: follow.securities.map((rule) => impliedSecurity(values, rule)),
}));
console.log(JSON.stringify(found));
"""


def node(*arguments: str, text: str = "") -> str:
    done = subprocess.run(
        [require_program("node"), *arguments], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_that_the_scripts_share_do_what_they_say() -> None:
    report = node("--test", "--test-reporter=tap", str(HERE / "common.test.mjs"))
    assert re.search(r"(?m)^# pass [1-9]", report), report


def test_the_browser_and_the_kernel_agree_on_what_is_shown_and_which_security_a_port_implies() -> None:
    widgets = fields.widgets_of(fields.rows("default"))
    empty = {name: widget.value for name, widget in widgets.items()}
    together: list[dict[str, list[Any]]] = [
        {"protocol": ["smtp", "http"], "api": [services.FORM, *(service.api for service in services.SERVICES)]},
        {"port": [*fields.PORTS, fields.OTHER], "port_number": ["", "25", "465", "2525"]},
        {"sign_in": list(SignIn), "username": ["", "u1", "a@b.example"], "self_signed": [False, True]},
        {"after_sending": [False, True], "mailbox": [False, True], "mailbox_self_signed": [False, True]},
        {"mailbox_port": ["", "143", "993", "1993"]},
    ]
    cases = [
        empty | dict(zip(choices, each, strict=True))
        for choices in together
        for each in itertools.product(*choices.values())
    ]
    index = {
        name: list(widget._options_values) for name, widget in widgets.items() if hasattr(widget, "_options_values")
    }
    rules = [
        {"state": each.state, "field": each.field, "test": each.test, "value": _index(index, each.field, each.value)}
        for each in fields.RULES
    ]
    seen = [{name: _index(index, name, value) for name, value in case.items()} for case in cases]
    common = (PARTS / "common.js").read_text("utf-8")
    given = json.dumps({"common": common, "follow": fields.FOLLOW, "rules": rules, "cases": seen})
    found = json.loads(node("--input-type=module", "--eval", COMPARED, text=given))
    assert [{state for state, holds in each["states"].items() if holds} for each in found] == [
        fields.states(case) for case in cases
    ]
    ports = [case["port_number"] if case["port"] == fields.OTHER else case["port"] for case in cases]
    assert [index["security"][each["securities"][0]] for each in found] == [implied(int(port or 0)) for port in ports]
    mailboxes = [Mailbox("", int(case["mailbox_port"] or 0)) for case in cases]
    assert [index["mailbox_security"][each["securities"][1]] for each in found] == [
        mailbox.effective_security for mailbox in mailboxes
    ]


def _index(index: dict[str, list[Any]], name: str, value: Any) -> Any:
    return index[name].index(value) if name in index else value


@pytest.mark.parametrize("name", ["controls", "painted", "kernel_gone"])
def test_a_script_is_one_file_with_what_it_shares(name: str) -> None:
    text = scripts.script(name)
    assert "\nimport " not in text
    assert (PARTS / "common.js").read_text("utf-8") in text


@pytest.mark.parametrize("name", ["controls", "painted", "kernel_gone"])
def test_a_script_is_a_module_that_anywidget_can_draw(name: str) -> None:
    given = json.dumps(scripts.script(name))
    code = (
        'import { readFileSync } from "node:fs";'
        'const text = JSON.parse(readFileSync(0, "utf-8"));'
        "const script = await import(`data:text/javascript,${encodeURIComponent(text)}`);"
        "console.log(typeof script.default.render, script.render);"
    )
    assert node("--input-type=module", "--eval", code, text=given) == "function undefined\n"
