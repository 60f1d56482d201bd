"""What `make` installs is what constraints.txt says, on whatever day."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.constraints import changes

ROOT = Path(__file__).parent.parent
CONSTRAINTS = ROOT / "constraints.txt"


def requirements(file: Path = CONSTRAINTS) -> list[Requirement]:
    return [Requirement(line) for line in file.read_text("utf-8").splitlines()]


def test_what_is_installed_is_what_the_constraints_say() -> None:
    """In the environment of the lower bounds, which has constraints of its own, those."""
    wanted = {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each in requirements(ROOT / os.environ.get("DOCMAIL_CONSTRAINTS", CONSTRAINTS))
        if each.marker is None or each.marker.evaluate()
    }
    prefix = Path(sys.prefix)
    installed = {
        canonicalize_name(each.metadata["Name"]): each.version
        for each in distributions()
        if Path(str(each.locate_file(""))).is_relative_to(prefix)
    }
    installed.pop(canonicalize_name("docmail"), None)  # the checkout itself
    assert len(installed) > 100
    assert {
        name: (version, wanted.get(name)) for name, version in installed.items() if wanted.get(name) != version
    } == {}


def test_the_constraints_are_exact_versions_without_a_place_they_come_from() -> None:
    line = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.+]*( ; [a-z_ .'0-9<>=!()*]+)?", re.IGNORECASE)
    lines = CONSTRAINTS.read_text("utf-8").splitlines()
    assert [each for each in lines if not line.fullmatch(each)] == []
    assert "://" not in "".join(lines)


def test_the_constraints_name_what_builds_docmail() -> None:
    """Pip makes an environment of its own for that, whose contents PIP_CONSTRAINT alone binds."""
    named = {canonicalize_name(each.name) for each in requirements()}
    assert {"editables", "hatchling", "packaging", "pathspec", "pip", "pluggy", "trove-classifiers"} <= named


def test_an_update_says_what_changed() -> None:
    numpy = "numpy==2.4.6 ; python_full_version < '3.12'\nnumpy==2.5.4 ; python_full_version >= '3.12'\n"
    before = f"babel==2.18.0\n{numpy}old==1\n"
    after = f"babel==2.19.0\nnew==1\n{numpy}"
    assert list(changes(before, after)) == [
        "babel: 2.18.0 -> 2.19.0",
        "new: not there -> 1",
        "old: 1 -> no longer needed",
    ]


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Say what make would do, without doing it."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**surroundings, **environment}, capture_output=True, text=True, check=False
    )


def another_python(folder: Path, version: str) -> Path:
    """Make something that answers make's question as that Python would."""
    python = folder / f"python{version}"
    python.write_text(f"#!/bin/sh\necho {version} {folder}\n", "utf-8")
    python.chmod(0o755)
    return python


def test_another_interpreter_gets_an_environment_of_its_own(tmp_path: Path) -> None:
    python = another_python(tmp_path, "3.99.1")
    done = make("demo", f"PYTHON={python}")
    assert f'"{python}" -m venv --clear ".venv-3.99"' in done.stdout, done.stderr
    assert '".venv-3.99/bin/python" -m docmail demo' in done.stdout


def test_an_environment_of_an_interpreter_that_was_replaced_is_made_anew(tmp_path: Path) -> None:
    """As python3 is by an upgrade of the system: the old environment has the old one's packages."""
    another_python(tmp_path, "3.99.1").rename(tmp_path / "python3")
    done = make("demo", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert '"python3" -m venv --clear ".venv"' in done.stdout, done.stderr


def test_a_missing_interpreter_is_named() -> None:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", "demo", "PYTHON=python3.0"]
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "'python3.0' is not there" in done.stderr
