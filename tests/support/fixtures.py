"""Fixtures that start something real for the tests that name them, most of them once per session."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import pytest

from tests.support.requires import require_program

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from docmail.sandbox import Sandbox
    from docmail.sandbox.graph_drafts import Drafts
    from tests.support.certificates import Certificates
    from tests.support.jupyter import JupyterServer
    from tests.support.lab import LabPage, LabServer
    from tests.support.mailserver import RealMailServer
    from tests.support.nameserver import NameServer
    from tests.support.notebook7 import Notebook7Page, Notebook7Server
    from tests.support.voila import VoilaPage, VoilaServer

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

_FAILED = pytest.StashKey[bool]()

Server = TypeVar("Server", bound="JupyterServer")
Window = TypeVar("Window", bound="LabPage")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know that their test has failed."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return a private certificate authority and the good and bad certificates of a server."""
    from tests.support.certificates import Certificates

    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """Return an open sandbox, a new one for each test."""
    from docmail.sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def drafts(monkeypatch: pytest.MonkeyPatch) -> Drafts:
    """Return the drafts that `service` keeps as Microsoft Graph."""
    from docmail.sandbox import http_server
    from docmail.sandbox.graph_drafts import Drafts

    kept = Drafts(50_000_000)
    monkeypatch.setattr(http_server, "Drafts", lambda _limit: kept)
    return kept


@pytest.fixture
def service(drafts: Drafts, box: Sandbox) -> Sandbox:  # noqa: ARG001 - it is opened with them
    """Return a sandbox with these drafts."""
    return box


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


@pytest.fixture
def nameserver(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """Return a running name server, the only one that `docmail.diagnosis` reaches; its database is unreachable."""
    from docmail.diagnosis import autoconfig, records
    from tests.support.nameserver import NameServer

    with NameServer() as server:
        monkeypatch.setattr(autoconfig, "_resolver", server.resolver)
        monkeypatch.setattr(records, "resolver", server.resolver)
        records.forget()  # another test's server may have had this port
        monkeypatch.setattr(autoconfig, "_DATABASE", "https://127.0.0.1:1/")
        yield server


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Let pytest-playwright start Debian's Chromium, so that nobody needs to download a browser."""
    from tests.support.lab import CHROMIUM_ARGS

    return {**browser_type_launch_args, "executable_path": require_program("chromium"), "args": CHROMIUM_ARGS}


@pytest.fixture(scope="session")
def kept_context(browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[BrowserContext]:
    """Return a session of the browser that keeps the front end's scripts between tests.

    Fetching and compiling them anew takes half of the time in which a notebook opens.
    """
    with browser.new_context(**browser_context_args) as context:
        yield context


@pytest.fixture
def page(kept_context: BrowserContext) -> Iterator[Page]:
    """Return a new window; what its page stores in the browser goes with it."""
    page = kept_context.new_page()
    yield page
    if page.url.startswith("http"):
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
        stored = {"origin": origin, "storageTypes": "cookies,local_storage,indexeddb,service_workers"}
        kept_context.new_cdp_session(page).send("Storage.clearDataForOrigin", stored)
    page.close()


def _serving(kind: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run such a server; its folder holds a copy of the notebooks, its home is its own."""
    require_program("chromium")  # before two seconds are spent on a server that no browser will visit
    folder = kind.name.lower().replace(" ", "-")
    root = tmp_path_factory.mktemp(folder)
    if NOTEBOOKS.is_dir():
        shutil.copytree(NOTEBOOKS, root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    server = kind(root, tmp_path_factory.mktemp(f"{folder}-home"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """Return a running JupyterLab; its folder holds a copy of the notebooks, its home is its own."""
    from tests.support.lab import LabServer

    yield from _serving(LabServer, tmp_path_factory)


@pytest.fixture(scope="session")
def _lab_windows() -> list[Page]:
    return []


@pytest.fixture
def lab(
    lab_server: LabServer, kept_context: BrowserContext, _lab_windows: list[Page], request: pytest.FixtureRequest
) -> Iterator[LabPage]:
    """Return a browser window for notebooks; the kernel of the last one ends with the test.

    The next test uses the same window, unless this one fails: JupyterLab takes five seconds to load.
    """
    from tests.support.lab import LabPage

    for saved in (lab_server.home / "docmail").rglob("settings.json"):
        saved.unlink()  # an empty form is empty whichever test came before
    window = LabPage(_lab_windows.pop() if _lab_windows else kept_context.new_page(), lab_server)
    yield window
    kept_context.clear_permissions()
    if window.clear() and not request.node.stash.get(_FAILED, False):
        _lab_windows.append(window.page)
    else:
        window.page.close()


@pytest.fixture(scope="session")
def notebook7_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook7Server]:
    """Return a running Notebook 7; its folder holds a copy of the notebooks, its home is its own."""
    from tests.support.notebook7 import Notebook7Server

    yield from _serving(Notebook7Server, tmp_path_factory)


@pytest.fixture
def notebook7(notebook7_server: Notebook7Server, page: Page) -> Iterator[Notebook7Page]:
    """Return a browser window for notebooks; the kernel of the last one ends with the test."""
    from tests.support.notebook7 import Notebook7Page

    yield from _window(Notebook7Page(page, notebook7_server))


@pytest.fixture(scope="session")
def voila_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoilaServer]:
    """Return a running Voilà; its folder holds a copy of the notebooks, its home is its own."""
    from tests.support.voila import VoilaServer

    yield from _serving(VoilaServer, tmp_path_factory)


@pytest.fixture
def voila(voila_server: VoilaServer, page: Page) -> VoilaPage:
    """Return a browser window for what notebooks show."""
    from tests.support.voila import VoilaPage

    return VoilaPage(page, voila_server)


def _window(window: Window) -> Iterator[Window]:
    yield window
    if window.page.url.startswith(window.server.url):
        window.shutdown_kernel()
