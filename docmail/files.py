"""Writes files that are never seen half written, and names that outlive a power cut."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, *pieces: bytes, durable: bool = False) -> None:
    """Write a file whole or not at all, readable by its owner only; `durable` waits until the disk has it."""
    # mkstemp makes the file with mode 0600; the replace is atomic within one folder.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sync_folder(folder: Path | str) -> None:
    """Make new names in a folder durable, where folders can be synchronised (not on Windows)."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
