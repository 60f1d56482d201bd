"""The names users rely on: listed once, all there, all documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import docmail

ROOT = Path(__file__).parent.parent

NAMES = {
    "Document",
    "EmailButton",
    "HttpServer",
    "Message",
    "Outbox",
    "Sandbox",
    "Settings",
    "SettingsForm",
    "SmtpServer",
    "credentials",
    "errors",
    "look",
    "mailbox",
    "merge",
    "notebook",
    "presets",
    "reports",
    "send",
    "send_test",
}


def test_the_public_names_are_these_and_no_others() -> None:
    assert set(docmail.__all__) == NAMES
    assert list(docmail.__all__) == sorted(docmail.__all__)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_public_name_is_there_and_says_what_it_does(name: str) -> None:
    assert (getattr(docmail, name).__doc__ or "").strip()
    assert name in dir(docmail)


def test_the_mailbox_of_settings_needs_no_import_of_its_own() -> None:
    code = "import docmail; docmail.mailbox.Mailbox('imap.example.com')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Setting"):
        docmail.Setting  # noqa: B018


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_readme_mentions_each_public_name(name: str) -> None:
    assert re.search(rf"\b{name}\b", (ROOT / "README.md").read_text("utf-8"))
