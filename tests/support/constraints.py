"""Writes constraints.txt anew: the newest release of everything that `make` installs, on each Python at once.

`make update` runs this and prints what changed. uv resolves, because pip knows only the Python that it runs on.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FILE = ROOT / "constraints.txt"


def resolved() -> str:
    """Return the newest versions that fit together, a line `name==version` each, with a marker where Pythons differ."""
    command = [str(Path(sys.prefix) / "bin" / "uv"), "pip", "compile", "--quiet", "--universal", "--all-extras"]
    command += ["--python-version", "3.11", "--no-header", "--no-annotate", "--no-emit-index-url"]
    command += ["pyproject.toml", "tests/build-requirements.txt"]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def newest(package: str) -> str:
    """Return the newest release of a package of npm."""
    command = ["npm", "view", package, "version", "--json"]
    return str(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))


def _newest_of(package: re.Match[str]) -> str:
    return f"{package[1]}@{newest(package[1])}"


def changes(before: str, after: str) -> Iterator[str]:
    """Return a line for each package whose versions differ, in alphabetical order."""
    old, new = _versions(before), _versions(after)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{name}: {old.get(name, 'not there')} -> {new.get(name, 'no longer needed')}"


def _versions(text: str) -> dict[str, str]:
    versions: dict[str, str] = {}
    for line in text.splitlines():
        name, _equals, version = line.partition("==")
        versions[name] = f"{versions[name]}, {version}" if name in versions else version
    return versions


def main() -> None:
    """Write both files, and say what changed."""
    before = FILE.read_text("utf-8") if FILE.exists() else ""
    after = resolved()
    FILE.write_text(after, "utf-8")
    makefile = ROOT / "Makefile"
    rules = makefile.read_text("utf-8")
    today = datetime.now(UTC).date().isoformat()
    updated = re.sub(r"(?m)^NPM := .*", lambda line: re.sub(r"([\w-]+)@\S+", _newest_of, line[0]), rules)
    updated = re.sub(r"(?m)^(AS_OF := ).*", rf"\g<1>{today}", updated)
    makefile.write_text(updated, "utf-8")
    lines = [*changes(before, after)]
    lines += [
        f"Makefile: {new}" for old, new in zip(rules.splitlines(), updated.splitlines(), strict=True) if old != new
    ]
    sys.stdout.write("".join(f"{line}\n" for line in lines) or "Nothing changed.\n")


if __name__ == "__main__":
    main()
