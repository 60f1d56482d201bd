"""Fixtures that start something real, once per session, for the tests that name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.certificates import Certificates
    from tests.support.mailserver import RealMailServer


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return a private certificate authority and the good and bad certificates of a server."""
    from tests.support.certificates import Certificates

    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def _running_mailserver() -> Iterator[RealMailServer]:
    from tests.support.mailserver import RealMailServer

    with RealMailServer() as server:
        yield server


@pytest.fixture
def mailserver(_running_mailserver: RealMailServer) -> RealMailServer:
    """Return a running Postfix and Dovecot with empty mailboxes."""
    _running_mailserver.clear()
    return _running_mailserver
