"""Network drives are known by what each operating system says about them, which is stood in for here."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from docmail.errors import DocmailError
from docmail.outbox import Outbox, file_systems, schema
from docmail.outbox.file_systems import System, file_system, lockless_option


class Linux(System):
    """Has one drive mounted besides its own."""

    name = "linux"

    def __init__(self, place: str, kind: str, options: str) -> None:
        self.lines = (
            f"1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n2 1 0:50 / {place} rw,relatime - {kind} srv:/x {options}\n"
        )

    def mounts(self) -> str:
        """Return its lines."""
        return self.lines


class Windows(System):
    """Has a network drive Z:."""

    name = "win32"

    def drive_type(self, root: str) -> int:
        """Return DRIVE_REMOTE or DRIVE_FIXED."""
        return 4 if root.startswith("Z") else 3


class Mac(System):
    """Has one file system of this kind."""

    name = "darwin"

    def __init__(self, kind: bytes, flags: int) -> None:
        self.found = bytes(64) + struct.pack("=II16s", flags, 0, kind) + bytes(3000)

    def statfs(self, path: str) -> bytes:
        """Return the struct."""
        assert path
        return self.found


class WindowsFolder:
    """A path of Windows, as far as it is looked at."""

    def __init__(self, text: str) -> None:
        self.text, self.anchor = text, text[:3]

    def __str__(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("folder", "kind"),
    [(r"Z:\docmail", "network"), (r"C:\docmail", ""), (r"\\server\share\docmail", "network")],
)
def test_windows_calls_a_network_drive_remote(folder: str, kind: str) -> None:
    assert file_system(WindowsFolder(folder), Windows()) == kind  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "flags", "found"),
    [(b"apfs", 0x1000, "apfs"), (b"smbfs", 0, "smbfs"), (b"nfs", 0, "nfs"), (b"acme", 0, "network")],
)
def test_macos_says_what_is_not_local(kind: bytes, flags: int, found: str) -> None:
    assert file_system(Path("/x"), Mac(kind, flags)) == found


@pytest.mark.parametrize("kind", ["network", "smbfs", "afpfs", "nfs"])
def test_the_write_ahead_log_is_for_no_network_drive(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "file_system", lambda _folder: kind)
    with Outbox(tmp_path) as outbox:
        assert outbox._store.file.value("PRAGMA journal_mode") == "delete"


@pytest.mark.parametrize(
    ("kind", "options", "option"),
    [
        ("nfs", "rw,vers=3,nolock,local_lock=all", "nolock"),
        ("nfs", "rw,vers=3,local_lock=none", ""),
        ("nfs4", "rw,vers=4.2,local_lock=none", ""),
        ("nfs", "rw,vers=3,local_lock=posix", "local_lock=posix"),
        ("cifs", "rw,nobrl", "nobrl"),
        ("cifs", "rw", ""),
        ("ext4", "rw,nolock", ""),
    ],
)
def test_a_drive_that_keeps_locks_to_one_computer_is_refused_with_the_option(
    kind: str, options: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = Linux(os.path.realpath(tmp_path), kind, options)
    assert lockless_option(tmp_path / "x", system) == option
    assert lockless_option(Path("/elsewhere"), system) == ""
    monkeypatch.setattr(file_systems, "System", lambda: system)
    if not option:
        Outbox(tmp_path / "x").close()
        return
    with pytest.raises(DocmailError, match=rf"mounted with {option}: two computers.*without that option.*DOCMAIL_HOME"):
        Outbox(tmp_path / "x")


def test_what_is_promised_to_outlive_a_power_cut_is_synchronised_in_full(tmp_path: Path) -> None:
    """On macOS, a plain fsync() leaves it in the memory of the drive."""
    with Outbox(tmp_path) as outbox:
        for name in ("fullfsync", "checkpoint_fullfsync"):
            assert outbox._store.file.value(f"PRAGMA {name}") == 1
