"""Backends of keyring's as other packages bring them: one that writes into a plain file, and one that only reads.

Importing this makes keyring find them, as installing such a package does.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from keyring.backend import KeyringBackend


class PlainFile(KeyringBackend):
    """Keeps passwords in a file, in base64, as keyrings.alt.file.PlaintextKeyring does."""

    priority = 0.5

    @property
    def path(self) -> Path:
        """The file."""
        return Path.home() / f"{type(self).__name__}.json"

    def _kept(self) -> dict[str, str]:
        kept: dict[str, str] = json.loads(self.path.read_text()) if self.path.exists() else {}
        return kept

    def get_password(self, service: str, username: str) -> str | None:
        """Return what is stored, or None."""
        found = self._kept().get(f"{service} {username}")
        return None if found is None else base64.b64decode(found).decode()

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store it, replacing what was there."""
        kept = self._kept() | {f"{service} {username}": base64.b64encode(password.encode()).decode()}
        self.path.write_text(json.dumps(kept))

    def delete_password(self, service: str, username: str) -> None:
        """Remove it."""
        kept = self._kept()
        del kept[f"{service} {username}"]
        self.path.write_text(json.dumps(kept))


class EncryptedFile(PlainFile):
    """Says of itself that it encrypts, as keyrings.alt.file.EncryptedKeyring does."""

    priority = 0.6
    scheme = "[PBKDF2] AES256.CFB"


class OnlyReads(KeyringBackend):
    """Lets pip into a company's index, keeps nothing, and stands before all others."""

    priority = 9.9

    def get_password(self, _service: str, _username: str) -> str | None:
        """Return None: it knows of other services."""
        return None

    def set_password(self, _service: str, _username: str, _password: str) -> None:
        """Refuse, as such backends do."""
        raise NotImplementedError
