"""JupyterLab in a browser behaves as the other tests take for granted."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.support.lab import LabPage, Theme

pytestmark = pytest.mark.browser

FORM = """\
import ipywidgets as w
host = w.Text(description="SMTP server", value="smtp.example.com")
port = w.IntText(description="Port", value=587)
security = w.Dropdown(description="Security", options=["STARTTLS", "SSL/TLS"])
button = w.Button(description="Send test email", button_style="primary")
status = w.HTML()
def test(_):
    status.value = f"<b role='status'>tested {host.value}:{port.value} {security.value}</b>"
button.on_click(test)
w.VBox([host, port, security, button, status])
"""


HOME = (
    "import os, sys, keyring; sys.executable, os.environ['HOME'], os.environ['DOCMAIL_HOME'], "
    "type(keyring.get_keyring()).__module__"
)


def test_a_notebook_is_run_filled_in_read_pictured_and_saved(lab: LabPage, tmp_path: Path) -> None:
    # Of so many cells JupyterLab draws only those that are near.
    path = lab.write("all.ipynb", FORM, "host.value, port.value", HOME, *["print('line\\n' * 30)"] * 20, "6 * 7")
    last = 23
    lab.open("all.ipynb").run_all().viewport(900, 600)
    home = lab.server.home
    expected = (sys.executable, str(home), str(home / "docmail"), "keyring.backends.fail")
    assert re.sub(r"\s+", " ", lab.output_text(2)[0]) == repr(expected)

    form = lab.cell(0)
    form.get_by_label("SMTP server").fill("mail.example.org")
    form.get_by_label("Port").fill("465")
    form.get_by_label("Port").press("Tab")
    form.get_by_label("Security").select_option("SSL/TLS")
    form.get_by_role("button", name="Send test email").click()
    expect(form.get_by_role("status")).to_have_text("tested mail.example.org:465 SSL/TLS")
    lab.run(1)
    assert lab.output_text(1) == ["('mail.example.org', 465)"]

    pictures = {}
    themes: tuple[Theme, ...] = ("dark", "light")
    for theme in themes:
        lab.theme(theme)
        assert lab.page.locator("body").get_attribute("data-jp-theme-light") == str(theme == "light").lower()
        pictures[theme] = lab.screenshot(tmp_path / f"{theme}.png").read_bytes()
    assert pictures["light"] != pictures["dark"]
    width_and_height = (int.from_bytes(pictures["dark"][16:20]), int.from_bytes(pictures["dark"][20:24]))
    assert width_and_height == (900, 600)
    picture = lab.screenshot(tmp_path / "form.png", of=lab.cell(0))
    assert int.from_bytes(picture.read_bytes()[16:20]) < 900

    lab.save()
    assert nbformat.read(path, 4).cells[last].outputs[0].data["text/plain"] == "42"
    lab.shutdown_kernel()
    # What was shown stays; a kernel that ends may add a complaint of its own behind it.
    assert lab.output_text(last)[0] == "42"


def test_a_killed_test_run_leaves_no_jupyterlab_behind(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys; from tests.support.lab import LabServer;"
        "root = pathlib.Path(sys.argv[1]); home = root / 'home'; home.mkdir();"
        "print(LabServer(root, home).start().url, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.startswith("http://127.0.0.1:"), done.stderr
    port = int(done.stdout.strip().rpartition(":")[2])
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    pytest.fail("JupyterLab still answers")
