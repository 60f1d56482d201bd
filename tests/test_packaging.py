"""What people install is whole."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel without isolation, and so without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_contains_every_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "docmail"
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "docmail/py.typed" in ours
    with zipfile.ZipFile(wheel) as archive:
        assert ours - set(archive.namelist()) == set()


def test_the_wheel_contains_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folders = {name.split("/")[0] for name in archive.namelist()}
    assert folders == {"docmail", "docmail-0.1.0.dist-info"}


def test_the_wheel_names_its_licence_and_extras(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read("docmail-0.1.0.dist-info/METADATA").decode()
    assert "License-Expression: MIT" in metadata
    for extra in ("lab", "oauth", "proxy", "test"):
        assert f"Provides-Extra: {extra}\n" in metadata


WORK = """
import docmail, sys
from docmail.translation import _, language
assert docmail.__file__.startswith(sys.prefix), docmail.__file__
assert docmail.presets.by_address("a@gmail.com").guide == "Gmail"
assert "app password" in docmail.presets.guide("Gmail").markdown
docmail.SettingsForm()
with language("af"):
    assert _("Update") == "Werk by"
with docmail.Sandbox() as box:
    docmail.send(b"%PDF-1.4 %%EOF", to="cfo@example.com", subject="Q3", settings=box.settings)
    assert box.inbox[0]["Subject"] == "Q3"
"""


def test_the_wheel_installed_into_an_empty_environment_works(wheel: Path, tmp_path: Path) -> None:
    """The dependencies are lent by this environment, but not docmail: it must come from the wheel."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    # A path named in a .pth file is searched, the .pth files in it (an editable docmail's among them) are not.
    (site_packages / "lent.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    # The other tests' PYTHONPATH leads to the checkout.
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), "-c", WORK]
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
