"""The mail server of the stories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.scripted import USER, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tests.support.certificates import Certificates


@pytest.fixture(scope="session")
def mail_account(certificates: Certificates) -> Iterator[dict[str, Any]]:
    """Return what to fill in for a mail server that takes any password."""
    with ScriptedServer(security="starttls", context=certificates.good().context()) as server:
        yield account_at(server, certificates)


def account_at(server: ScriptedServer, certificates: Certificates) -> dict[str, Any]:
    """Return what `SettingsForm.fill()` takes for an account at this server."""
    return {
        "host": "127.0.0.1",
        "port": server.port,
        "security": "starttls",
        "username": USER,
        "sender": "Accounts",
        "ca_file": str(certificates.ca_file),
    }
