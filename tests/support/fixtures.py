"""Fixtures that start something real, once per session, for the tests that name them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.requires import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.support.certificates import Certificates
    from tests.support.lab import LabPage, LabServer
    from tests.support.mailserver import RealMailServer

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


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


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Let pytest-playwright start Debian's Chromium, so that nobody needs to download a browser."""
    from tests.support.lab import CHROMIUM_ARGS

    return {**browser_type_launch_args, "executable_path": require_program("chromium"), "args": CHROMIUM_ARGS}


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """Return a running JupyterLab; its folder holds a copy of the notebooks, its home is its own."""
    require_program("chromium")  # before two seconds are spent on a server that no browser will visit
    from tests.support.lab import LabServer

    root = tmp_path_factory.mktemp("lab")
    if NOTEBOOKS.is_dir():
        shutil.copytree(NOTEBOOKS, root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    server = LabServer(root, tmp_path_factory.mktemp("lab-home"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def lab(lab_server: LabServer, page: Page) -> Iterator[LabPage]:
    """Return a browser window for notebooks; the kernel of the last one ends with the test."""
    from tests.support.lab import LabPage

    window = LabPage(page, lab_server)
    yield window
    if page.url.startswith(lab_server.url):
        window.shutdown_kernel()
