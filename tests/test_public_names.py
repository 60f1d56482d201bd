"""The names users rely on: listed once, all there, all documented."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import docmail

ROOT = Path(__file__).parent.parent

NAMES = {
    "Document",
    "EmailButton",
    "HttpServer",
    "Message",
    "Outbox",
    "Sandbox",
    "Settings",
    "SettingsForm",
    "SmtpServer",
    "credentials",
    "errors",
    "presets",
    "send",
    "send_test",
}


def test_the_public_names_are_these_and_no_others() -> None:
    assert set(docmail.__all__) == NAMES
    assert list(docmail.__all__) == sorted(docmail.__all__)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_public_name_is_there_and_says_what_it_does(name: str) -> None:
    assert (getattr(docmail, name).__doc__ or "").strip()
    assert name in dir(docmail)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Setting"):
        docmail.Setting  # noqa: B018


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_readme_mentions_each_public_name(name: str) -> None:
    assert re.search(rf"\b{name}\b", (ROOT / "README.md").read_text("utf-8"))


def test_the_wheel_contains_everything_and_works_in_an_empty_environment(tmp_path: Path) -> None:
    """Presets, guides, JavaScript and the mark of typing are in it; the values work from there."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files", "docmail"], cwd=ROOT, capture_output=True, text=True, check=False)
    here = set(tracked.stdout.split()) or {
        str(path.relative_to(ROOT))
        for path in (ROOT / "docmail").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here <= packed
    assert {
        "docmail/py.typed",
        "docmail/presets.toml",
        "docmail/guides/gmail.md",
        "docmail/widgets/controls.js",
    } <= packed

    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(unpacked)
    code = (
        "import docmail, sys; from pathlib import Path;"
        "assert Path(docmail.__file__).is_relative_to(sys.argv[1]), docmail.__file__;"
        "assert docmail.presets.by_address('a@gmail.com').guide == 'Gmail';"
        "assert 'app password' in docmail.presets.guide('Gmail').markdown;"
        "from docmail.widgets import SettingsForm; SettingsForm();"
        "box = docmail.Sandbox().start();"
        "docmail.send(b'%PDF-1.4 %%EOF', to='cfo@example.com', subject='Q3', settings=box.settings);"
        "assert box.inbox[0]['Subject'] == 'Q3'; box.close()"
    )
    # -P and an empty folder: nothing of the working copy may stand in for what the wheel lacks.
    result = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, sys.argv[1]); {code}", str(unpacked)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
