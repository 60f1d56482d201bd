"""`python -m docmail` does from a terminal what the notebooks do, and says in a sentence what went wrong."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail import credentials
from docmail.command_line import commands, main
from docmail.command_line.demo import invoice
from docmail.home import user_home
from docmail.sandbox import SANDBOX_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.sandbox import Sandbox


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with docmail.Sandbox() as sandbox:
        sandbox.settings.save()
        yield sandbox


@pytest.fixture
def pdf(tmp_path: Path) -> str:
    path = tmp_path / "Invoice.pdf"
    path.write_bytes(invoice().pdf())
    return str(path)


def run(*arguments: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "docmail", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **changes,
    )


def test_the_demo_shows_what_arrived_and_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    result = run("demo", env=os.environ | {"TMPDIR": str(tmp_path)})
    assert (result.returncode, result.stderr) == (0, "")
    for words in (
        "nothing leaves this computer",
        "Accounts <accounts@example.com>",
        "cfo@example.com",
        "Invoice 2026-118.pdf",
        "1 page",
        "make lab",
    ):
        assert words in result.stdout
    assert list(tmp_path.iterdir()) == []
    assert list(home.iterdir()) == []


def test_a_terminal_without_unicode_shows_what_it_can(pdf: str) -> None:
    environment = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    with docmail.Sandbox.shared():
        assert main(["send", pdf, "--to", "a@example.com", "--subject", "Grüße", "--profile", "sandbox"]) == 0
        result = run("outbox", "list", "--profile", "sandbox", env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("a@example.com: Gr??e\n")


def test_a_reader_that_stops_early_causes_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "docmail", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(60) == 1


def test_the_invoice_is_one_page_and_adds_up() -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument(invoice().pdf())
    try:
        assert len(document) == 1
        text = document[0].get_textpage().get_text_bounded()
    finally:
        document.close()
    for words in ("Invoice", "2026-118", "3,720.00", "744.00", "4,464.00"):
        assert words in text


def test_a_file_is_sent(box: Sandbox, pdf: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", pdf, "--to", "cfo@example.com; a@example.com", "--subject", "Q3", "--body", "Hello"]) == 0
    assert capsys.readouterr().out == "Sent to cfo@example.com, a@example.com.\n"
    assert box.inbox[0].subject == "Q3"
    assert box.inbox[0].attachments[0].name == "Invoice.pdf"


def test_a_file_with_a_key_is_sent_once(box: Sandbox, pdf: str, capsys: pytest.CaptureFixture[str]) -> None:
    for _time in range(2):
        assert main(["send", pdf, "--to", "cfo@example.com", "--subject", "Q3", "--key", "Q3"]) == 0
    assert "not sent again" in capsys.readouterr().out
    assert len(box.inbox) == 1


def test_a_refused_recipient_is_named_and_fails_the_command(
    box: Sandbox, pdf: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send", pdf, "--to", "cfo@example.com, nobody@example.com", "--subject", "Q3"]) == 1
    assert "nobody@example.com — 550 5.1.1" in capsys.readouterr().err
    assert len(box.inbox) == 1


def test_an_error_is_a_sentence_without_a_traceback(pdf: str) -> None:
    result = run("send", pdf, "--to", "cfo@example.com", "--subject", "Q3")
    assert result.returncode == 1
    assert result.stderr.startswith("No email settings are saved yet.")
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("box")
def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "nowhere.pdf", "--to", "cfo@example.com", "--subject", "Q3"]) == 1
    assert "nowhere.pdf" in capsys.readouterr().err


@pytest.mark.usefixtures("box")
def test_the_test_email_is_told_phase_by_phase(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert [line.split()[1] for line in lines[:-1]][-1] == "data"
    assert lines[-1] == "The test email was sent."


def test_a_failed_test_names_the_phase_and_what_to_do(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    credentials.set(box.settings, "wrong", remember=False)
    assert main(["test", "--to", "cfo@example.com"]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1].startswith("FAILED auth")
    assert "Username and Password" in shown.err
    assert "wrong" not in shown.out + shown.err


def test_a_profile_can_be_named(box: Sandbox, pdf: str, capsys: pytest.CaptureFixture[str]) -> None:
    box.settings_for("tls").save("direct")
    assert main(["test", "--profile", "direct"]) == 0
    assert main(["send", pdf, "--to", "a@example.com", "--subject", "Q3", "--profile", "direct"]) == 0
    assert main(["outbox", "list", "--profile", "direct"]) == 0
    assert "a@example.com: Q3" in capsys.readouterr().out
    assert main(["test", "--profile", "other"]) == 1
    assert "other" in capsys.readouterr().err


def test_an_empty_list_says_so_beside_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["outbox", "list"]) == 0
    assert capsys.readouterr() == ("", "The outbox is empty.\n")
    assert main(["outbox", "list", "--batch", "novenber"]) == 0
    assert "holds no mail of the batch “novenber”" in capsys.readouterr().err


@pytest.mark.usefixtures("box")
def test_the_outbox_lists_what_was_sent(pdf: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["outbox", "list"]) == 0
    main(["send", pdf, "--to", "a@example.com", "--subject", "Q3"])
    main(["send", pdf, "--to", "nobody@example.com", "--subject", "Q4"])
    capsys.readouterr()
    assert main(["outbox", "list"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["1", "sent"]
    assert first.endswith("a@example.com: Q3")
    assert second.split()[:2] == ["2", "refused"]
    assert not (user_home().outbox).exists()


def test_the_shared_sandbox_runs_until_interrupted_and_tells_of_each_mail(pdf: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "docmail", "sandbox"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = [process.stdout.readline() for _line in range(4)]
        assert "Ctrl-C ends it" in said[0]
        assert "docmail.Sandbox.shared()" in said[2]
        result = run("send", pdf, "--to", "a@example.com", "--subject", "Grüße", "--profile", "sandbox")
        assert (result.returncode, result.stderr) == (0, "")
        assert "a@example.com: Grüße, Invoice.pdf" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_second_sandbox_command_looks_on_and_takes_over() -> None:
    with docmail.Sandbox.shared() as host:
        port = host.port
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "docmail", "sandbox"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            assert "watches until" in process.stdout.readline()
            host.close()
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                time.sleep(0.1)
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            else:
                pytest.fail("nobody took over")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0


def test_the_outbox_is_run_and_retried_without_a_notebook(
    box: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As cron and papermill do; the status says whether somebody has to look."""
    outbox = docmail.Outbox()
    names = ["a@example.com", "b@example.com", "nobody@example.com"]
    messages = [docmail.Message(name, f"For {name[0]}", key=name) for name in names]
    outbox.add_all(messages, batch="november", settings=box.settings)
    assert main(["outbox", "run", "--batch", "december"]) == 0
    assert "no mail of the batch “december”; check its name" in capsys.readouterr().out
    assert main(["outbox", "run", "--batch", "november", "--limit", "1", "--rate", "100/s"]) == 0
    assert capsys.readouterr().out == "2 queued, 1 sent\n1 copy is in the Sent folder.\n"
    assert main(["outbox", "run"]) == 1
    assert capsys.readouterr().out == "1 refused, 2 sent\n1 copy is in the Sent folder.\n"
    assert main(["outbox", "retry"]) == 0
    assert capsys.readouterr().out == "1 mail waits again.\n"
    assert main(["outbox", "run"]) == 1
    assert capsys.readouterr().out == "1 refused, 2 sent\n"
    assert main(["outbox", "run"]) == 0, "what was said once is not said every night"
    assert capsys.readouterr().out == "1 refused, 2 sent\n"
    assert main(["outbox", "list", "--batch", "november"]) == 0
    listed = capsys.readouterr().out
    assert listed.count("sent") == 2
    assert re.search("refused .*For n -- .*550", listed), "what needs a person is shown with what is known"
    monkeypatch.setenv("DOCMAIL_PROFILE", "default")
    outbox.add_all([docmail.Message("d@example.com", "x", key="d")], batch="d", settings=box.settings)
    box.answer("auth", "535 5.7.8 Wrong")
    assert main(["outbox", "run"]) == 1
    assert "does not accept" in capsys.readouterr().err


def test_a_run_that_is_ended_politely_lets_the_mail_on_its_way_arrive(box: Sandbox) -> None:
    """As systemd does, and a computer that shuts down."""
    settings = replace(box.settings, home=user_home())
    settings.save("cron")
    outbox = docmail.Outbox(user_home().outbox)
    messages = [docmail.Message("a@example.com", f"No. {each}", key=str(each)) for each in range(3)]
    outbox.add_all(messages, batch="b", settings=settings)
    box.delay("end", 0.7)
    environment = {**os.environ, "DOCMAIL_PROFILE": "cron", "DOCMAIL_PASSWORD": SANDBOX_PASSWORD}
    program = subprocess.Popen([sys.executable, "-m", "docmail", "outbox", "run"], env=environment)
    end = time.monotonic() + 20
    while not any(row.state == "sending" for row in outbox):
        assert time.monotonic() < end, "it does not begin"
        time.sleep(0.01)
    program.terminate()
    assert program.wait(20) == 130
    states = [row.state for row in outbox]
    assert set(states) == {"sent", "queued"}
    assert [*map(str, states)].count("sent") == len(box.inbox)


@pytest.mark.parametrize("arguments", [["send"], ["outbox"], ["fly"]])
def test_a_wrong_command_line_shows_how_to_use_it(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m docmail" in capsys.readouterr().err


def test_every_command_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("demo", "sandbox", "test", "send", "outbox"))


@pytest.mark.parametrize(
    "called", [[str(Path(sys.executable).with_name("docmail"))], [sys.executable, "-m", "docmail"]]
)
def test_alone_it_says_what_it_can_do_under_the_name_it_was_called_by(called: list[str]) -> None:
    done = subprocess.run(called, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    name = " ".join(["python", *called[1:]]) if called[1:] else "docmail"
    assert done.stdout.startswith(f"usage: {name} ")
    assert f"“{name} COMMAND --help” explains a command." in done.stdout
    assert all(command in done.stdout for command in ("demo", "sandbox", "test", "send", "outbox"))


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"docmail {docmail.__version__}\n"


# --- hints for a terminal ---


def test_hints_speak_of_no_form_and_no_kernel(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for arguments in (["test"], ["outbox", "run", "--profile", "x"]):
        assert main(arguments) == 1
    settings = docmail.Settings("A <a@example.com>", docmail.SmtpServer("127.0.0.1", username="a@example.com"))
    settings.save()
    assert main(["test"]) == 1
    monkeypatch.setenv("DOCMAIL_PASSWORD_FILE", str(tmp_path / "none"))
    assert main(["test"]) == 1
    said = "".join(capsys.readouterr())
    assert said.count("DOCMAIL_PASSWORD_FILE") >= 2
    for word in ("SettingsForm", "kernel", "press", "the form", "notebook"):
        assert word not in said, said
    with pytest.raises(docmail.errors.SettingsError, match="SettingsForm"):
        docmail.Settings.load("x")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGBREAK"])
def test_a_signal_that_asks_a_run_to_end_is_taken_as_ctrl_c(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGBREAK is what Windows sends; SIGUSR1 stands in for it here."""
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), commands._ended_politely():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


# --- the organisation's file ---


def test_an_administrator_sees_what_the_file_fixes_or_what_is_wrong_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    assert main(["organisation"]) == 1
    assert str(tmp_path / "docmail" / "organisation.toml") in capsys.readouterr().out
    path = tmp_path / "organisation.toml"
    path.write_text(
        'copy_to = "archive@example.com"\n[[provider]]\ndomains = ["example.com"]\nserver = "mail.example.com"\n'
        '[microsoft]\nclient_id = "11111111"\ntenant = "example.com"\n',
        "utf-8",
    )
    monkeypatch.setenv("DOCMAIL_ORGANISATION", str(path))
    assert main(["organisation"]) == 0
    said = capsys.readouterr().out
    for words in (str(path), "example.com", "mail.example.com, 587, starttls", "11111111", "archive@example.com"):
        assert words in said
    path.write_text("copy = 5\n", "utf-8")
    assert main(["organisation"]) == 1
    assert "line 1: “copy”: docmail does not know this; “copy_to” may be meant." in capsys.readouterr().err


def test_a_bad_file_of_the_organisation_is_said_once_and_the_mail_goes(
    box: Sandbox, pdf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "organisation.toml"
    path.write_text("copy = 5\n", "utf-8")
    monkeypatch.setenv("DOCMAIL_ORGANISATION", str(path))
    replace(box.settings, home=user_home()).save()
    monkeypatch.setattr("docmail.home._rehearsals", [])
    assert main(["send", pdf, "--to", "cfo@example.com", "--subject", "Q3"]) == 0
    assert capsys.readouterr().err.count("line 1: “copy”") == 1
    assert len(box.inbox) == 1
    monkeypatch.undo()
