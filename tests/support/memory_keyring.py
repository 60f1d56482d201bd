"""A keyring that lives as long as one test."""

from __future__ import annotations

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class MemoryKeyring(KeyringBackend):
    """Keeps passwords in `data`, keyed by (service, username), where a test can look at them."""

    # keyring considers backends of priority 1 and more; this one is only ever set by a fixture.
    priority = -1

    def __init__(self) -> None:
        super().__init__()
        self.data: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """Return what is stored, or None."""
        return self.data.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store it, replacing what was there."""
        self.data[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Remove it, or raise keyring's own error, as real backends do."""
        if self.data.pop((service, username), None) is None:
            message = "not found"
            raise PasswordDeleteError(message)
