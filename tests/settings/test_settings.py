"""Settings name every problem in the user's words, and what is saved survives damage, kills, races and full disks."""

from __future__ import annotations

import errno
import gc
import json
import os
import pickle
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from docmail import home as homes
from docmail.errors import AddressError, SettingsError
from docmail.language import _, language
from docmail.mailbox import Mailbox
from docmail.settings import HttpServer, Problem, Security, Settings, SignIn, SmtpServer, fingerprint_bytes, profiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIELDS = {
    *("protocol", "host", "port", "security", "username", "email_address", "sender", "password"),
    *("copy_to", "reply_to", "fingerprint", "ca_file", "url"),
}

SMTP = Settings("Accounts <accounts@example.com>", SmtpServer("smtp.example.com", username="accounts@example.com"))
HTTP = Settings("Accounts", HttpServer("mail.example.com"), reply_to=("office@example.com",))

ODD: st.SearchStrategy[Any] = st.one_of(
    st.text(st.one_of(st.characters(), st.sampled_from('@<>",;:/\\[]. %\x00\r\n')), max_size=60),
    st.sampled_from(
        ["smtp.example.com", "a@example.com", "Ann <a@example.com>", "https://a.example/x", "tls", "~nobody", ""]
    ),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=20),
    st.lists(st.one_of(st.text(max_size=5), st.none(), st.integers()), max_size=3),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
    st.builds(object),
    st.just("x" * 100_000),
)


def changed(settings: Settings, **values: Any) -> Settings:
    """Return the settings with other values, those of the server among them."""
    own = {name: values.pop(name) for name in list(values) if name in {"sender", "copy_to", "reply_to", "server"}}
    return replace(replace(settings, server=replace(settings.server, **values)) if values else settings, **own)


def fields(settings: Settings) -> list[str]:
    return [problem.field for problem in settings.problems()]


def problem(settings: Settings, field: str) -> str:
    (message,) = [problem.message for problem in settings.problems() if problem.field == field]
    return message


# --- problems ---


def test_settings_as_in_the_contract_have_no_problem() -> None:
    assert SMTP.problems() == HTTP.problems() == []
    named = Settings("Accounts", SmtpServer("smtp.example.com", port=465, username="accounts@example.com"))
    assert named.problems() == []
    assert str(named.address) == "Accounts <accounts@example.com>"


def test_all_fields_are_checked_at_once_in_the_order_of_the_form() -> None:
    wrong = Settings(
        "Accounts",
        SmtpServer("smtp example", 0, "ssl", "me", "zz", "/no/such.pem"),  # type: ignore[arg-type]
        copy_to="nobody",
        reply_to=("nobody", "office@example.com"),
    )
    assert fields(wrong) == [
        "host",
        "port",
        "security",
        "fingerprint",
        "ca_file",
        "email_address",
        "copy_to",
        "reply_to",
    ]
    assert fields(Settings("", HttpServer("", api="soap", username="a\x00"))) == [
        *("url", "protocol", "username", "sender", "reply_to"),
    ]


@pytest.mark.parametrize("word", ["STARTTLS", "StartTLS", "starttls"])
def test_how_the_connection_is_encrypted_may_be_written_as_the_form_does(word: Any) -> None:
    assert SmtpServer("mail.example.com", security=word).security is Security.STARTTLS
    assert Mailbox("mail.example.com", security=word).security is Security.STARTTLS


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"host": ""}, "host", "Give the SMTP server's name"),
        ({"host": None}, "host", "must be text, not NoneType"),
        ({"host": "smtp.example.com:587"}, "host", "the port has a field of its own"),
        ({"port": "587"}, "port", "from 1 to 65535"),
        ({"port": True}, "port", "from 1 to 65535"),
        ({"port": 65536}, "port", "from 1 to 65535"),
        ({"security": "ssl"}, "security", "TLS, STARTTLS or none"),
        ({"security": Security.NONE}, "security", "never sent unencrypted"),
        ({"username": "u" * 1001}, "username", "longer than 1000"),
        ({"username": "me\nyou@example.com"}, "username", r"U\+000A"),
        ({"fingerprint": "ab:cd"}, "fingerprint", "64 digits"),
        (
            {"fingerprint": "ab" * 32, "host": "smtp.gmail.com"},
            "fingerprint",
            "^Gmail never shows a self-signed certificate",
        ),
        ({"ca_file": "/no/such.pem"}, "ca_file", "no file /no/such.pem"),
        ({"ca_file": "~nobody-at-all/ca.pem"}, "ca_file", "no file"),
        ({"ca_file": "x" * 900}, "ca_file", "no file"),
        ({"sender": 5}, "sender", "must be text, not int"),
        ({"sender": "Acme, Inc. <a@example.com>"}, "sender", "quotes"),
        ({"sender": "n" * 256}, "sender", "longer than 255"),
        ({"sender": "<Accounts>"}, "sender", "without quotation marks"),
        ({"copy_to": "a@example.com, b@example.com"}, "copy_to", "not one email address"),
        ({"reply_to": "nobody"}, "reply_to", "not an email address"),
        ({"reply_to": 5}, "reply_to", "address that replies go to"),
        ({"reply_to": "a@example.com, " * 100}, "reply_to", "longer than 1000"),
        ({"server": None}, "protocol", "SMTP or HTTP"),
    ],
)
def test_a_problem_says_in_one_sentence_what_to_write(values: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words.removeprefix("^")) as caught:
        changed(SMTP, **values).check()
    assert caught.value.field == field
    assert caught.value.problems[0].message == problem(changed(SMTP, **values), field)
    assert f"{field}: " in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "Give the HTTP server's address"),
        ("ftp://mail.example.com", "must begin with https://"),
        ("https:/mail.example.com", "must begin with https://"),
        ("https//mail.example.com", "must begin with https://"),
        ("javascript:alert(1)", "not a web address"),
        ("https://mail.example.com:0", "not a web address"),
        ("https://mail.example.com:70000", "not a web address"),
        ("https://mail.example.com/#top", "not a web address"),
        ("https://mail.example.com/a b", "not a web address"),
        ("https://mail.example.com\\.evil.example", "not a web address"),
        ("https://mail.example.com\\@evil.example", "Leave out the name and password"),
        ("https://[::1", "not a web address"),
        ("https://user:word@mail.example.com", "Leave out the name and password"),
        ("https://", "missing"),
        ("https://mail_.-example.com", "not a server's name"),
        ("https://mail.example.com/\x00", r"U\+0000"),
    ],
)
def test_a_web_address_is_refused_with_the_reason(url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        changed(HTTP, url=url).check()
    assert caught.value.field == "url"


@pytest.mark.parametrize(
    "url", ["mail.example.com", "https://müller.example:8443/send?x=1", "http://localhost:8080", "[::1]:80"]
)
def test_https_is_assumed_and_any_host_will_do(url: str) -> None:
    settings = changed(HTTP, url=url)
    assert settings.problems() == []
    assert settings.account.protocol == ("http" if url.startswith("http:") else "https")


def test_a_password_never_goes_over_unencrypted_http_except_to_this_computer() -> None:
    assert fields(changed(HTTP, url="http://mail.example.com", username="me")) == ["url"]
    assert fields(changed(HTTP, url="http://127.0.0.1:8080", username="me")) == []
    assert fields(changed(SMTP, host="localhost", security=Security.NONE)) == []
    assert fields(changed(SMTP, security=Security.NONE, username="")) == []


def test_http_needs_a_name_and_an_address_for_replies() -> None:
    assert fields(replace(HTTP, sender="", reply_to=())) == ["sender", "reply_to"]


def test_a_username_that_is_no_address_needs_an_email_address() -> None:
    assert fields(Settings("Accounts", SmtpServer("smtp.sendgrid.net", username="apikey"))) == ["email_address"]
    assert fields(Settings("Accounts", SmtpServer("smtp.example.com", username="me@"))) == ["username"]
    with pytest.raises(AddressError):
        _address = Settings("Accounts", SmtpServer("smtp.example.com", username="apikey")).address


@given(st.data())
@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_in_any_field_ends_in_a_sentence_that_names_it(data: st.DataObject) -> None:
    text_of = {
        "smtp": ["host", "port", "security", "username", "fingerprint", "ca_file"],
        "http": ["url", "api", "username"],
    }
    which = data.draw(st.sampled_from(["smtp", "http", "other"]))
    values = {name: data.draw(ODD) for name in text_of.get(which, [])}
    server = {"smtp": SmtpServer, "http": HttpServer}[which](**values) if values else data.draw(ODD)
    settings = Settings(data.draw(ODD), server, data.draw(ODD), data.draw(ODD))
    for each in settings.problems():
        assert each.field in FIELDS
        assert each.message.endswith((".", ">"))
        assert len(each.message) < 600
    hash(settings.account)
    if settings.problems():
        with pytest.raises(SettingsError):
            settings.check()
        with pytest.raises(SettingsError):
            settings.save()
    else:
        assert settings.address.addr_spec


def test_pasted_values_are_trimmed() -> None:
    settings = Settings(" Accounts ", SmtpServer("\ufeffsmtp.example.com\n", username="\tme@example.com "), copy_to=" ")
    assert settings.server == SmtpServer("smtp.example.com", username="me@example.com")
    assert (settings.sender, settings.copy_to, settings.problems()) == ("Accounts", None, [])


def test_replies_may_go_to_several_addresses_in_one_text() -> None:
    assert replace(SMTP, reply_to="a@example.com; B <b@example.com>").reply_to == ("a@example.com", "B <b@example.com>")  # type: ignore[arg-type]
    assert replace(SMTP, reply_to=["a@example.com"]).reply_to == ("a@example.com",)  # type: ignore[arg-type]
    assert replace(SMTP, reply_to=None).reply_to == ()  # type: ignore[arg-type]


def test_security_follows_the_port_unless_it_is_chosen() -> None:
    assert SmtpServer("h", 465).effective_security is Security.TLS
    assert SmtpServer("h", 25).effective_security is SmtpServer("h").effective_security is Security.STARTTLS
    assert SmtpServer("h", 465, "starttls").effective_security is Security.STARTTLS  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["ab" * 32, ":".join(["AB"] * 32), "SHA256:" + "aB" * 32, " ".join(["ab"] * 32)])
def test_a_fingerprint_is_read_with_and_without_colons(text: str) -> None:
    assert fingerprint_bytes(text) == b"\xab" * 32


def test_the_account_is_that_of_one_server_in_one_spelling() -> None:
    assert changed(SMTP, host="SMTP.example.COM.").account == SMTP.account
    assert changed(HTTP, url="https://mail.example.com:443/x").account == HTTP.account
    for other in ({"host": "smtp.example.org"}, {"port": 465}, {"username": "b@example.com"}):
        assert changed(SMTP, **other).account != SMTP.account


def test_a_repr_shows_no_home_and_settings_travel_to_other_processes() -> None:
    SMTP.save()
    assert repr(Settings.load()) == repr(SMTP)
    assert pickle.loads(pickle.dumps(SMTP)) == SMTP  # noqa: S301 - our own bytes


# --- profiles ---


def saved_file() -> Path:
    return homes.user_home().settings_file


ADDRESS = st.sampled_from(["a@example.com", "Ann <ann@example.com>", '"Smith, J" <j@example.com>', "ü@müller.example"])
SERVERS = st.one_of(
    st.builds(
        SmtpServer,
        st.sampled_from(["smtp.example.com", "192.0.2.1", "::1", "müller.example"]),
        st.integers(1, 65535),
        st.sampled_from([None, Security.TLS, Security.STARTTLS]),
        st.sampled_from(["", "a@example.com", "апи@example.com"]),
        st.sampled_from([None, "ab" * 32]),
    ),
    st.builds(HttpServer, st.sampled_from(["mail.example.com", "https://müller.example/x?y=1"])),
)


@given(st.builds(Settings, ADDRESS, SERVERS, st.none() | ADDRESS, st.lists(ADDRESS, min_size=1, max_size=3)))
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_saved_is_what_is_loaded(settings: Settings) -> None:
    settings.save("round trip")
    assert Settings.load("round trip") == settings


def test_a_path_is_saved_as_text(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_text("")
    settings = changed(SMTP, ca_file=certificate)
    settings.save()
    assert Settings.load() == settings


def test_profiles_have_names_and_the_environment_selects_one(monkeypatch: pytest.MonkeyPatch) -> None:
    SMTP.save()
    HTTP.save("Büro 2")
    assert profiles() == ["Büro 2", "default"]
    assert Settings.load() == SMTP
    monkeypatch.setenv("DOCMAIL_PROFILE", "Büro 2")
    assert Settings.load() == HTTP
    assert Settings.load("default") == SMTP


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "a\\b", ".hidden", " x", "x\n", "x\x00", "x" * 65, "-", "\ud800", 5, b"x", ("x",), "\u202ex"],
)
def test_a_name_that_could_be_more_than_a_name_is_refused(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for action in (SMTP.save, Settings.load):
        with pytest.raises(SettingsError, match="cannot be the name of a profile"):
            action(name)
    if isinstance(name, str) and name.isprintable():
        monkeypatch.setenv("DOCMAIL_PROFILE", name)
        with pytest.raises(SettingsError, match="cannot be the name of a profile"):
            Settings.load()


def test_the_name_of_the_shared_sandbox_is_not_for_real_settings() -> None:
    with pytest.raises(SettingsError, match="sandbox"):
        SMTP.save("sandbox")
    with pytest.raises(SettingsError, match="No email settings are saved"):
        Settings.load("sandbox")


def test_without_settings_the_form_is_named() -> None:
    with pytest.raises(SettingsError, match=r"under the name “work”. Open docmail\.SettingsForm\(\"work\"\)"):
        Settings.load("work")
    with pytest.raises(SettingsError, match=r"No email settings are saved yet.*docmail\.SettingsForm\(\)"):
        Settings.load()
    SMTP.save()
    with pytest.raises(SettingsError, match="under the name “other”"):
        Settings.load("other")


def test_settings_with_problems_are_not_saved() -> None:
    SMTP.save()
    with pytest.raises(SettingsError) as caught:
        changed(SMTP, port=0).save()
    assert caught.value.problems == (Problem("port", problem(changed(SMTP, port=0), "port")),)
    assert Settings.load() == SMTP


@pytest.mark.parametrize("before", [None, 0o644, 0o666])
def test_the_file_is_readable_by_its_owner_only(before: int | None) -> None:
    if before is not None:
        SMTP.save()
        saved_file().chmod(before)
    SMTP.save()
    assert stat.S_IMODE(saved_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(saved_file().parent.stat().st_mode) == 0o700


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    saved_file().parent.mkdir(parents=True)
    saved_file().symlink_to(tmp_path / "dotfiles.json")
    SMTP.save()
    assert saved_file().is_symlink()
    assert Settings.load() == SMTP


def _with(change: Callable[[dict[str, Any]], object]) -> bytes:
    content = json.loads(saved_file().read_bytes())
    change(content)
    return json.dumps(content).encode()


DAMAGES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "cut off": lambda: saved_file().read_bytes()[:-20],
    "not UTF-8": lambda: b"\xff\xfe{}",
    "not JSON": lambda: b"sender = Accounts",
    "not an object": lambda: b"[]",
    "a number": lambda: b"5",
    "deeply nested": lambda: b"[" * 100_000,
    "a huge number": lambda: b'{"version": ' + b"9" * 5000 + b"}",
    "no version": lambda: _with(lambda content: content.pop("version")),
    "version is text": lambda: _with(lambda content: content.update(version="1")),
    "version is NaN": lambda: _with(lambda content: content.update(version=float("nan"))),
    "version 0": lambda: _with(lambda content: content.update(version=0)),
    "no profiles": lambda: _with(lambda content: content.pop("profiles")),
    "profiles is a list": lambda: _with(lambda content: content.update(profiles=[])),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_reported_with_its_path_and_never_overwritten(damage: str) -> None:
    SMTP.save()
    content = DAMAGES[damage]()
    saved_file().write_bytes(content)
    for action in (SMTP.save, Settings.load, profiles):
        with pytest.raises(SettingsError, match="damaged") as caught:
            action()
        assert str(saved_file()) in str(caught.value)
    assert saved_file().read_bytes() == content
    assert [path.name for path in saved_file().parent.iterdir() if path.suffix == ".new"] == []


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], object]:
    *parents, last = path.split(".")

    def change(content: dict[str, Any]) -> None:
        place = content["profiles"]["default"]
        for name in parents:
            place = place[name]
        place[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["profiles"].update(default=5),
        lambda content: content["profiles"].update(default=None),
        lambda content: content["profiles"]["default"].pop("server"),
        lambda content: content["profiles"]["default"].pop("sender"),
        _set("sender", None),
        _set("sender", ["a"]),
        _set("copy_to", 7),
        _set("reply_to", 7),
        _set("reply_to", [7]),
        _set("reply_to", {"a": 1}),
        _set("server", []),
        _set("server.protocol", "gopher"),
        _set("server.protocol", []),
        _set("server.host", 7),
        _set("server.port", "587"),
        _set("server.port", float("nan")),
        _set("server.port", [587]),
        _set("server.security", "ssl"),
        _set("server.username", None),
        _set("server.fingerprint", 5),
        _set("server.ca_file", 0),
    ],
)
def test_a_value_of_a_wrong_type_is_damage_and_other_profiles_go_on(change: Callable[[dict[str, Any]], object]) -> None:
    SMTP.save()
    HTTP.save("other")
    saved_file().write_bytes(_with(change))
    with pytest.raises(SettingsError, match="damaged") as caught:
        Settings.load()
    assert str(saved_file()) in str(caught.value)
    assert Settings.load("other") == HTTP
    HTTP.save("third")
    with pytest.raises(SettingsError, match="damaged"):
        Settings.load()


def test_a_file_written_by_hand_may_leave_out_what_has_a_default() -> None:
    SMTP.save()
    server = {"protocol": "smtp", "host": "smtp.example.com", "username": "accounts@example.com"}
    content = {
        "version": 1,
        "profiles": {"default": {"sender": SMTP.sender, "server": server, "reply_to": "a@example.com"}},
    }
    saved_file().write_bytes(b"\xef\xbb\xbf" + json.dumps(content).encode())  # as some editors save it
    assert Settings.load() == replace(SMTP, reply_to=("a@example.com",))


def test_a_value_edited_into_a_problem_is_loaded_so_that_the_form_can_show_it() -> None:
    SMTP.save()
    saved_file().write_bytes(_with(_set("server.host", "bad\ud800host")))
    loaded = Settings.load()
    assert fields(loaded) == ["host"]
    HTTP.save("other")  # a text that UTF-8 cannot hold does not spoil the file for other profiles
    assert Settings.load() == loaded


@pytest.fixture
def no_finalizers() -> Iterator[None]:
    """Nothing that another test left is finalized meanwhile: deep in the stack, that would itself reach the limit."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_finalizers")
def test_another_profile_nested_as_deep_as_can_be_read_is_kept() -> None:
    SMTP.save()
    for depth in range(800, 1000, 5):
        content = b'{"version": 1, "profiles": {"deep": ' + b"[" * depth + b"]" * depth + b"}}"
        saved_file().write_bytes(content)
        try:
            SMTP.save()
        except SettingsError:
            assert saved_file().read_bytes() == content
        else:
            assert profiles() == ["deep", "default"]


def test_the_file_of_a_newer_docmail_is_left_alone() -> None:
    SMTP.save()
    content = _with(lambda content: content.update(version=2))
    saved_file().write_bytes(content)
    for action in (SMTP.save, Settings.load, profiles):
        with pytest.raises(SettingsError, match="newer docmail") as caught:
            action()
        assert str(saved_file()) in str(caught.value)
    assert saved_file().read_bytes() == content


@pytest.mark.parametrize("place", ["signature", "server.colour", "mailbox.folder"])
def test_an_entry_of_a_newer_docmail_is_named_and_never_lost(place: str) -> None:
    settings = replace(SMTP, mailbox=Mailbox("imap.example.com"))
    settings.save()
    HTTP.save("other")
    content = _with(_set(place, "blue"))
    saved_file().write_bytes(content)
    for action in (settings.save, Settings.load):
        with pytest.raises(SettingsError, match=f"“{place}”") as caught:
            action()
        assert str(saved_file()) in str(caught.value)
        assert "newer" in str(caught.value.hint)
    assert saved_file().read_bytes() == content
    assert Settings.load("other") == HTTP


def test_a_full_disk_is_reported_and_the_old_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    SMTP.save()

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left on device") as caught:
        HTTP.save()
    assert str(saved_file()) in str(caught.value)
    assert Settings.load() == SMTP
    assert sorted(path.name for path in saved_file().parent.iterdir() if path.suffix != ".lock") == ["settings.json"]


def test_a_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "docmail", Path("/proc/docmail"), tmp_path / ("x" * 300)):
        monkeypatch.setenv("DOCMAIL_HOME", str(folder))
        with pytest.raises(SettingsError) as caught:
            SMTP.save()
        assert str(folder) in str(caught.value)
        with pytest.raises(SettingsError):
            Settings.load()


def test_a_folder_of_somebody_else_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMAIL_HOME", str(tmp_path / "docmail"))
    SMTP.save()
    saved_file().parent.chmod(0o500)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(SettingsError, match=r"Permission denied|cannot be read"):
            HTTP.save()
    finally:
        if root:
            os.seteuid(0)
    saved_file().parent.chmod(0o700)
    assert Settings.load() == SMTP


def _python(code: str) -> subprocess.Popen[bytes]:
    prelude = "from docmail.settings import *\nimport os, signal, sys\n"
    return subprocess.Popen([sys.executable, "-c", prelude + code], cwd=Path(__file__).parents[2])


def test_processes_that_save_at_the_same_time_lose_nothing_of_each_other() -> None:
    code = """for i in range(10):
    Settings("a@example.com", SmtpServer("smtp.example.com")).save(f"{sys.argv[-1]}-{i}")"""
    writers = [_python(code.replace("sys.argv[-1]", repr(name))) for name in "ab"]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    assert profiles() == sorted(f"{name}-{i}" for name in "ab" for i in range(10))


@pytest.mark.parametrize("moment", ["os.fsync", "os.replace", "os.rename"])
def test_a_process_killed_while_saving_leaves_the_old_file_whole(moment: str) -> None:
    SMTP.save()
    code = f"""def die(*_args): os.kill(os.getpid(), signal.SIGKILL)
{moment} = die
Settings("b@example.com", SmtpServer("smtp.example.com")).save()"""
    killed = _python(code).wait(30)
    assert Settings.load() == (SMTP if killed else Settings("b@example.com", SmtpServer("smtp.example.com")))
    assert killed or moment == "os.rename"  # pathlib uses one of the two
    HTTP.save()  # the lock died with its process
    assert Settings.load() == HTTP


def test_a_busy_lock_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    SMTP.save()
    import filelock

    monkeypatch.setattr(
        filelock, "FileLock", lambda path, timeout, **_mode: FileLock(path, timeout=timeout / 100, is_singleton=False)
    )
    with (
        FileLock(saved_file().with_suffix(".lock"), is_singleton=False),
        pytest.raises(SettingsError, match="cannot be saved"),
    ):
        HTTP.save()


# --- homes ---


def test_docmail_home_may_begin_with_a_tilde(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMAIL_HOME", "~/elsewhere")
    assert homes.user_home().settings_file == home / "elsewhere" / "settings.json"
    monkeypatch.setenv("DOCMAIL_HOME", "~nobody-at-all/x")
    assert homes.user_home().settings_file.parts[-3:] == ("~nobody-at-all", "x", "settings.json")


def test_without_docmail_home_the_platforms_folders_serve(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCMAIL_HOME")
    assert homes.user_home().settings_file == home / ".config" / "docmail" / "settings.json"
    assert homes.user_home().outbox == home / ".local" / "share" / "docmail" / "outbox"


def test_a_rehearsal_leaves_the_users_settings_alone(tmp_path: Path) -> None:
    SMTP.save()
    first, second = (homes.Home.below(tmp_path / name, rehearsal=True) for name in "ab")
    homes.begin_rehearsal(first)
    homes.begin_rehearsal(second)
    try:
        HTTP.save()
        assert Settings.load().home == second
        homes.end_rehearsal(first)  # in any order
        assert Settings.load() == HTTP
    finally:
        homes.end_rehearsal(second)
    mine = Settings.load()
    assert (mine, mine.home) == (SMTP, homes.user_home())


def test_settings_are_saved_where_they_were_loaded(tmp_path: Path) -> None:
    SMTP.save()
    mine = Settings.load()
    rehearsal = homes.Home.below(tmp_path, rehearsal=True)
    homes.begin_rehearsal(rehearsal)
    try:
        replace(mine, copy_to="archive@example.com").save()
    finally:
        homes.end_rehearsal(rehearsal)
    assert Settings.load().copy_to == "archive@example.com"


# --- the language of the sentences ---


def test_an_unknown_language_speaks_english() -> None:
    with language("tlh"):
        assert _("The password is empty.") == "The password is empty."


@example("../../x")
@given(st.text(st.characters(exclude_characters="\x00"), max_size=10))
def test_any_language_code_still_speaks(code: str) -> None:
    with language(code):
        assert problem(changed(SMTP, port=0), "port").endswith(".")


def test_an_empty_ca_file_or_fingerprint_is_none() -> None:
    server = SmtpServer("smtp.example.com", username="a@example.com", fingerprint=" ", ca_file="")
    assert (server.fingerprint, server.ca_file) == (None, None)
    assert Settings("Accounts", server).problems() == []


def test_a_sign_in_server_that_0_1_0_saved_as_the_organisation_is_read_with_its_account(home: Path) -> None:
    url = "https://login.microsoftonline.us/example.com"
    server = SmtpServer(
        "mail.example.com", 587, None, "a@example.com", None, None, SignIn.MICROSOFT, "x", authority=url
    )
    settings = Settings("A", server)
    settings.save()
    file = home / "docmail" / "settings.json"
    written = file.read_text()
    assert f'"authority": "{url}"' in written
    file.write_text(written.replace('"authority"', '"tenant"'))
    loaded = Settings.load()
    assert loaded == settings
    assert str(loaded.account) == "smtp+microsoft(login.microsoftonline.us)://a@example.com@mail.example.com:587"
