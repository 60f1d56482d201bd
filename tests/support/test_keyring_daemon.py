"""A real keyring, unlocked and locked, behaves as the other tests take for granted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.keyring_daemon import run_with_keyring

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.keyring_daemon

STORE = "import keyring; keyring.set_password('docmail', 'user', 'pässwörd')"


def test_an_unlocked_keyring_keeps_and_forgets_passwords(tmp_path: Path) -> None:
    done = run_with_keyring(
        f"""{STORE}
print(type(keyring.get_keyring()).__module__, keyring.get_password('docmail', 'user'))
keyring.delete_password('docmail', 'user')
print(keyring.get_password('docmail', 'user'))""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["keyring.backends.SecretService pässwörd", "None"]


def test_a_locked_keyring_refuses_in_keyrings_own_error(tmp_path: Path) -> None:
    done = run_with_keyring(
        """import keyring, keyring.errors
try:
    keyring.get_password('docmail', 'user')
except keyring.errors.KeyringError as error:
    print(type(keyring.get_keyring()).__module__, type(error).__name__)""",
        tmp_path,
        before_locking=STORE,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "keyring.backends.SecretService"
    assert done.stdout.split()[1] in {"KeyringLocked", "InitError"}


def test_each_keyring_is_new(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    assert run_with_keyring(STORE, tmp_path / "first").returncode == 0
    done = run_with_keyring("import keyring; print(keyring.get_password('docmail', 'user'))", tmp_path / "second")
    assert done.stdout.strip() == "None"
