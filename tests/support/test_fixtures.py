"""Every test has a home, an environment and a keyring of its own, and skips only where that is allowed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import keyring
import pytest
from keyring.errors import NoKeyringError, PasswordDeleteError

if TYPE_CHECKING:
    from tests.support.certificates import Certificates, ServerCertificate
    from tests.support.memory_keyring import MemoryKeyring


def test_home_is_empty_and_new(home: Path) -> None:
    assert Path.home() == home
    assert os.environ["DOCMAIL_HOME"] == str(home / "docmail")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("turn", [1, 2])
def test_the_keyring_is_empty_in_every_test(memory_keyring: MemoryKeyring, turn: int) -> None:
    assert memory_keyring.data == {}
    keyring.set_password("docmail", "user", f"secret {turn}")
    assert keyring.get_password("docmail", "user") == f"secret {turn}"
    keyring.delete_password("docmail", "user")
    with pytest.raises(PasswordDeleteError):
        keyring.delete_password("docmail", "user")


@pytest.mark.usefixtures("no_keyring")
def test_a_machine_without_a_keyring_can_be_had() -> None:
    with pytest.raises(NoKeyringError):
        keyring.get_password("docmail", "user")


def test_the_developers_surroundings_are_out_of_reach() -> None:
    names = {
        "DOCMAIL_PASSWORD",
        "DOCMAIL_PROFILE",
        "PYTHON_KEYRING_BACKEND",
        "DBUS_SESSION_BUS_ADDRESS",
        "HTTPS_PROXY",
    }
    assert names.isdisjoint(os.environ)


OUTER = """
import pytest
from tests.conftest import pytest_make_collect_report, pytest_runtest_makereport
"""

SKIPPING = """
import pytest
from tests.support.requires import require_program
def test_missing(): require_program("no-such-program")
@pytest.mark.skip(reason="not today")
def test_marked(): pass
def test_inside(): pytest.skip("not now")
@pytest.mark.xfail(strict=True)
def test_expected(): assert False
"""


@pytest.mark.parametrize(
    ("required", "outcomes"),
    # A skip by a mark happens before the test, which pytest calls an error.
    [("0", {"skipped": 3, "xfailed": 1}), ("1", {"failed": 2, "error": 1, "xfailed": 1})],
)
def test_a_skipped_test_fails_when_everything_is_required(
    tmp_path: Path, required: str, outcomes: dict[str, int]
) -> None:
    (tmp_path / "conftest.py").write_text(OUTER)
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    done = inner_pytest(tmp_path, required)
    assert done.returncode == (1 if required == "1" else 0), done.stdout
    assert "no-such-program not found; run: sudo apt-get install -y no-such-program" in done.stdout
    summary = done.stdout.splitlines()[-1]
    for outcome, number in outcomes.items():
        assert f"{number} {outcome}" in summary


def test_a_skipped_module_fails_when_everything_is_required(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(OUTER)
    (tmp_path / "test_module.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    assert inner_pytest(tmp_path, "1").returncode not in {0, 5}


def inner_pytest(folder: Path, required: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of this folder in a pytest of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", str(folder)]
    root = str(Path(__file__).parents[2])
    settings = {"DOCMAIL_REQUIRE_ALL": required, "PYTHONPATH": root, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment = os.environ | settings
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("good", None),
        ("expired", "certificate has expired"),
        ("not_yet_valid", "certificate is not yet valid"),
        ("wrong_host", "Hostname mismatch"),
        ("unknown_authority", "unable to get local issuer certificate"),
        ("self_signed", "self-signed certificate"),
    ],
)
def test_certificates_are_good_or_bad_as_named(certificates: Certificates, kind: str, complaint: str | None) -> None:
    presented: ServerCertificate = getattr(certificates, kind)()
    ours = certificates.client_context()
    if complaint is None:
        assert hashlib.sha256(handshake(presented, ours)).hexdigest() == presented.fingerprint
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
            handshake(presented, ours)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.check_hostname = False
    theirs.verify_mode = ssl.CERT_NONE
    assert hashlib.sha256(handshake(presented, theirs)).hexdigest() == presented.fingerprint


def handshake(presented: ServerCertificate, context: ssl.SSLContext) -> bytes:
    """Shake hands in memory as a client of "localhost"; return the server's certificate (DER)."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = presented.context().wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    certificate = client.getpeercert(binary_form=True)
    assert certificate
    return certificate
