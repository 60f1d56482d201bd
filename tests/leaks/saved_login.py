"""Puts a login into a Chromium profile, as if somebody had let Chromium save it.

It is encrypted as Chromium does on Linux where there is no keyring (`--password-store=basic`, which Playwright sets).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

if TYPE_CHECKING:
    from pathlib import Path

USERNAME = "saved-user"
PASSWORD = "saved-password"

_WHEN = 13_370_000_000_000_000  # microseconds since 1601: some day in 2024


def save_login(profile: Path, origin: str) -> None:
    """Save a login for this origin into a profile that Chromium has used once, and does not use now."""
    with closing(sqlite3.connect(profile / "Default" / "Login Data")) as database:
        values = {
            "origin_url": f"{origin}/",
            "signon_realm": f"{origin}/",
            "username_value": USERNAME,
            "password_value": _encrypted(PASSWORD),
            "date_created": _WHEN,
            "date_last_used": _WHEN,
            "date_password_modified": _WHEN,
            "blacklisted_by_user": 0,
            "scheme": 0,
            "times_used": 1,
        }
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        database.execute(f"INSERT INTO logins ({columns}) VALUES ({marks})", list(values.values()))  # noqa: S608 - ours
        database.commit()


def _encrypted(text: str) -> bytes:
    # The constants stand in Chromium's components/os_crypt: this hides a password from a glance, no more.
    key = PBKDF2HMAC(hashes.SHA1(), 16, b"saltysalt", 1).derive(b"peanuts")  # noqa: S303 - Chromium's choice
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(b" " * 16)).encryptor()
    return b"v10" + encryptor.update(padder.update(text.encode()) + padder.finalize()) + encryptor.finalize()
