"""Gives every test a home, an environment and a keyring of its own, and real servers to those that ask."""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.requires import everything_required

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.support.memory_keyring import MemoryKeyring

pytest_plugins = ["tests.support.fixtures"]

# How long one of hypothesis' texts takes tells what else the machine does; the time limit of each test stays.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

# What of the developer's own surroundings would reach a test: settings, passwords, proxies, the desktop's
# keyring.
_SURROUNDINGS = (
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCMAIL_CLIENT_CERTIFICATE_FILE",
    "DOCMAIL_CLIENT_SECRET",
    "DOCMAIL_CLIENT_SECRET_FILE",
    "DOCMAIL_HOME",
    "DOCMAIL_MAILBOX_PASSWORD",
    "DOCMAIL_MAILBOX_PASSWORD_FILE",
    "DOCMAIL_ORGANISATION",
    "DOCMAIL_PASSWORD",
    "DOCMAIL_PASSWORD_FILE",
    "DOCMAIL_PROFILE",
    "IPYTHONDIR",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_PATH",
    "JUPYTER_RUNTIME_DIR",
    "LANGUAGE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    *("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "SOCKS5_PROXY", "all_proxy", "http_proxy", "https_proxy"),
)


def _stand_in_new_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in _SURROUNDINGS:
        patch.delenv(name, raising=False)
    patch.setenv("LANGUAGE", "en")  # of this machine's language nothing may depend
    patch.setenv("HOME", str(home))
    patch.setenv("DOCMAIL_HOME", str(home / "docmail"))
    patch.setenv("XDG_CONFIG_DIRS", str(home / "etc"))  # where an organisation's file would be


def pytest_configure(config: pytest.Config) -> None:
    """Move the whole session to an empty home.

    Session fixtures and the kernels of nbval start before any test has its own.
    """
    # A shell starts what it runs in the background with interrupts ignored, and every program below inherits that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = tempfile.TemporaryDirectory(prefix="docmail-tests-", ignore_cleanup_errors=True)
    patch = pytest.MonkeyPatch()
    _stand_in_new_home(patch, Path(folder.name))
    # Kernels would find the desktop's keyring by themselves; inside the tests `memory_keyring` takes its
    # place.
    patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    # Kernels and other processes import the docmail that the tests import (`pythonpath` in pyproject.toml).
    patch.setenv("PYTHONPATH", str(config.rootpath), prepend=os.pathsep)
    # Jupyter's new folders; without this every start of a kernel warns.
    patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    config.add_cleanup(patch.undo)
    config.add_cleanup(folder.cleanup)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the empty HOME of this test; DOCMAIL_HOME is the folder `docmail` in it, not made yet."""
    folder = tmp_path_factory.mktemp("home")
    _stand_in_new_home(monkeypatch, folder)
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
    return folder


@pytest.fixture(autouse=True)
def memory_keyring() -> Iterator[MemoryKeyring]:
    """Stand an empty keyring in for the system's; `memory_keyring.data` shows what was stored."""
    # Importing keyring takes 65 ms once. set_keyring() without a get_keyring() before it: that would search
    # all installed backends and talk to D-Bus.
    import keyring
    import keyring.backends.fail

    from tests.support.memory_keyring import MemoryKeyring

    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(keyring.backends.fail.Keyring())


@pytest.fixture
def no_keyring(memory_keyring: MemoryKeyring) -> None:
    """Behave like a machine without a keyring: every access raises NoKeyringError."""
    assert memory_keyring is not None  # requested so that it is undone after this one
    import keyring
    import keyring.backends.fail

    keyring.set_keyring(keyring.backends.fail.Keyring())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run browser tests last: Playwright leaves an event loop running in this thread.

    asyncio.run() would refuse in every test behind it. The longest file begins first: a worker that has none
    left then waits for half a minute, and not for three.
    """
    browser = {item: item.get_closest_marker("browser") is not None for item in items}
    many = Counter(item.path for item in items if browser[item])
    items.sort(key=lambda item: (browser[item], -many[item.path]))
    for item in items:
        if item.get_closest_marker("browser"):
            # A server, kernels and a browser on a small machine sometimes miss a time limit that is none of the test's
            # subject. A second try that succeeds is reported as a rerun, and not as if nothing had been.
            item.add_marker(pytest.mark.flaky(reruns=1))


# With DOCMAIL_REQUIRE_ALL=1 (.ci/run) a skipped test is a failed one: continuous integration has all
# programs, so a skip there is a test that silently stopped running. These hooks stand in tests/, so they see
# no cells of notebooks, where `nbval-skip` is the author's choice. An expected failure (xfail) is reported as
# skipped too, and stays.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one when everything is required."""
    report = yield
    if everything_required() and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped module (importorskip) into a failed one when everything is required."""
    report = yield
    if everything_required() and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{reason}\nDOCMAIL_REQUIRE_ALL=1: a skipped test counts as a failure."
