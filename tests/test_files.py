"""Files are for one person: others who could write are refused with the cure; what is held is not called damaged."""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import pwd
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail import files, templates
from docmail import home as homes
from docmail.errors import DocmailError, SettingsError
from docmail.outbox import Outbox, search
from docmail.settings import Settings, SmtpServer
from tests.support.requires import require_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETTINGS = Settings("Accounts <me@example.com>", SmtpServer("smtp.example.com", username="me@example.com"))
PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"
NOBODY = 65534
OTHER = 54321  # a user without an entry in passwd


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def somebody(user: int = OTHER) -> Iterator[None]:
    """Be another person in this process, as far as files are concerned."""
    require_root("Being somebody else")
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that DOCMAIL_HOME names, not made yet, at a place that everybody can reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if "pytest" in str(folder):
            folder.chmod(0o755)
    folder = tmp_path / "docmail"
    monkeypatch.setenv("DOCMAIL_HOME", str(folder))
    return folder


def use_everything() -> None:
    SETTINGS.save()
    outbox = Outbox()
    outbox.add(docmail.Message("c@example.com", "x", documents=PDF), settings=SETTINGS)
    outbox.close()
    with docmail.Sandbox() as box:
        docmail.send(PDF, to="c@example.com", subject="x", settings=box.settings)


# --- for one person ---


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_nothing_that_is_made_is_open_to_others_whatever_the_umask(mask: int, place: Path, home: Path) -> None:
    """Under umask 000 everybody could write into the folders above, and the lock of a sandbox."""
    with umask(mask):
        use_everything()
        docmail.Sandbox(place / "deep" / "box").start().close()
    found = [each for each in [place, *place.rglob("*"), *home.rglob("*")] if not each.is_symlink()]
    assert len(found) > 10
    assert [str(each) for each in found if stat.S_IMODE(each.stat().st_mode) & 0o077 and each != home] == []


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o772])
def test_a_folder_that_everybody_can_write_is_refused_with_the_cure(mode: int, place: Path) -> None:
    use_everything()
    place.chmod(mode)
    for use in (
        Settings.load,
        SETTINGS.save,
        lambda: docmail.send(PDF, to="c@example.com", subject="x", settings=SETTINGS),
    ):
        with pytest.raises(DocmailError, match=rf"can write into {place}, so .*chmod go-w {place}"):
            use()
    place.chmod(0o700)
    assert Settings.load() == SETTINGS


def test_an_outbox_in_a_folder_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b").chmod(0o777)
    with pytest.raises(DocmailError, match=rf"chmod go-w '{tmp_path}/a b'"):
        Outbox(tmp_path / "a b")
    assert list((tmp_path / "a b").glob("*.sqlite3")) == []


def group(monkeypatch: pytest.MonkeyPatch, members: list[str] | None, people: list[tuple[str, int, int]]) -> None:
    """Let every group have these members (None: no name), and these be all users with number and group."""

    def entry(_number: int) -> Any:
        if members is None:
            raise KeyError
        return SimpleNamespace(gr_mem=members)

    monkeypatch.setattr(grp, "getgrgid", entry)
    monkeypatch.setattr(pwd, "getpwall", lambda: [SimpleNamespace(pw_name=a, pw_uid=b, pw_gid=c) for a, b, c in people])


@pytest.mark.parametrize(
    ("members", "people", "is_refused"),
    [
        ([], [], False),  # Debian's group of one's own
        (None, [], False),  # the group of a volume in a container (fsGroup)
        (["root"], [("root", 0, 0), ("operator", 11, 0)], False),  # OpenShift's group 0
        (["ana"], [], True),
        ([], [("ana", 1001, 0)], True),  # as the group “users” that all have
    ],
)
def test_a_folder_that_a_group_can_write_is_refused_if_others_are_in_it(
    members: list[str] | None,
    people: list[tuple[str, int, int]],
    is_refused: bool,  # noqa: FBT001 - a parameter of pytest
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    SETTINGS.save()
    os.chown(place, -1, 0)
    place.chmod(0o770)
    group(monkeypatch, members, people)
    if not is_refused:
        assert Settings.load() == SETTINGS
        return
    with pytest.raises(SettingsError, match="Other people on this computer can write"):
        Settings.load()


def planted(owner: int) -> bytes:
    folder = homes.user_home().settings_file
    SETTINGS.save()
    content = folder.read_bytes().replace(b"smtp.example.com", b"smtp.evil.example")
    folder.write_bytes(content)
    os.chown(folder, owner, owner)
    folder.chmod(0o644)
    return content


def test_settings_that_another_person_has_planted_are_not_used(place: Path) -> None:
    """In a folder like /tmp, they sent one person's mail to another's server."""
    require_root("A file of another person")
    place.mkdir()
    place.chmod(0o1777)
    content = planted(NOBODY)
    for who in (OTHER, 0):
        with somebody(who):
            for use in (Settings.load, SETTINGS.save):
                with pytest.raises(SettingsError, match=r"belongs to another person \(nobody\).*DOCMAIL_HOME"):
                    use()
    assert homes.user_home().settings_file.read_bytes() == content


def test_settings_in_a_folder_of_another_person_are_not_used(place: Path) -> None:
    require_root("A folder of another person")
    planted(NOBODY)
    os.chown(place, NOBODY, NOBODY)
    place.chmod(0o755)
    with somebody(), pytest.raises(SettingsError, match="belongs to another person"):
        Settings.load()


def test_root_uses_the_folder_that_a_person_lends_to_a_container(place: Path) -> None:
    require_root("A folder of another person")
    SETTINGS.save()
    for each in (place, *place.rglob("*")):
        os.chown(each, 1000, 1000)
    assert Settings.load() == SETTINGS
    use_everything()


@pytest.mark.usefixtures("place")
def test_a_file_that_may_not_be_read_is_not_called_damaged() -> None:
    require_root("A file of another person")
    SETTINGS.save()
    with somebody():
        for use in (Settings.load, templates.names, SETTINGS.save):
            with pytest.raises(DocmailError, match=r"Permission denied; .* belongs to root") as caught:
                use()
            assert "damaged" not in str(caught.value)
            assert "DOCMAIL_HOME" in caught.value.hint
        for look in (lambda: search.has_history(homes.user_home().outbox), Outbox):
            with pytest.raises(DocmailError, match=r"cannot be used: Permission denied; .* belongs to root"):
                look()


# --- a user without a home ---

HOMELESS = """
import pwd
def nobody(number):
    raise KeyError(number)
pwd.getpwuid = nobody  # as for the number under which a container runs
import docmail
from docmail import credentials
from docmail.errors import SettingsError
settings = docmail.Settings("A <a@example.com>", docmail.SmtpServer("smtp.example.com", username="a@example.com"))
credentials.set(settings, "x", remember=False)
for use in (settings.save, docmail.Settings.load, docmail.Outbox, docmail.Sandbox.shared,
            lambda: docmail.send(b"%PDF-1.4\\n%%EOF", to="c@example.com", subject="x", settings=settings)):
    try:
        use()
    except SettingsError as exc:
        print(exc)
with docmail.Sandbox() as box:
    result = docmail.send(docmail.reports.Report("x").text("ö"), to="c@example.com", subject="x", settings=box.settings)
    print(result.reply)
"""


def test_a_user_without_a_home_is_told_what_to_set_and_can_rehearse(tmp_path: Path) -> None:
    """As in a container that runs under a number: RuntimeError from platformdirs, or a folder called “~”."""
    gone = {"HOME", "DOCMAIL_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", HOMELESS],
        env={**{name: value for name, value in os.environ.items() if name not in gone}, "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *said, reply = done.stdout.splitlines()
    assert len(said) == 5
    assert all("has no home folder. Set DOCMAIL_HOME to a folder that is kept" in each for each in said), said
    assert reply[:3] == "250"
    assert list(tmp_path.iterdir()) == []  # also no folder called “~”


def test_docmail_home_below_a_home_that_is_unknown_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setenv("DOCMAIL_HOME", "~/docmail")
    with pytest.raises(SettingsError, match="no home folder"):
        Settings.load()


# --- what another program holds, as on Windows ---


def held(times: int) -> Callable[[], str]:
    """Return a step that another program denies so many times."""
    left = [times]

    def step() -> str:
        if left[0]:
            left[0] -= 1
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        return "done"

    return step


def test_what_is_held_for_a_moment_is_tried_again(tmp_path: Path) -> None:
    assert files.patiently(held(5), tmp_path, os.W_OK) == "done"
    with pytest.raises(PermissionError):
        files.patiently(held(1000), tmp_path, os.W_OK, seconds=0.1)


def test_who_has_no_right_to_it_does_not_wait(place: Path) -> None:
    place.mkdir()
    step = held(1)
    with somebody(), pytest.raises(PermissionError):
        files.patiently(step, place, os.W_OK)
    assert step() == "done"


@pytest.mark.parametrize("times", [3, 10**6])
def test_settings_that_somebody_reads_are_saved_a_moment_later_or_stay(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    SETTINGS.save()
    step, replace = held(times), Path.replace

    def denied(self: Path, target: Path) -> Path:
        step()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", denied)
    new = docmail.Settings("Other <me@example.com>", SETTINGS.server)
    if times < 10:
        new.save()
        assert Settings.load() == new
        return
    with pytest.raises(SettingsError, match=r"cannot be saved.*The process cannot access"):
        new.save()
    assert Settings.load() == SETTINGS
    assert [each.name for each in homes.user_home().settings_file.parent.glob(".*")] == []


def test_settings_that_somebody_replaces_are_read_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    SETTINGS.save()
    step, read = held(3), Path.read_bytes

    def denied(self: Path) -> bytes:
        step()
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert Settings.load() == SETTINGS


def test_a_content_that_somebody_reads_serves_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can replace it on Windows then; the same content is there already."""
    with Outbox(tmp_path) as outbox:
        spool = outbox._store.file.spool
        known = spool.take(docmail.Document.of(PDF, name="a.pdf"))

        def denied(*_names: Any) -> None:
            raise PermissionError(errno.EACCES, "in use")

        monkeypatch.setattr(os, "replace", denied)
        monkeypatch.setattr(Path, "replace", denied)
        monkeypatch.setattr(os, "utime", lambda *_names: (_ for _ in ()).throw(FileNotFoundError))
        assert spool.take(docmail.Document.of(PDF, name="a.pdf")) == known
        assert [each.name for each in (tmp_path / "spool").iterdir()] == [known]


def test_a_file_that_must_outlive_a_power_cut_is_flushed_out_of_the_drive_on_macos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda _file, command: asked.append(command))
    files.write_whole(tmp_path / "x", b"x", durable=True)
    assert asked == [51]
