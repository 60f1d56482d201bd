"""What people install is whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import docmail

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdist and the wheel built from it; without isolation, and so without a network."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """Return the wheel."""
    (wheel,) = built.glob("*.whl")
    return wheel


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
    assert folders == {"docmail", f"docmail-{docmail.__version__}.dist-info"}


def test_the_wheel_names_its_licence_and_extras(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"docmail-{docmail.__version__}.dist-info/METADATA").decode()
    assert "License-Expression: MIT" in metadata
    for extra in ("lab", "oauth", "proxy", "test"):
        assert f"Provides-Extra: {extra}\n" in metadata


WORK = """
import docmail, sys
from docmail.language import _, language
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


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_what_is_built_works_in_an_empty_environment(built: Path, kind: str, tmp_path: Path) -> None:
    """The dependencies are lent by this environment, but not docmail: it must come from the file."""
    (file,) = built.glob(kind)
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    (site_packages,) = environment.glob("lib/python*/site-packages")
    # A path named in a .pth file is searched, the .pth files in it (an editable docmail's among them) are not.
    (site_packages / "lent.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    # The other tests' PYTHONPATH leads to the checkout.
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--no-build-isolation", "--force-reinstall", str(file))
    run(str(python), "-c", WORK)
    assert run(str(environment / "bin" / "docmail"), "--version") == f"docmail {docmail.__version__}\n"
    assert run(str(python), "-m", "docmail", "--version") == f"docmail {docmail.__version__}\n"


def test_the_prepared_workflow_runs_what_developers_run_on_each_python_that_docmail_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [name.rsplit(" ", 1)[1] for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)]
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    (pythons,) = re.findall(r"^ *python: \[(.*)\]$", text, re.MULTILINE)
    assert re.findall(r'"(.*?)"', pythons) == named
    assert "      - run: bash .ci/run\n" in text
    assert "not yet run" in text.splitlines()[0]


def test_a_version_stands_in_one_place_and_the_changelog_begins_with_it_or_with_what_is_unreleased() -> None:
    version = re.escape(docmail.__version__)
    others = [ROOT / name for name in ("pyproject.toml", "CITATION.cff", "README.md", "Makefile")]
    assert [path.name for path in others if re.search(rf"\b{version}\b", path.read_text("utf-8"))] == []
    headings = re.findall("^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert re.fullmatch(rf"Unreleased|{version} — \d{{4}}-\d\d-\d\d", headings[0])
