"""Asks the operating system on what kind of file system a folder is, and with which locks it is mounted."""

from __future__ import annotations

import ctypes
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NETWORK = "network"
"""The kind of a network drive of which the system says no more."""

_DRIVE_REMOTE = 4  # GetDriveTypeW
_MNT_LOCAL = 0x1000  # f_flags of macOS
_FLAGS, _KIND = 64, slice(72, 88)  # where f_flags and f_fstypename are in its struct statfs with 64-bit inodes
_STATFS_OCTETS = 4096  # more than it has
_LOCKLESS = {
    # man 5 nfs: with these, locks are this computer's own matter.
    "nfs": ("nolock", "local_lock=all", "local_lock=flock", "local_lock=posix"),
    # man 8 mount.cifs: locks of parts of a file, which SQLite needs, are not sent to the server.
    "cifs": ("nobrl",),
}
_LOCKLESS |= {"nfs4": _LOCKLESS["nfs"], "smb3": _LOCKLESS["cifs"]}


class System:
    """What an operating system says about drives; a test stands another one in for it."""

    name = sys.platform

    def mounts(self) -> str:
        """Return what Linux has mounted (man 5 proc, mountinfo)."""
        return Path("/proc/self/mountinfo").read_text("utf-8", "replace")

    def drive_type(self, root: str) -> int:
        """Return what Windows calls the type of the drive with this root."""
        return int(vars(ctypes)["windll"].kernel32.GetDriveTypeW(root))

    def statfs(self, path: str) -> bytes:
        """Return what macOS says about the file system of a path; nothing if it cannot say."""
        found = ctypes.create_string_buffer(_STATFS_OCTETS)
        library: Any = ctypes.CDLL(None)
        # On Intel, the plain name is that of the older struct.
        call = getattr(library, "statfs$INODE64", None) or library.statfs
        return found.raw if call(path.encode(), found) == 0 else b""


@dataclass(frozen=True)
class Mount:
    """The kind of a file system ("nfs4", "" if nobody knows), and the options with which it is mounted."""

    kind: str = ""
    options: frozenset[str] = frozenset()


def file_system(folder: Path, system: System | None = None) -> str:
    """Return the kind of file system that a folder is on ("nfs4"), as far as the system says so."""
    return mount_of(folder, system).kind


def lockless_option(folder: Path, system: System | None = None) -> str:
    """Return the option by which a network drive keeps locks to this computer; empty if it does not."""
    mount = mount_of(folder, system)
    return next((option for option in _LOCKLESS.get(mount.kind, ()) if option in mount.options), "")


def mount_of(folder: Path, system: System | None = None) -> Mount:
    """Return where a folder is mounted, as far as the system says so."""
    system = system or System()
    if str(folder).startswith("\\\\"):  # \\server\share
        return Mount(NETWORK)
    try:
        if system.name == "win32":
            return Mount(NETWORK) if system.drive_type(folder.anchor) == _DRIVE_REMOTE else Mount()
        if system.name == "darwin":
            return _of_statfs(system.statfs(str(folder)))
        return _of_mounts(system.mounts(), folder.resolve())
    except (OSError, AttributeError, KeyError):
        return Mount()  # a system that has none of these


def _of_statfs(found: bytes) -> Mount:
    if len(found) < _KIND.stop:
        return Mount()
    kind = found[_KIND].partition(b"\0")[0].decode("ascii", "replace")
    (flags,) = struct.unpack_from("=I", found, _FLAGS)
    return Mount(kind if flags & _MNT_LOCAL or kind in {"smbfs", "nfs", "afpfs", "webdav"} else NETWORK)


def _of_mounts(lines: str, folder: Path) -> Mount:
    best, mount = "", Mount()
    for line in lines.splitlines():
        # man 5 proc: ... mount point is the fifth field, its options the sixth; the kind, the source and the options of
        # the file system itself follow a lone hyphen.
        before, _hyphen, after = line.partition(" - ")
        fields, (kind, _source, options, *_more) = before.split(" "), [*after.split(" "), "", "", ""]
        # It is written in octets, those of a blank in octal.
        place = fields[4].encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")
        if folder.is_relative_to(place) and len(place) >= len(best):
            best, mount = place, Mount(kind, frozenset([*fields[5].split(","), *options.split(",")]))
    return mount
