"""Several notebooks share one sandbox: one hosts it, the others join, and the next one hosts when it is gone."""

from __future__ import annotations

import os
import signal
import smtplib
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docmail import Sandbox, Settings, credentials
from docmail import home as homes
from docmail.errors import CredentialError, SettingsError
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.secret import Secret
from docmail.settings import SmtpServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = """
import sys
from docmail import Sandbox
box = Sandbox.shared()
print(box.is_host, *(box.settings_for(way).account.port for way in ("starttls", "tls", "form")), flush=True)
sys.stdin.read()
box.close()
"""


@contextmanager
def other_notebook(code: str = HOST) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.communicate("", timeout=20)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def says(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def send(box: Sandbox, to: str = "cfo@example.com") -> None:
    with smtplib.SMTP(box.host, box.port, timeout=10) as client:
        client.starttls(context=ssl.create_default_context(cafile=box.ca_file))
        client.login("accounts@example.com", SANDBOX_PASSWORD)
        client.sendmail("accounts@example.com", [to], b"Subject: Q3\r\n\r\nAttached.\r\n")


@pytest.fixture(autouse=True)
def _closed_at_the_end() -> Iterator[None]:
    threads = set(threading.enumerate())
    yield
    Sandbox.shared().close()
    assert set(threading.enumerate()) == threads
    assert homes.current() == homes.user_home()


def test_the_first_notebook_hosts_and_the_others_join() -> None:
    with other_notebook() as host:
        is_host, port, tls_port, http_port = says(host)
        assert is_host == "True"
        with Sandbox.shared() as box:
            assert not box.is_host
            ways = ("starttls", "tls", "form")
            assert [str(box.settings_for(way).account.port) for way in ways] == [port, tls_port, http_port]
            assert homes.current() == box.settings.home
            assert credentials.get(box.settings) == Secret(SANDBOX_PASSWORD)
            send(box)
            assert box.inbox.wait()[0].subject == "Q3"
            assert repr(box) == f"<Sandbox 127.0.0.1:{port}, 1 mail>"
        # Leaving does not close it.
        with other_notebook() as third:
            assert says(third)[0] == "False"


def test_a_joiner_programs_failures_in_the_host() -> None:
    with other_notebook() as host:
        says(host)
        box = Sandbox.shared()
        box.answer("rcpt", "550 5.7.1 Not you", recipient="cfo@example.com")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            send(box)
        box.reset()
        send(box)
        assert len(box.inbox) == 1
        box.inbox.clear()
        assert len(box.inbox) == 0


def test_when_the_host_is_killed_the_next_one_hosts_with_the_same_ports_and_mails() -> None:
    with other_notebook() as host:
        _is_host, port, _tls, _http = says(host)
        box = Sandbox.shared()
        before = box.ca_file.read_bytes()
        send(box)
        os.kill(host.pid, signal.SIGKILL)
        host.wait(10)
        with pytest.raises(SettingsError, match="does not answer"):
            box.reset()
        box = Sandbox.shared()
        assert box.is_host
        assert (str(box.port), box.ca_file.read_bytes()) == (port, before)
        send(box)
        assert len(box.inbox) == 2
        assert homes.current() == box.settings.home


def test_a_cell_run_again_gets_the_same_sandbox() -> None:
    box = Sandbox.shared()
    assert Sandbox.shared() is box
    box.close()
    again = Sandbox.shared()
    assert again is not box
    assert again.is_host


def test_several_that_start_at_the_same_moment_agree_on_one_host() -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        notebooks = [stack.enter_context(other_notebook()) for _number in range(4)]
        answers = [says(notebook) for notebook in notebooks]
        assert sorted(answer[0] for answer in answers) == ["False", "False", "False", "True"]
        assert len({tuple(answer[1:]) for answer in answers}) == 1


def test_a_notebook_that_opens_nothing_finds_its_settings_and_password() -> None:
    with other_notebook() as host:
        _is_host, port, _tls, _http = says(host)
        settings = Settings.load("sandbox")
        assert str(settings.account.port) == port
        assert settings.home is not None
        assert settings.home.rehearsal
        assert credentials.get(settings) == Secret(SANDBOX_PASSWORD)
    with pytest.raises(SettingsError):
        Settings.load()


SEND = 'send(b"%PDF-1.4 %%EOF", to="cfo@example.com", subject="Q3")'
COMMAND = ["-m", "docmail", "send", "q3.pdf", "--to", "cfo@example.com", "--subject", "Q3"]


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["-c", f"from docmail import send; {SEND}"], {"DOCMAIL_PROFILE": "sandbox"}),
        (["-c", f"from docmail.outbox import send; {SEND}"], {"DOCMAIL_PROFILE": "sandbox"}),
        (COMMAND, {"DOCMAIL_PROFILE": "sandbox"}),
        ([*COMMAND, "--profile", "sandbox"], {}),
    ],
    ids=["script", "script that names a module", "command", "command with --profile"],
)
def test_a_program_that_only_names_the_profile_signs_in_at_the_shared_sandbox(
    arguments: list[str], variables: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "q3.pdf").write_bytes(b"%PDF-1.4 %%EOF")
    with other_notebook() as host:
        says(host)
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        with Sandbox.shared() as box:
            assert [mail.subject for mail in box.inbox] == ["Q3"]


@pytest.mark.usefixtures("memory_keyring")
def test_the_password_of_the_shared_sandbox_is_lent_for_its_own_account_alone() -> None:
    with Sandbox.shared():
        pass  # what it saved stays, and nothing of it is in this session
    settings = Settings.load("sandbox")
    assert credentials.get(settings) == Secret(SANDBOX_PASSWORD)
    assert isinstance(settings.server, SmtpServer)
    for server in (
        replace(settings.server, host="smtp.example.com"),
        replace(settings.server, port=settings.server.port + 1),
        replace(settings.server, username="other@example.com"),
    ):
        with pytest.raises(CredentialError, match="No password is stored"):
            credentials.get(replace(settings, server=server))
    with pytest.raises(CredentialError, match="No password is stored"):
        credentials.get(replace(settings, home=homes.user_home()))


def test_ports_taken_by_another_program_are_replaced() -> None:
    import socket

    with Sandbox.shared() as box:
        port = box.port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with Sandbox.shared() as box:
            assert box.port != port
            assert Settings.load("sandbox").account.port == box.port
            send(box)


def test_another_home_has_a_shared_sandbox_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Sandbox.shared()
    monkeypatch.setenv("DOCMAIL_HOME", str(tmp_path))
    second = Sandbox.shared()
    assert second.folder == tmp_path / "sandbox"
    assert second.is_host
    assert repr(first) == "<Sandbox, closed>"


def test_the_password_is_in_no_file_of_it() -> None:
    with Sandbox.shared() as box:
        send(box)
        files = [path for path in box.folder.rglob("*") if path.is_file()]
        assert {"settings.json", "server.json", "ca.pem", "server.pem"} <= {path.name for path in files}
        assert not [path for path in files if SANDBOX_PASSWORD.encode() in path.read_bytes()]
        assert not [path for path in files if path.suffix != ".lock" and path.stat().st_mode & 0o077]


def test_a_program_that_ends_without_closing_leaves_neither_threads_nor_folders(tmp_path: Path) -> None:
    code = "from docmail import Sandbox\nbox = Sandbox().start()\nprint(box.folder, flush=True)"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert result.stdout.startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert result.stderr == ""
