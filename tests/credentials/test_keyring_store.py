"""A keyring that protects nothing is not used, even if the package keyring has found it; unless somebody named it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keyring
import pytest

from docmail import credentials
from docmail.credentials import store
from docmail.diagnosis import send_test
from docmail.sandbox import Sandbox
from docmail.settings import Settings, SmtpServer
from tests.support.plain_keyring import EncryptedFile, OnlyReads, PlainFile

ME = Settings("Accounts", SmtpServer("smtp.example.com", username="me@example.com"))
PASSWORD = "hunter2-zebra"

PRELUDE = """\
import keyring
from pathlib import Path
from keyring.backend import KeyringBackend
import docmail.credentials.keyring_store
import docmail.credentials.store
from docmail import credentials
from docmail.settings import Settings, SmtpServer
me = Settings("Accounts", SmtpServer("smtp.example.com", username="me@example.com"))
{backends}
"""
SHOWN = f"""\
print(credentials.set(me, "{PASSWORD}"))
credentials.store._session.clear()
print(credentials.where(me), credentials.keyring_in_words(), *Path.home().glob("*File.json"))
"""


@pytest.fixture(autouse=True)
def empty_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_session", {})


def _run(home: Path, backends: str, code: str = SHOWN, **variables: str) -> list[str]:
    """Run code in a process of its own, where keyring has looked for backends and found these."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE.format(backends=backends) + code],
        env={**os.environ, "HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _only(*names: str) -> str:
    """Return code after which keyring finds these backends of `tests.support.plain_keyring`, and no others."""
    return f"""\
import tests.support.plain_keyring as installed
for name, value in list(vars(installed).items()):
    if isinstance(value, type) and issubclass(value, KeyringBackend) and name not in {names!r}:
        KeyringBackend._classes.discard(value)
"""


SECOND = "class SecondFile(installed.PlainFile): pass\n"
PROTECTS = """\
class Protects(KeyringBackend):
    priority = 5
    kept = {}
    def get_password(self, *name): return self.kept.get(name)
    def set_password(self, service, name, password): self.kept[service, name] = password
    def delete_password(self, *name): del self.kept[name]
"""


@pytest.mark.parametrize(
    "backends",
    [
        _only("PlainFile"),
        _only("EncryptedFile"),
        _only("PlainFile") + SECOND,
        _only("PlainFile", "EncryptedFile"),
        _only("PlainFile", "OnlyReads"),
        _only("OnlyReads"),
    ],
    ids=["a file", "an encrypted file", "two files", "both", "a file behind one that reads", "one that reads"],
)
def test_what_keyring_has_found_by_itself_and_does_not_protect_is_no_keyring(backends: str, home: Path) -> None:
    """Keyring takes a plain file where there is nothing better, and calls a chain of two of them its best (10)."""
    assert _run(home, backends) == ["session", "None the system's keyring"]


@pytest.mark.parametrize(
    "backends",
    [_only("PlainFile") + PROTECTS, _only("PlainFile", "OnlyReads") + SECOND + PROTECTS],
    ids=["beside a file", "beside all"],
)
def test_one_that_protects_is_used_whatever_stands_beside_it(backends: str, home: Path) -> None:
    assert _run(home, backends) == ["keyring", "keyring the system's keyring"]


NAMED = "tests.support.plain_keyring.{name}"


def test_a_plain_file_that_a_variable_names_is_meant(home: Path) -> None:
    named = NAMED.format(name="PlainFile")
    where = f"keyring an unencrypted file {home / 'PlainFile.json'}"
    assert _run(home, _only("PlainFile"), PYTHON_KEYRING_BACKEND=named) == ["keyring", where]
    # Beside others that would have been taken without it.
    assert _run(home, _only("PlainFile") + PROTECTS, PYTHON_KEYRING_BACKEND=named) == ["keyring", where]


def test_a_plain_file_that_keyrings_own_settings_name_is_meant(home: Path) -> None:
    folder = Path(_run(home, "", "from keyring.util.platform_ import config_root; print(config_root())")[0])
    folder.mkdir(parents=True)
    (folder / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring={NAMED.format(name='PlainFile')}\n")
    where = f"keyring an unencrypted file {home / 'PlainFile.json'}"
    assert _run(home, _only("PlainFile")) == ["keyring", where]


def test_a_file_that_encrypts_is_not_called_unencrypted(home: Path) -> None:
    named = NAMED.format(name="EncryptedFile")
    assert _run(home, _only("EncryptedFile"), PYTHON_KEYRING_BACKEND=named)[0] == "keyring"
    keyring.set_keyring(EncryptedFile())
    assert credentials.keyring_in_words() == "the system's keyring"


def test_a_chain_that_a_variable_names_names_none_of_its_files(home: Path) -> None:
    chain = "keyring.backends.chainer.ChainerBackend"
    found = _run(home, _only("PlainFile") + SECOND, PYTHON_KEYRING_BACKEND=chain)
    assert found == ["session", "None the system's keyring"]


def test_one_that_keeps_nothing_is_none_also_where_it_is_named(home: Path) -> None:
    null = "keyring.backends.null.Keyring"
    assert _run(home, "", PYTHON_KEYRING_BACKEND=null) == ["session", "None the system's keyring"]


LEFT_OVER = """\
keyring.get_keyring().set_password(credentials.keyring_store.KEYRING_SERVICE, str(me.account), "old-password")
print(credentials.where(me))
{then}
print(Path("PlainFile.json").read_text())
"""


@pytest.mark.parametrize("then", ["credentials.forget(me)", "credentials.set(me, 'new-password')"])
def test_what_an_earlier_docmail_wrote_into_a_plain_file_is_taken_out_of_it(
    then: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    assert _run(home, _only("PlainFile"), LEFT_OVER.format(then=then)) == ["None", "{}"]


def test_a_long_secret_is_kept_in_parts_and_forgotten_where_one_that_only_reads_stands_first() -> None:
    keyring.set_keyring(PlainFile())
    assert credentials.set(ME, "x" * 3000) == "keyring"
    assert len(PlainFile()._kept()) == 4
    credentials.forget(ME)
    assert PlainFile()._kept() == {}
    keyring.set_keyring(OnlyReads())
    assert credentials.set(ME, PASSWORD) == "session"


def test_the_test_email_says_that_the_password_comes_out_of_an_unencrypted_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Sandbox() as box:
        # A rehearsal asks no keyring; an account of one's own at the same server does.
        monkeypatch.setattr(store, "_is_rehearsed", lambda _settings: False)
        keyring.set_keyring(PlainFile())
        secret = credentials.get(box.settings)
        assert secret is not None
        credentials.set(box.settings, secret)
        said = {check.phase: check.text for check in send_test(box.settings).checks}
    assert said["credential"] == "password from an unencrypted file"
