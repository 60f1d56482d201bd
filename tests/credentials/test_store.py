"""A password is found where it was put, goes to no other server, and is shown nowhere; no keyring can hang docmail."""

from __future__ import annotations

import copy
import json
import os
import pickle
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends import null
from keyring.errors import InitError, KeyringError, KeyringLocked

from docmail import credentials, presets
from docmail import home as homes
from docmail.addresses import first_control
from docmail.credentials import keyring_store
from docmail.credentials import store as credentials_store
from docmail.credentials.keyring_store import KEYRING_SERVICE
from docmail.errors import CredentialError
from docmail.oauth import google
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.secret import Secret
from docmail.settings import Account, HttpServer, Settings, SignIn, SmtpServer
from docmail.widgets.settings import report
from tests.support.keyring_daemon import run_with_keyring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.memory_keyring import MemoryKeyring

PASSWORD = "hunter2 & p\u00e4ss"


def at(host: str = "smtp.example.com", port: int = 587, username: str = "me@example.com") -> Settings:
    return Settings("Accounts", SmtpServer(host, port, username=username))


ME = at()
KEY = (KEYRING_SERVICE, "smtp://me@example.com@smtp.example.com:587")
HTTP = Settings("Accounts", HttpServer("mail.example.com", username="me"), reply_to=("a@example.com",))


@pytest.fixture(autouse=True)
def empty_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without passwords, and without a keyring that somebody still waits for."""
    monkeypatch.setattr(credentials_store, "_session", {})
    monkeypatch.setattr(keyring_store._Waiting, "thread", None)
    yield
    if keyring_store._Waiting.thread is not None:
        keyring_store._Waiting.thread.join(5)


def found(settings: Settings = ME) -> str:
    secret = credentials.get(settings)
    assert secret is not None
    return secret.reveal()


# --- where it is kept ---


def test_a_remembered_password_goes_to_the_keyring_and_nowhere_else(memory_keyring: MemoryKeyring) -> None:
    assert credentials.set(ME, PASSWORD) == "keyring"
    assert memory_keyring.data == {KEY: PASSWORD}
    assert credentials_store._session == {}
    assert (credentials.where(ME), found()) == ("keyring", PASSWORD)


def test_a_password_that_is_not_to_be_remembered_lasts_for_this_session(memory_keyring: MemoryKeyring) -> None:
    assert credentials.set(ME, PASSWORD, remember=False) == "session"
    assert memory_keyring.data == {}
    assert (credentials.where(ME), found()) == ("session", PASSWORD)


def test_the_session_comes_before_the_environment_and_that_before_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    ME.save()
    credentials.set(ME, "from the keyring")
    assert (credentials.where(ME), found()) == ("keyring", "from the keyring")
    monkeypatch.setenv("DOCMAIL_PASSWORD", "from the environment")
    assert (credentials.where(ME), found()) == ("environment", "from the environment")
    credentials.set(ME, "from the session", remember=False)
    assert (credentials.where(ME), found()) == ("session", "from the session")


@pytest.mark.parametrize(
    "other",
    [
        at(host="smtp.example.org"),
        at(port=465),
        at(username="you@example.com"),
        Settings("A", HttpServer("smtp.example.com:587", username="me@example.com"), reply_to=("a@example.com",)),
    ],
)
@pytest.mark.parametrize("remember", [True, False])
def test_a_password_goes_to_no_other_server_port_or_username(other: Settings, remember: bool) -> None:  # noqa: FBT001
    ME.save()
    credentials.set(ME, PASSWORD, remember=remember)
    assert credentials.where(other) is None
    with pytest.raises(CredentialError, match="No password is stored") as caught:
        credentials.get(other)
    assert (caught.value.field, caught.value.guide) == ("password", "Passwords")


def test_the_spelling_of_a_server_does_not_matter() -> None:
    credentials.set(ME, PASSWORD)
    assert found(at(host="SMTP.Example.com.")) == PASSWORD


def test_who_does_not_sign_in_needs_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    relay = Settings("Accounts <a@example.com>", SmtpServer("relay.example.com"))
    relay.save()
    monkeypatch.setenv("DOCMAIL_PASSWORD", PASSWORD)
    assert credentials.get(relay) is None
    assert credentials.where(relay) is None


def test_an_http_account_has_a_password_of_its_own(memory_keyring: MemoryKeyring) -> None:
    credentials.set(HTTP, PASSWORD)
    assert memory_keyring.data == {(KEYRING_SERVICE, "https://me@mail.example.com:443"): PASSWORD}


def test_forgetting_removes_it_everywhere(memory_keyring: MemoryKeyring) -> None:
    credentials.set(ME, PASSWORD)
    credentials.set(ME, PASSWORD, remember=False)
    credentials.forget(ME)
    assert memory_keyring.data == {}
    assert credentials.where(ME) is None
    credentials.forget(ME)  # twice is no error


def test_asking_takes_it_from_the_keyboard(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = {"Password of me@example.com at smtp.example.com: ": PASSWORD}
    monkeypatch.setattr("getpass.getpass", typed.pop)
    assert credentials.ask(ME, remember=False) == "session"
    assert found() == PASSWORD


def test_a_lent_password_can_be_taken_back() -> None:
    credentials.provide(ME.account, Secret(PASSWORD))
    assert credentials.where(ME) == "session"
    credentials.withdraw(ME.account)
    assert credentials.where(ME) is None


# --- blanks and what is no password ---


@pytest.mark.parametrize("password", [" hunter2 ", "a b", "\u00a0x", "\u3000", "abcd efgh ijkl mnop"])
def test_a_password_is_never_trimmed(password: str) -> None:
    credentials.set(ME, password)
    assert found() == password


@pytest.mark.parametrize("pasted", ["abcd efgh ijkl mnop", " abcd\u00a0efgh ijkl mnop\n", "abcdefghijklmnop"])
@pytest.mark.parametrize("host", ["smtp.gmail.com", "smtp.mail.yahoo.com"])
def test_the_blanks_of_a_pasted_app_password_are_removed(host: str, pasted: str) -> None:
    settings = at(host=host)
    assert presets.by_host(host)
    credentials.set(settings, pasted)
    assert found(settings) == "abcdefghijklmnop"


def test_a_password_with_blanks_that_has_another_form_keeps_them_even_at_gmail() -> None:
    settings = at(host="smtp.gmail.com")
    credentials.set(settings, "correct horse battery staple")
    assert found(settings) == "correct horse battery staple"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "The password is empty"),
        (None, "must be text, not NoneType"),
        (5, "must be text, not int"),
        (b"hunter2", "must be text, not bytes"),
        ("hunter2\n", r"invisible character U\+000A"),
        ("hunter2\x00", r"invisible character U\+0000"),
        ("hunter2\ud800", r"invisible character U\+D800"),
        ("hunter2\u00a0", r"ends with a no-break space \(U\+00A0\).*Type the password again, without that space"),
        ("hunter2 \u202f", "ends with a no-break space"),
        ("x" * 10_001, "longer than 10000"),
        (Secret(""), "The password is empty"),
    ],
)
def test_what_cannot_be_a_password_is_refused_and_not_kept(
    value: Any, words: str, memory_keyring: MemoryKeyring
) -> None:
    with pytest.raises(CredentialError, match=words) as caught:
        credentials.set(ME, value)
    assert caught.value.field == "password"
    assert credentials_store._session == {}
    assert memory_keyring.data == {}


@given(st.text(max_size=40))
@example("\ufeffx")
@example("a\u00a0b ")
def test_any_text_is_kept_as_it_is_or_refused_in_a_sentence(text: str) -> None:
    try:
        credentials.set(ME, text)
    except CredentialError as exc:
        assert not text or first_control(text) or text[-1] in "\u00a0\u2007\u202f"
        assert text not in str(exc) or len(text) < 2  # noqa: PT017 - either end is right
    else:
        assert found() == text


# --- keys and tokens ---

KEY_OF_A_SERVICE = "re_AbCd1234"
SERVICES = [
    *(
        Settings("A <a@example.com>", HttpServer("", api, reply))
        for api, reply in (
            ("postmark", ""),
            ("resend", ""),
            ("brevo", ""),
            ("sendgrid", ""),
            ("graph", "a@example.com"),
        )
    ),
    Settings("A <a@example.com>", HttpServer("api.mailgun.net/v3/mg.example.com", "mailgun")),
]
SIGNED_IN = Settings(
    "A", SmtpServer("smtp.gmail.com", username="a@gmail.com", sign_in=SignIn.GOOGLE, client_id="7.example.com")
)
STRANGE = {
    "\u200b": "Character 5 of the key is invisible: U+200B ZERO WIDTH SPACE",
    "\u00ad": "U+00AD SOFT HYPHEN",
    "\ufeff": "U+FEFF ZERO WIDTH NO-BREAK SPACE",
    "\u00a0": "U+00A0 NO-BREAK SPACE",
    "\u2060": "U+2060 WORD JOINER",
    "\u202e": "U+202E RIGHT-TO-LEFT OVERRIDE",
    "\u2019": "Character 5 of the key is one that no key contains: U+2019 RIGHT SINGLE QUOTATION MARK",
    "\u0430": "U+0430 CYRILLIC SMALL LETTER A",
    "\u2013": "U+2013 EN DASH",
    "\u2026": "U+2026 HORIZONTAL ELLIPSIS",
    "\uff21": "U+FF21 FULLWIDTH LATIN CAPITAL LETTER A",
    "\U0001f511": "U+1F511 KEY",
    "é": "U+00E9 LATIN SMALL LETTER E WITH ACUTE",
    "\n": "U+000A",
    "\udc80": "U+DC80",
}


def _with(sign: str) -> str:
    return f"{KEY_OF_A_SERVICE[:4]}{sign}{KEY_OF_A_SERVICE[4:]}"


@pytest.mark.parametrize("sign", STRANGE, ids=lambda sign: f"{ord(sign):x}")
def test_a_key_with_a_character_that_no_key_has_is_refused_in_a_sentence_that_does_not_quote_it(
    sign: str, memory_keyring: MemoryKeyring
) -> None:
    for settings in (SERVICES[0], SIGNED_IN):
        for remember in (True, False):
            with pytest.raises(CredentialError) as caught:
                credentials.set(settings, _with(sign), remember=remember)
            assert STRANGE[sign] in str(caught.value)
            assert "Copy the key again" in caught.value.hint
            assert not any(part in repr(vars(caught.value)) for part in (KEY_OF_A_SERVICE[:4], KEY_OF_A_SERVICE[4:]))
        assert credentials_store._session == {}
    assert memory_keyring.data == {}


@pytest.mark.parametrize("settings", SERVICES, ids=lambda settings: settings.server.api)
def test_the_key_of_every_service_is_looked_at_wherever_it_comes_from(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, memory_keyring: MemoryKeyring, tmp_path: Path
) -> None:
    memory_keyring.data[KEYRING_SERVICE, str(settings.account)] = _with("\u200b")  # by an earlier docmail
    with pytest.raises(CredentialError, match="Character 5 of the key is invisible") as caught:
        credentials.get(settings)
    assert caught.value.field == "password"
    settings.save()
    monkeypatch.setenv("DOCMAIL_PASSWORD", _with("\u2013"))
    with pytest.raises(CredentialError, match=r"EN DASH\. Correct DOCMAIL_PASSWORD, and start"):
        credentials.get(settings)
    monkeypatch.delenv("DOCMAIL_PASSWORD")
    (tmp_path / "key").write_text(_with("\u00a0"), "utf-8")
    monkeypatch.setenv("DOCMAIL_PASSWORD_FILE", str(tmp_path / "key"))
    with pytest.raises(CredentialError, match=r"NO-BREAK SPACE\. Correct DOCMAIL_PASSWORD_FILE, and"):
        credentials.get(settings)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: _with("\ufeff"))
    with pytest.raises(CredentialError, match="U\\+FEFF"):
        credentials.ask(settings)


def test_the_fields_of_what_is_wrong_are_those_in_which_it_was_entered() -> None:
    for settings, field in ((SIGNED_IN, "sign_in"), (google.application(SIGNED_IN), "client_secret")):
        with pytest.raises(CredentialError, match="EN DASH") as caught:
            credentials.set(settings, _with("\u2013"))
        assert caught.value.field == field


@pytest.mark.parametrize("settings", [ME, HTTP, at("smtp.sendgrid.net")], ids=str)
@pytest.mark.parametrize("sign", ["\u200b", "\u2013", "\u0430", "é"], ids=ascii)
def test_a_password_may_have_any_character_that_can_be_seen_or_not(settings: Settings, sign: str) -> None:
    credentials.set(settings, _with(sign))
    assert found(settings) == _with(sign)


# --- the environment ---


def test_the_environment_serves_the_account_of_the_selected_profile_only(monkeypatch: pytest.MonkeyPatch) -> None:
    other = at(username="you@example.com")
    monkeypatch.setenv("DOCMAIL_PASSWORD", PASSWORD)
    assert credentials.where(ME) is None  # nothing is saved, so nobody is meant
    ME.save()
    other.save("second")
    assert (credentials.where(ME), credentials.where(other)) == ("environment", None)
    monkeypatch.setenv("DOCMAIL_PROFILE", "second")
    assert (credentials.where(ME), credentials.where(other)) == (None, "environment")
    monkeypatch.setenv("DOCMAIL_PROFILE", "../x")
    assert credentials.where(ME) is None


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b" hunter2 \n", " hunter2 "),
        (b"\xef\xbb\xbfhunter2\r\n", "hunter2"),  # as Windows' editor saves it
        ("p\u00e4ss".encode(), "p\u00e4ss"),
        (b"\xff\xfe" + "p\u00e4ss\r\n".encode("utf-16-le"), "p\u00e4ss"),  # as PowerShell's “>” writes it
        (b"\xfe\xff" + "p\u00e4ss".encode("utf-16-be"), "p\u00e4ss"),
    ],
)
def test_a_password_file_may_end_with_a_line_end(
    content: bytes, password: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ME.save()
    (home / "password").write_bytes(content)
    monkeypatch.setenv("DOCMAIL_PASSWORD_FILE", "~/password")
    assert (credentials.where(ME), found()) == ("environment", password)


def test_the_blanks_of_an_app_password_are_removed_in_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = at(host="smtp.gmail.com")
    settings.save()
    monkeypatch.setenv("DOCMAIL_PASSWORD", "abcd efgh ijkl mnop")
    assert found(settings) == "abcdefghijklmnop"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"\xff\xfeh\0u", "not UTF-8"),  # cut off in the middle of a character of UTF-16
        (b"hunter2 \r\n", "ends with a space.*echo"),  # as “echo hunter2 > file” of Windows leaves it
        ("hunter2 \r\n".encode("utf-16"), "ends with a space"),
        (b"one\ntwo\n", r"invisible character U\+000A"),
        ("folder", "it is not a file"),
        ("pipe", "it is not a file"),
        ("~nobody-at-all/password", "No such file"),
    ],
)
def test_a_password_file_that_does_not_serve_is_named(
    content: bytes | str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ME.save()
    path = tmp_path / "password"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content == "pipe":
        os.mkfifo(path)
    elif content:
        path = Path(content)
    monkeypatch.setenv("DOCMAIL_PASSWORD_FILE", str(path))
    with pytest.raises(CredentialError, match=words) as caught:
        credentials.get(ME)
    assert "invisible" in words or str(path) in str(caught.value)
    assert "hunter2" not in str(caught.value)


# --- keyrings that fail ---


class Raising(KeyringBackend):
    """Raises the same error at every call, with the password in it."""

    priority = -1

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def get_password(self, *_names: str) -> str | None:
        """Raise it."""
        raise self.error

    def set_password(self, *_names: str) -> None:
        """Raise it."""
        raise self.error

    def delete_password(self, *_names: str) -> None:
        """Raise it."""
        raise self.error


class Panic(BaseException):
    """What a backend written in Rust raises: no Exception at all."""


ERRORS = [
    KeyringError(""),
    KeyringLocked("locked"),
    InitError("no D-Bus"),
    ModuleNotFoundError("x"),
    OSError(5),
    Panic(),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_a_keyring_that_fails_leaves_the_password_to_this_session(error: BaseException) -> None:
    keyring.set_keyring(Raising(error))
    assert credentials.set(ME, PASSWORD) == "session"
    assert found() == PASSWORD


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_a_keyring_that_fails_is_reported_in_a_sentence(error: BaseException) -> None:
    keyring.set_keyring(Raising(error))
    for action in (credentials.get, credentials.where, credentials.forget):
        with pytest.raises(CredentialError, match=r"keyring cannot be used: .+\. Unlock the keyring"):
            action(ME)


def test_a_machine_without_a_keyring_works_for_this_session(no_keyring: None) -> None:  # noqa: ARG001 - stands in
    assert credentials.where(ME) is None
    with pytest.raises(CredentialError, match="No password is stored"):
        credentials.get(ME)
    assert credentials.set(ME, PASSWORD) == "session"
    assert (credentials.where(ME), found()) == ("session", PASSWORD)
    credentials.forget(ME)
    assert credentials.where(ME) is None


def test_a_keyring_that_keeps_nothing_is_noticed() -> None:
    keyring.set_keyring(null.Keyring())
    assert credentials.set(ME, PASSWORD) == "session"
    assert found() == PASSWORD


def test_a_keyring_that_changes_the_password_is_noticed(
    memory_keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_keyring, "get_password", lambda *_: PASSWORD.encode("ascii", "ignore").decode())
    assert credentials.set(ME, PASSWORD) == "session"
    assert found() == PASSWORD


def test_a_keyring_that_waits_for_an_unseen_prompt_does_not_hang_and_works_once_it_is_unlocked(
    memory_keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = threading.Event()
    monkeypatch.setattr(keyring_store, "KEYRING_SECONDS", 0.2)
    monkeypatch.setattr(memory_keyring, "get_password", lambda *_: [unlocked.wait(20), PASSWORD][1])
    started = time.monotonic()
    with pytest.raises(CredentialError, match="does not answer"):
        credentials.get(ME)
    assert time.monotonic() - started < 2
    started = time.monotonic()
    with pytest.raises(CredentialError, match="still does not answer"):
        credentials.get(ME)
    assert credentials.set(ME, PASSWORD) == "session"
    assert time.monotonic() - started < 0.15
    credentials_store._session.clear()
    unlocked.set()
    assert keyring_store._Waiting.thread is not None
    keyring_store._Waiting.thread.join(5)
    assert found() == PASSWORD


@pytest.mark.keyring_daemon
def test_a_real_keyring_keeps_the_password_for_the_next_kernel(tmp_path: Path) -> None:
    prelude = """from docmail import credentials
from docmail.settings import Settings, SmtpServer
me = Settings("Accounts", SmtpServer("smtp.example.com", username="me@example.com"))
"""
    store = f"{prelude}print(credentials.set(me, 'pässwörd '))"
    read = f"{prelude}print(credentials.where(me), credentials.get(me).reveal() + '|'); credentials.forget(me)"
    done = run_with_keyring(
        f"{store}\ncredentials.store._session.clear()\n{read}\nprint(credentials.where(me))", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["keyring", "keyring pässwörd |", "None"]


@pytest.mark.keyring_daemon
def test_a_real_keyring_that_is_locked_ends_in_a_sentence_in_time(tmp_path: Path) -> None:
    prelude = """import time
from docmail import credentials
from docmail.errors import CredentialError
from docmail.settings import Settings, SmtpServer
me = Settings("Accounts", SmtpServer("smtp.example.com", username="me@example.com"))
"""
    code = f"""{prelude}started = time.monotonic()
try:
    credentials.get(me)
except CredentialError as error:
    print(error)
print(credentials.set(me, "pässwörd"), credentials.where(me), time.monotonic() - started < 15)"""
    done = run_with_keyring(code, tmp_path, before_locking=f"{prelude}credentials.set(me, 'old')")
    assert done.returncode == 0, done.stderr
    sentence, rest = done.stdout.splitlines()
    assert sentence.startswith("The system's keyring cannot be used: ")
    assert rest == "session session True"


# --- rehearsals ---


def test_nothing_rehearsed_reaches_the_users_keyring(tmp_path: Path, memory_keyring: MemoryKeyring) -> None:
    credentials.set(ME, PASSWORD)
    rehearsal = homes.Home.below(tmp_path, rehearsal=True)
    homes.begin_rehearsal(rehearsal)
    try:
        assert credentials.where(ME) is None
        assert credentials.set(ME, "rehearsed") == "session"
        credentials.forget(ME)
    finally:
        homes.end_rehearsal(rehearsal)
    # The settings of a rehearsal stay its own after it.
    assert credentials.set(replace(ME, home=rehearsal), "rehearsed") == "session"
    credentials.forget(replace(ME, home=rehearsal))
    assert memory_keyring.data == {KEY: PASSWORD}


def test_the_shared_sandbox_needs_no_password_and_lends_its_own_to_nobody_else() -> None:
    shared = homes.Home.below(homes.shared_sandbox(), rehearsal=True)
    replace(ME, home=shared).save(homes.SHARED_SANDBOX)
    assert found(Settings.load(homes.SHARED_SANDBOX)) == SANDBOX_PASSWORD
    assert credentials.where(ME) is None
    assert credentials.where(replace(at(port=25), home=shared)) is None


# --- shown nowhere ---


def test_a_secret_shows_itself_in_no_text() -> None:
    secret = Secret(PASSWORD)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>9}", f"{[secret]} { ({'a': secret}) }", "%s" % secret]  # noqa: UP031
    assert [PASSWORD in text for text in shown] == [False] * len(shown)
    assert shown[:3] == ["•••"] * 3
    for fails in (vars, json.dumps, pickle.dumps, copy.copy, copy.deepcopy, hash, lambda value: format(value, ">9")):
        with pytest.raises(TypeError) as caught:
            fails(secret)
        assert PASSWORD not in str(caught.value)


@given(st.text(max_size=20), st.text(max_size=20))
@example("\ud800", "\ud800")
@example("", "")
def test_secrets_are_equal_when_their_passwords_are(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) != one
    assert bool(Secret(one)) == bool(one)


def test_an_account_shows_no_password() -> None:
    assert str(ME.account) == "smtp://me@example.com@smtp.example.com:587"
    assert ME.account == Account("smtp", "smtp.example.com", 587, "me@example.com")


def _verbose(exc: BaseException) -> str:
    from IPython.core.ultratb import VerboseTB

    return "\n".join(VerboseTB(theme_name="nocolor").structured_traceback(type(exc), exc, exc.__traceback__))


@pytest.mark.parametrize("password", ["hunter2\n", "hunter2" * 2000, b"hunter2", "hunter2\ud800", "hunter2"])
def test_the_most_verbose_traceback_of_a_failure_shows_no_password(
    password: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if password == "hunter2":

        def interrupted(*_args: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(keyring_store, "_with_time_limit", interrupted)
    given = [password]
    with pytest.raises((CredentialError, KeyboardInterrupt)) as caught:
        credentials.set(ME, given.pop())
    del password
    trace = caught.value.__traceback__
    assert trace is not None
    # The frame of this test is the user's own cell; what docmail adds to it begins below.
    text = _verbose(caught.value.with_traceback(trace.tb_next))
    assert "credentials/store.py" in text
    assert "hunter2" not in text
    assert "hunter2" not in "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )


def test_a_password_in_the_environment_that_serves_other_settings_is_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMAIL_PASSWORD", "hidden-from-others")
    unsaved = Settings("Accounts", SmtpServer("smtp.example.com", username="accounts@example.com"))
    with pytest.raises(CredentialError, match="DOCMAIL_PASSWORD is used only for the saved settings") as caught:
        credentials.get(unsaved)
    assert "hidden" not in str(caught.value)


# --- a keyring that is there and does not take it ---


def test_a_keyring_that_waits_or_is_locked_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_store, "KEYRING_SECONDS", 0.05)
    waiting = threading.Event()

    class Asks(Raising):
        def get_password(self, *_names: str) -> None:
            waiting.wait(5)

    for backend, reason in ((Raising(KeyringLocked("it is locked")), "it is locked"), (Asks(KeyError()), "not answer")):
        keyring.set_keyring(backend)
        assert credentials.set(ME, PASSWORD) == "session"
        failure = credentials.why_not_kept(ME)
        assert failure is not None
        assert reason in failure.message
        said = report._kept("session", ME, rehearsal=False)
        assert "no keyring" not in said
        assert reason in said
        assert found() == PASSWORD
    waiting.set()
    monkeypatch.setattr(keyring_store._Waiting, "thread", None)
    keyring.set_keyring(null.Keyring())
    assert credentials.set(ME, PASSWORD) == "session"
    assert credentials.why_not_kept(ME) is None
    assert "no keyring" in report._kept("session", ME, rehearsal=False)


def test_a_backend_that_repeats_the_password_in_its_error_is_not_quoted() -> None:
    keyring.set_keyring(Raising(RuntimeError(f"cannot store {PASSWORD}")))
    credentials.set(ME, PASSWORD)
    failure = credentials.why_not_kept(ME)
    if failure is not None:
        assert PASSWORD not in str(failure)
