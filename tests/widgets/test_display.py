from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import docmail
from docmail.diagnosis import Check, Diagnosis
from docmail.errors import Kind
from docmail.replies import Reply
from docmail.settings import HttpServer, Security, Settings, SmtpServer
from docmail.transport import SendResult
from docmail.widgets.display import register

SETTINGS = Settings("Accounts", SmtpServer("smtp.example.com", username="accounts@example.com"))


@pytest.fixture(scope="module")
def shell() -> Any:
    """Return an IPython in which docmail's displays are registered."""
    made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    register(made)
    return made


def displayed(shell: Any, value: object) -> dict[str, Any]:
    data, _metadata = shell.display_formatter.format(value)
    return dict(data)


def test_a_document_is_shown_as_a_live_view(shell: Any) -> None:
    data = displayed(shell, docmail.Document.of(b"a,b", name="table.csv"))
    assert "application/vnd.jupyter.widget-view+json" in data


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (SETTINGS, ["smtp.example.com:587", "STARTTLS", "complete"]),
        (Settings("A", SmtpServer("", 25, Security.NONE)), ["NONE", "2 problems"]),
        (Settings("A", HttpServer("h.example.com"), reply_to=("r@example.com",)), ["HTTP", "h.example.com"]),
        (
            SendResult("<1@x>", ("a@example.com",), {"b@example.com": Reply(550, "5.1.1", "<b>no b@example.com")}),
            ["Sent to 1 recipient.", "refused", "550 5.1.1 &lt;b&gt;no"],
        ),
        (SendResult("<1@x>", ("a@example.com",), repeated=True), ["not sent again"]),
        (
            Diagnosis(
                (
                    Check("dns", ok=True, text="found", seconds=0.01),
                    Check(
                        "auth", ok=False, text="<b>a@example.com is refused.", seconds=1, kind=Kind.AUTH, hint="Check."
                    ),
                )
            ),
            ["was not sent", "sign-in", "is refused. Check.", "&lt;b&gt;"],
        ),
    ],
)
def test_an_object_says_what_matters_in_a_line_and_names_no_address(
    shell: Any, value: object, words: list[str]
) -> None:
    data = displayed(shell, value)
    assert set(data) == {"text/html", "text/plain"}
    for word in words:
        assert word in data["text/html"]
    stored = data["text/html"] + data["text/plain"]
    assert "example.com" not in stored.replace("smtp.example.com", "").replace("h.example.com", "")
    assert "<b>no" not in stored


def test_an_outbox_is_shown_by_its_counts(shell: Any, box: docmail.Sandbox) -> None:
    assert "empty" in displayed(shell, docmail.Outbox())["text/html"]
    docmail.send(docmail.Document.of(b"a,b", name="t.csv"), to="a@example.com", subject="S", settings=box.settings)
    data = displayed(shell, docmail.Outbox())
    assert "1 sent" in data["text/html"]
    assert "@" not in data["text/html"] + data["text/plain"]


def test_a_received_mail_is_shown_as_text_whatever_it_contains(shell: Any, box: docmail.Sandbox) -> None:
    docmail.send(
        docmail.Document.of(b"a,b", name="t.csv"),
        to="a@example.com",
        subject="<b>S",
        body="<script>alert(1)</script>",
        settings=box.settings,
    )
    data = displayed(shell, box.inbox[0])
    for words in ("&lt;b&gt;S", "&lt;script&gt;", "t.csv (3 bytes)", "a@example.com"):
        assert words in data["text/html"]
    listed = displayed(shell, box.inbox)["text/html"]
    assert "1 mail" in listed
    assert "&lt;b&gt;S" in listed
    assert "@" not in listed


def test_registering_loads_nothing() -> None:
    code = (
        "import sys\n"
        "class Formatter:\n    def for_type_by_name(self, *args): pass\n"
        "class Shell: pass\n"
        "shell = Shell(); shell.display_formatter = Shell()\n"
        "shell.display_formatter.mimebundle_formatter = Formatter()\n"
        "from docmail.widgets.display import register\nregister(shell)\n"
        "heavy = ('ipywidgets', 'anywidget', 'mistune', 'pypdfium2', 'keyring')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
