from __future__ import annotations

import base64
import gzip
import html
import json
import sqlite3
import urllib.parse
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.leaks.searcher import Finding, new_password, search

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = new_password()
SIGN_IN = f"\0accounts@example.com\0{PASSWORD}".encode()

WRITTEN: dict[str, str | bytes] = {
    "plain": PASSWORD,
    "in Latin-1": PASSWORD.encode("latin-1"),
    "as a Windows program would": PASSWORD.encode("utf-16-le"),
    "in a notebook": json.dumps({"value": PASSWORD}, ensure_ascii=False),
    "in a message to the kernel": json.dumps({"value": PASSWORD}),
    "in a message in a log in JSON": json.dumps({"log": json.dumps({"value": PASSWORD})}),
    "in a page": html.escape(PASSWORD),
    "in a traceback": repr({"password": PASSWORD}),
    "in a traceback, as bytes": repr(PASSWORD.encode()),
    "in an address": urllib.parse.quote(f"https://accounts:{PASSWORD}@example.com"),
    "in a form": urllib.parse.urlencode({"password": PASSWORD}),
    "in small hexadecimal digits": urllib.parse.quote(PASSWORD, safe="").replace("%C3%A9", "%c3%a9"),
    "in base64": base64.b64encode(PASSWORD.encode()),
    "in base64, after one octet": base64.b64encode(b"x" + PASSWORD.encode() + b"x"),
    "in base64, after two octets": base64.b64encode(b"xx" + PASSWORD.encode() + b"x"),
    "in base64, as AUTH PLAIN sends it": base64.b64encode(SIGN_IN),
    "in URL-safe base64": base64.urlsafe_b64encode(SIGN_IN),
    "in digits": PASSWORD.encode().hex(),
    "in colours": f"\x1b[31m{PASSWORD[:12]}\x1b[0m{PASSWORD[12:]}",
    "broken by a line": f"{PASSWORD[:15]}\n{PASSWORD[15:]}",
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=list(WRITTEN))
def test_every_form_is_found_in_files_and_in_memory(written: str | bytes, tmp_path: Path) -> None:
    file = tmp_path / ".ipynb_checkpoints" / "settings.ipynb"
    file.parent.mkdir()
    content = b"before " + (written if isinstance(written, bytes) else written.encode()) + b" after"
    file.write_bytes(content)
    place = f"{tmp_path.name}/.ipynb_checkpoints/settings.ipynb"
    assert {each.place for each in search(PASSWORD, tmp_path, messages=content)} == {place, "messages"}


def test_the_form_is_named() -> None:
    assert Finding("log", "JSON") in search(PASSWORD, log=json.dumps(PASSWORD, ensure_ascii=False))
    assert Finding("log", "base64, shifted by 1") in search(PASSWORD, log=base64.b64encode(b"x" + PASSWORD.encode()))


def test_compressed_files_databases_and_names_of_files_are_searched(tmp_path: Path) -> None:
    (tmp_path / "old.log.gz").write_bytes(gzip.compress(PASSWORD.encode()))
    with zipfile.ZipFile(tmp_path / "report.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("settings.txt", PASSWORD)
    with closing(sqlite3.connect(tmp_path / "history.sqlite")) as database:
        database.execute("PRAGMA journal_mode = wal")
        database.execute("CREATE TABLE history (line TEXT)")
        database.execute("INSERT INTO history VALUES (?)", [PASSWORD])
        database.commit()
        (tmp_path / f"{PASSWORD[:10]}.txt").touch()
        places = {each.place.replace(tmp_path.name, "") for each in search(PASSWORD, tmp_path)}
    assert places == {"/old.log.gz", "/report.zip", "/history.sqlite-wal", f"name of /{PASSWORD[:10]}.txt"}


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    other = new_password()
    for number, written in enumerate(WRITTEN.values()):
        (tmp_path / str(number)).write_bytes(written if isinstance(written, bytes) else written.encode())
    assert search(other, tmp_path, log=PASSWORD) == []
    (tmp_path / "text").write_text(f"{other[:9]} {other[-9:]} {other[10:-10]}", "utf-8")
    assert search(other, tmp_path) == []
