"""Runs a real JupyterHub below a prefix, which starts a JupyterLab for each person who signs in.

Anybody may sign in under any name. All servers run under this user, and each person's has a home of its own, as in a
container with a volume of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tests.support.jupyter import JupyterServer, free_port
from tests.support.lab import LabPage, LabServer
from tests.support.requires import require_npm, require_program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from playwright.sync_api import Page

PREFIX: Final = "/hub-prefix"


class Hub(JupyterServer):
    """A JupyterHub; `env` is what each person's server has in its environment besides, and DOCMAIL_PASSWORD theirs."""

    name = "JupyterHub"
    _status = f"{PREFIX}/hub/health"

    def __init__(self, folder: Path, env: Mapping[str, str], passwords: Mapping[str, str]) -> None:
        super().__init__(folder, folder, env)
        self._passwords = dict(passwords)

    def address(self, notebook: str) -> str:
        """Return where the hub takes somebody who has signed in to a notebook of their own."""
        return f"{self.url}{PREFIX}/hub/user-redirect/lab/tree/{quote(notebook)}"

    def lab_of(self, name: str, page: Page) -> LabPage:
        """Sign in as this person, start their server, and return the window."""
        lab = LabOfPerson(self, name)
        page.goto(f"{self.url}{PREFIX}/hub/login?next={quote(f'{PREFIX}/hub/spawn/{name}')}")
        page.get_by_label("Username:").fill(name)
        page.get_by_label("Password:").fill("anything")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{lab.url}/**", timeout=120_000)
        return LabPage(page, lab)

    def _command(self, port: int) -> list[str]:
        node, proxy = require_program("node"), require_npm("configurable-http-proxy")
        people = str(self.home / "people")
        environment = {
            "JUPYTER_PLATFORM_DIRS": "0",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "LANGUAGE": "en",
            **self._env,
        }
        config = self.home / "jupyterhub_config.py"
        config.write_text(
            f"""\
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = "http://127.0.0.1:{port}{PREFIX}/"
c.JupyterHub.hub_port = {free_port()}
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.cookie_secret_file = {str(self.home / "cookie-secret")!r}
c.JupyterHub.cleanup_servers = True
c.ConfigurableHTTPProxy.command = [{node!r}, {str(proxy / "bin" / "configurable-http-proxy")!r}]
c.ConfigurableHTTPProxy.pid_file = {str(self.home / "proxy.pid")!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{free_port()}"
c.SimpleLocalProcessSpawner.home_dir_template = {people!r} + "/{{username}}"
c.Spawner.cmd = [{sys.executable!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", "--LabApp.expose_app_in_browser=True"]
c.Spawner.start_timeout = c.Spawner.http_timeout = 120
passwords = {self._passwords!r}
c.Spawner.environment = {environment!r} | {{"DOCMAIL_PASSWORD": lambda spawner: passwords[spawner.user.name]}}
""",
            "utf-8",
        )
        return [sys.executable, "-m", "jupyterhub", "-f", str(config)]


class LabOfPerson(LabServer):
    """One person's server, which the hub starts and ends."""

    def __init__(self, hub: Hub, name: str) -> None:
        home = hub.home / "people" / name
        super().__init__(home, home)
        self.url = f"{hub.url}{PREFIX}/user/{name}"
        self.prepare()

    def address(self, notebook: str) -> str:
        """Return where this notebook opens for who has signed in at the hub."""
        return f"{self.url}/lab/tree/{quote(notebook)}?reset"
