"""What an administrator can write into the organisation's file, and what is said about a file with a mistake."""

from __future__ import annotations

import io
import os
import stat
import sys
from codecs import BOM_UTF8, BOM_UTF16_LE
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from docmail import presets
from docmail.language import language
from docmail.look import Look
from docmail.message import Message
from docmail.presets import current_organisation
from docmail.presets.organisation import _lines
from docmail.settings import Mailbox, Settings, SmtpServer, current_look, usual_mailbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.certificates import Certificates

OWN = """\
# of Example Ltd
copy_to = "archive@example.com"

[[provider]]
name = "Example Ltd"
domains = ["example.com", "*.example.com"]
server = "mail.example.com"
port = 465
guide = \"\"\"
1. Type the password of your computer.
server = "this is no key"
\"\"\"

[provider.limits]
per_minute = 20

[[provider]]
domains = ["corp.example"]
server = "smtp.office365.com"
client_id = "11111111-1111-1111-1111-111111111111"
tenant = "corp.example"
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | bytes], Path]:
    """Return what writes the organisation's file, which the variable names."""
    path = tmp_path / "organisation.toml"
    monkeypatch.setenv("DOCMAIL_ORGANISATION", str(path))

    def written(content: str | bytes) -> Path:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


# --- where it is ---


def test_without_a_file_nothing_is_fixed_and_nothing_is_wrong() -> None:
    found = current_organisation()
    assert (found.path, found.providers, found.copy_to, found.problem) == (None, (), None, "")


def test_it_is_found_in_the_first_of_the_platforms_folders_that_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("XDG_CONFIG_DIRS", os.pathsep.join(["relative", str(first), str(second)]))
    (second / "docmail").mkdir(parents=True)
    (second / "docmail" / "organisation.toml").write_text('copy_to = "second@example.com"\n', "utf-8")
    assert current_organisation().copy_to == "second@example.com"
    (first / "docmail").mkdir(parents=True)
    (first / "docmail" / "organisation.toml").write_text('copy_to = "first@example.com"\n', "utf-8")
    assert current_organisation().copy_to == "first@example.com"


def test_the_variable_comes_first_and_an_empty_one_names_nothing(
    write: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    (tmp_path / "docmail").mkdir()
    (tmp_path / "docmail" / "organisation.toml").write_text('copy_to = "site@example.com"\n', "utf-8")
    write('copy_to = "named@example.com"\n')
    assert current_organisation().copy_to == "named@example.com"
    monkeypatch.setenv("DOCMAIL_ORGANISATION", "")
    assert current_organisation().copy_to == "site@example.com"


def test_a_variable_that_names_no_file_is_a_mistake_and_not_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCMAIL_ORGANISATION", str(tmp_path / "gone.toml"))
    assert str(tmp_path / "gone.toml") in current_organisation().problem
    monkeypatch.setenv("DOCMAIL_ORGANISATION", "organisation.toml")
    assert "whole path" in current_organisation().problem
    monkeypatch.setenv("DOCMAIL_ORGANISATION", "~/organisation.toml")
    Path("~/organisation.toml").expanduser().write_text('copy_to = "home@example.com"\n', "utf-8")
    assert current_organisation().copy_to == "home@example.com"


def test_a_folder_that_cannot_be_looked_into_is_no_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    (tmp_path / "docmail").symlink_to("docmail")
    assert "cannot be read" in current_organisation().problem


def test_a_changed_file_counts_at_once(write: Callable[[str], Path]) -> None:
    write('copy_to = "one@example.com"\n')
    assert current_organisation().copy_to == "one@example.com"
    write('copy_to = "two@example.com"\n')
    assert current_organisation().copy_to == "two@example.com"


# --- what it says ---


def test_its_providers_are_known_before_all_others(write: Callable[[str], Path]) -> None:
    write(OWN)
    found = presets.by_address("anna@sales.example.com")
    assert found is not None
    assert (found.name, found.servers[0].host, found.servers[0].port, found.limits.per_minute) == (
        *("Example Ltd", "mail.example.com", 465, 20),
    )
    assert presets.presets()[0].name == "Example Ltd"
    assert presets.by_host("mail.example.com") == found
    assert "password of your computer" in presets.steps(found).markdown
    assert presets.owner_of("mail.example.com") == "Example Ltd"
    write("")
    assert presets.by_address("anna@example.com") is None


def test_what_is_known_of_a_public_server_holds_for_the_organisation_as_well(write: Callable[[str], Path]) -> None:
    write(OWN)
    provider = current_organisation().provider_of("anna@corp.example")
    assert provider is not None
    assert (provider.port, provider.security, provider.sign_in) == (587, "starttls", "microsoft")
    assert presets.established("smtp.office365.com") is not None
    assert provider.preset.limits.recipients_per_day == 10_000
    assert presets.steps(provider.preset).title == "How do I set up Microsoft 365?"
    others = presets.of_account("smtp.office365.com", "anna@another.example", 587)
    assert others is not None
    assert others.id == "microsoft-365"


def test_the_most_exact_domain_decides_in_any_spelling(write: Callable[[str], Path]) -> None:
    write(
        '[[provider]]\ndomains = ["*.Example.com", "münchen.example"]\nserver = "one.example.com"\n'
        '[[provider]]\ndomains = ["sales.example.com"]\nserver = "two.example.com"\n'
    )
    organisation = current_organisation()
    for address, host in {
        "a@sales.example.com": "two.example.com",
        "a@it.EXAMPLE.com": "one.example.com",
        "a@xn--mnchen-3ya.example": "one.example.com",
        "a@münchen.example": "one.example.com",
    }.items():
        provider = organisation.provider_of(address)
        assert provider is not None, address
        assert provider.host == host
    assert organisation.provider_of("a@example.com") is None
    assert organisation.provider_of("a@notexample.com") is None


def test_a_server_may_have_a_name_without_dots(write: Callable[[str], Path]) -> None:
    write('[[provider]]\ndomains = ["example.com"]\nserver = "Mailhost"\n')
    assert current_organisation().problem == ""
    assert presets.by_host("mailhost") == presets.by_address("anna@example.com")
    assert presets.by_host("smtp.gmail.com") is not None


def test_an_application_is_for_everybody_or_for_one_provider(write: Callable[[str], Path]) -> None:
    write(
        '[microsoft]\nclient_id = "general"\ntenant = "general.example"\n'
        '[[provider]]\ndomains = ["a.example"]\nserver = "smtp.office365.com"\n'
        '[[provider]]\ndomains = ["b.example"]\nserver = "smtp.office365.com"\nclient_id = "own"\n'
        '[[provider]]\ndomains = ["c.example"]\napi = "graph"\ntenant = "c.example"\n'
        '[[provider]]\ndomains = ["d.example"]\nserver = "smtp.office365.com"\nsign_in = "password"\n'
    )
    organisation = current_organisation()
    assert organisation.problem == ""
    found = [organisation.provider_of(f"anna@{each}.example") for each in "abcd"]
    assert [(each.sign_in, each.application[:2]) for each in found if each] == [
        ("microsoft", ("general", "general.example")),
        ("microsoft", ("own", "")),
        ("microsoft", ("general", "c.example")),
        ("password", ("", "")),
    ]


def test_a_relative_ca_file_lies_beside_the_file(write: Callable[[str], Path], certificates: Certificates) -> None:
    path = write('[[provider]]\ndomains = ["example.com"]\nserver = "mail.example.com"\nca_file = "ca.pem"\n')
    assert "there is no file" in current_organisation().problem
    path.with_name("ca.pem").write_bytes(Path(certificates.ca_file).read_bytes())
    (provider,) = current_organisation().providers  # though only another file has changed
    assert provider.ca_file == str(path.with_name("ca.pem"))


@pytest.mark.parametrize("content", [BOM_UTF8 + OWN.encode(), OWN.replace("\n", "\r\n").encode()], ids=["BOM", "CRLF"])
def test_the_marks_of_editors_do_no_harm(write: Callable[[bytes], Path], content: bytes) -> None:
    write(content)
    assert current_organisation().problem == ""
    assert len(current_organisation().providers) == 2


def test_a_link_to_the_file_is_followed(write: Callable[[str], Path], tmp_path: Path) -> None:
    path = write(OWN)
    path.rename(tmp_path / "real.toml")
    path.symlink_to("real.toml")
    assert current_organisation().copy_to == "archive@example.com"


def test_the_mailbox_of_an_own_server_is_known_with_its_certificates(
    write: Callable[[str], Path], certificates: Certificates
) -> None:
    path = write(
        '[[provider]]\ndomains = ["example.com"]\nserver = "mail.example.com"\nca_file = "ca.pem"\n'
        'imap_server = "imap.example.com"\nimap_port = 143\nfiles_sent = true\n'
    )
    ca_file = path.with_name("ca.pem")
    ca_file.write_bytes(Path(certificates.ca_file).read_bytes())
    (provider,) = current_organisation().providers
    assert usual_mailbox(provider.preset) == Mailbox("imap.example.com", 143, ca_file=str(ca_file))
    assert provider.preset.files_sent is True


def test_without_a_mailbox_in_the_file_that_of_a_server_that_docmail_knows_stays(write: Callable[[str], Path]) -> None:
    known = '[[provider]]\ndomains = ["example.com"]\nserver = "smtp.gmail.com"\n'
    write(known)
    (provider,) = current_organisation().providers
    assert (provider.preset.imap_host, provider.preset.files_sent) == ("imap.gmail.com", True)
    write(f"{known}files_sent = false\n")
    (provider,) = current_organisation().providers
    assert (provider.preset.imap_host, provider.preset.files_sent) == ("imap.gmail.com", False)
    write('[[provider]]\ndomains = ["example.com"]\nserver = "mail.example.com"\n')
    (provider,) = current_organisation().providers
    assert usual_mailbox(provider.preset) is None


# --- what is wrong with it ---

PROVIDER = '[[provider]]\ndomains = ["example.com"]\nserver = "mail.example.com"\n'
OTHER = PROVIDER.replace("example.com", "example.org")

MISTAKES = {
    'copy_to = "archive@example.com\n': (1, "not TOML", ""),
    "\ncopy_to = archive@example.com\n": (2, "not TOML", ""),
    'copy_to = "a@example.com"\ncopy_to = "b@example.com"\n': (2, "not TOML", ""),
    "copy_to = 5\n": (1, "quotation marks", "copy_to"),
    'copy_to = "archive"\n': (1, "not an email address", "copy_to"),
    '\n\nservers = "mail.example.com"\n': (3, "does not know this", "servers"),
    "\n[looks]\nlogo = 5\n": (2, "does not know this", "looks"),
    "\n[microsoft]\nclientid = 5\n": (3, "“client_id” may be meant", "clientid"),
    '[google]\ntenant = "example.com"\n': (2, "does not know this", "tenant"),
    "microsoft = 5\n": (1, "[microsoft]", "microsoft"),
    f"{PROVIDER}host = 5\n": (4, "does not know this", "host"),
    f"{PROVIDER}port = 99999\n": (4, "from 1 to 65535", "port"),
    f'{PROVIDER}port = "587"\n': (4, "from 1 to 65535", "port"),
    f"{PROVIDER}port = true\n": (4, "from 1 to 65535", "port"),
    f"{PROVIDER}port = 0\n": (4, "from 1 to 65535", "port"),
    f"{PROVIDER}{PROVIDER}": (5, "at another provider already", "domains"),
    f'{PROVIDER}{PROVIDER.replace("example.com", "EXAMPLE.com.")}': (5, "already", "domains"),
    f'{PROVIDER}security = "ssl"\n': (4, "tls, starttls, none", "security"),
    f'{PROVIDER}security = "none"\n': (4, "never sent unencrypted", "security"),
    f'{PROVIDER}ca_file = "gone.pem"\n': (4, "there is no file", "ca_file"),
    f'{PROVIDER}ca_file = "."\n': (4, "there is no file", "ca_file"),
    f'{PROVIDER}ca_file = "organisation.toml"\n': (4, "PEM", "ca_file"),
    f'{PROVIDER}imap_server = "imap example.com"\n': (4, "not a server's name", "imap_server"),
    f"{PROVIDER}imap_port = 993\n": (4, "without “imap_server”", "imap_port"),
    f'{PROVIDER}imap_server = "imap.example.com"\nimap_port = 0\n': (5, "from 1 to 65535", "imap_port"),
    f'{PROVIDER}files_sent = "no"\n': (4, "true or false", "files_sent"),
    f'{PROVIDER}username = "me"\n': (4, "local-part", "username"),
    f'{PROVIDER}sign_in = "apple"\n': (4, "password, microsoft, google", "sign_in"),
    f'{PROVIDER}sign_in = "google"\n': (4, "client_id", "sign_in"),
    f'{PROVIDER}tenant = "https://example.com"\n': (4, "organisation's domain at Microsoft", "tenant"),
    f'{PROVIDER}authority = "http://example.com"\n': (4, "https://", "authority"),
    f'{PROVIDER}url = "https://example.com"\n': (4, "means nothing beside “server”", "url"),
    f'{PROVIDER}client_id = "1111"\n': (4, "sign in with password", "client_id"),
    f'{PROVIDER}sign_in = "google"\nclient_id = "1"\ntenant = "example.com"\n': (6, "sign in with google", "tenant"),
    '[[provider]]\ndomains = ["example.com"]\napi = "mailgun"\n': (3, "“url”", "api"),
    '[[provider]]\ndomains = ["example.com"]\napi = "postmark"\nsign_in = "google"\n': (4, "one of", "sign_in"),
    '[[provider]]\ndomains = ["example.com"]\napi = "postmark"\nusername = ""\n': (4, "beside “api”", "username"),
    f'{PROVIDER}api = "postmark"\n': (1, "either “server”", ""),
    f"{PROVIDER}[provider.limits]\nper_year = 5\n": (5, "“per_day” may be meant", "per_year"),
    f"{PROVIDER}limits = {{ per_day = -1 }}\n": (4, "from 1 to", "per_day"),
    f"{PROVIDER}\n{OTHER}port = -1\n": (8, "from 1 to 65535", "port"),
    f'{PROVIDER}guide = """\nport = 1\n"""\nport = -1\n': (7, "from 1 to 65535", "port"),
    "[provider]\nport = 5\n": (1, "[[provider]]", "provider"),
    '[[provider]]\nserver = "mail.example.com"\n': (1, "for which addresses", "domains"),
    '[[provider]]\ndomains = "example.com"\n': (2, "must be a list", "domains"),
    "[[provider]]\ndomains = []\n": (2, "must be a list", "domains"),
    '[[provider]]\ndomains = ["example.com"]\nserver = "mail example.com"\n': (3, "not a server's name", "server"),
    '[[provider]]\ndomains = ["example.com"]\nserver = "https://mail.example.com"\n': (3, "slashes", "server"),
    **{
        f'[[provider]]\ndomains = [\n  "example.com",\n  "{domain}",\n]\nserver = "mail.example.com"\n': (
            *(2, "is not a domain such as", "domains"),
        )
        for domain in ("*", "com", "*.com", "a*.com", "a@example.com", "10.0.0.1", "https://example.com", "a b.com", "")
    },
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_a_mistake_is_said_with_its_line_and_key_and_nothing_of_the_file_counts(
    write: Callable[[str], Path], content: str, expected: tuple[int, str, str]
) -> None:
    path = write(content)
    found = current_organisation()
    line, words, key = expected
    assert str(path) in found.problem
    assert f"line {line}: " in found.problem
    assert words in found.problem
    assert not key or f"“{key}”" in found.problem
    assert (found.providers, found.copy_to, found.microsoft.client_id) == ((), None, "")


SECRET = "correct-horse"

SECRETS = {
    f'password = "{SECRET}"\n': 1,
    f'\n[google]\nclient_secret = "{SECRET}"\n': 3,
    f'{PROVIDER}smtp_password = "{SECRET}"\n': 4,
    f'{PROVIDER}"API Key" = "{SECRET}"\n': 4,
    f'{PROVIDER}extra = [{{ Token = "{SECRET}" }}]\n': 4,
    f'{PROVIDER}[provider.credentials]\nuser = "{SECRET}"\n': 4,
}


@pytest.mark.parametrize(("content", "line"), SECRETS.items(), ids=range(len(SECRETS)))
def test_a_password_is_refused_wherever_it_stands_and_never_repeated(
    write: Callable[[str], Path], content: str, line: int
) -> None:
    write(content)
    problem = current_organisation().problem
    assert f"line {line}: " in problem
    assert "DOCMAIL_PASSWORD_FILE" in problem
    assert SECRET not in problem


@pytest.mark.parametrize(
    "content",
    [
        f'[[provider]]\ndomains = ["example.com"]\nserver = "anna:{SECRET}@mail.example.com"\n',
        f'[[provider]]\ndomains = ["example.com"]\napi = "graph"\nurl = "https://anna:{SECRET}@example.com"\n',
        f'[microsoft]\nauthority = "https://anna:{SECRET}@example.com"\n',
        f'password = "{SECRET}\n',
    ],
)
def test_a_password_in_an_address_or_a_broken_line_is_not_repeated(write: Callable[[str], Path], content: str) -> None:
    write(content)
    assert current_organisation().problem
    assert SECRET not in current_organisation().problem


def test_what_is_no_text_is_said_in_a_sentence(write: Callable[[bytes], Path], tmp_path: Path) -> None:
    path = write(BOM_UTF16_LE + OWN.encode("utf-16-le"))
    assert "UTF-16" in current_organisation().problem
    write(b'# \xe9t\xe9\ncopy_to = "a@example.com"\n')
    assert "line 1: this is not UTF-8 text" in current_organisation().problem
    write(b"# " + b"x" * 70_000)
    assert "larger than 64 kB" in current_organisation().problem
    path.unlink()
    path.mkdir()
    assert "it is not a file" in current_organisation().problem
    path.rmdir()
    path.symlink_to(tmp_path / "nowhere")
    assert "cannot be read" in current_organisation().problem
    path.unlink()
    os.mkfifo(path)
    assert "it is not a file" in current_organisation().problem


def test_a_deeply_nested_file_is_no_crash(write: Callable[[str], Path]) -> None:
    write(f"a = {'[' * 20_000}\n")
    assert "not TOML" in current_organisation().problem


@pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing there")
@pytest.mark.parametrize("what", ["file", "folder", "CA file"])
def test_a_file_that_others_can_change_decides_nothing(
    write: Callable[[str], Path], tmp_path: Path, certificates: Certificates, what: str
) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(Path(certificates.ca_file).read_bytes())
    path = write(f'copy_to = "thief@example.com"\n{PROVIDER}ca_file = "{ca_file}"\n')
    assert current_organisation().problem == ""
    # pytest's own folders can be entered by nobody else, and then nobody else can write.
    for above in (tmp_path, *tmp_path.parents):
        if above.owner() == Path.home().owner() and not above.stat().st_mode & stat.S_ISVTX:
            above.chmod(above.stat().st_mode | 0o055)
    changed = {"file": path, "folder": tmp_path, "CA file": ca_file}[what]
    changed.chmod(changed.stat().st_mode | 0o022)
    os.utime(path, (1, 1))  # what is beside the file is looked at when it is read
    try:
        found = current_organisation()
    finally:
        changed.chmod(changed.stat().st_mode & ~0o022)
    assert "Other people on this computer can write into" in found.problem
    assert found.copy_to is None


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs root")
def test_a_file_of_another_person_decides_nothing(write: Callable[[str], Path]) -> None:
    path = write('copy_to = "thief@example.com"\n')
    os.chown(path, 12345, 12345)
    assert "belongs to another person" in current_organisation().problem


def test_the_sentence_is_in_the_readers_language(write: Callable[[str], Path]) -> None:
    write("copy_to = 5\n")
    with language("af"):
        said = current_organisation().problem
    assert "reël 1" in said


def test_a_line_is_found_for_each_key_of_a_file() -> None:
    found = _lines(OWN)
    assert found["copy_to",] == 2
    assert found["provider", 0, "guide"] == 9
    assert found["provider", 0, "limits", "per_minute"] == 15
    assert found["provider", 1, "tenant"] == 21


@pytest.mark.parametrize("spoken", ["en", "af"])
def test_the_example_of_the_guide_is_a_file_that_works(
    write: Callable[[str], Path], certificates: Certificates, spoken: str
) -> None:
    with language(spoken):
        text = presets.guide("What does a complete file look like?").markdown
    example = "\n".join(line[4:] for line in text.split("\n") if line.startswith("    ") or not line)
    path = write(example)
    path.with_name("example-ca.pem").write_bytes(Path(certificates.ca_file).read_bytes())
    found = current_organisation()
    assert found.problem == ""
    assert found.copy_to == "archive@example.com"
    own, at_microsoft = found.providers
    assert (own.host, own.port, own.security, own.preset.limits.per_minute) == ("mail.example.com", 587, "starttls", 30)
    assert "1234" in own.preset.text
    assert (at_microsoft.sign_in, at_microsoft.application.tenant) == ("microsoft", "services.example.com")
    assert found.google.client_id
    assert found.microsoft.client_id
    assert found.look is not None
    assert (found.look.name, found.look.colour, found.look.signature) == ("Example Ltd", "#0a5c8c", "")


def test_the_guide_names_every_key_and_no_other(write: Callable[[str], Path]) -> None:
    text = presets.guide("For administrators").markdown
    for content in ("x = 5\n", "[microsoft]\nx = 5\n", "[google]\nx = 5\n", "[[provider]]\nx = 5\n", "[look]\nx = 5\n"):
        write(content)
        known = current_organisation().problem.partition("it knows ")[2].removesuffix(".").split(", ")
        assert all(f"{key} = " in text or f"`{key}`" in text or f"[{key}]" in text for key in known), known


# --- how mails look ---


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('colour = "blue"', "line 2: “colour”: “blue” is no colour"),
        ('name = "Example"\nlogo = "missing.png"', "line 3: “logo”"),
        ('currency = "EURO"', "line 2: “currency”: “EURO” is no currency"),
        ("footer = 5", "line 2: “footer”: this must be text"),
        ('colour = "#0a5c8c"\nfooterr = "x"', "line 3: “footerr”: docmail does not know this"),
    ],
)
def test_a_look_with_a_mistake_is_named_with_its_line(
    write: Callable[[str], Path], content: str, sentence: str
) -> None:
    write(f"[look]\n{content}\n")
    assert sentence in current_organisation().problem
    assert current_organisation().look is None


def test_the_organisations_look_wins_field_by_field_over_the_saved_one_and_not_over_one_in_code(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "logo.png").write_bytes(_logo())
    write('[look]\nname = "Example Ltd"\nlogo = "logo.png"\nfooter = """\nLine 1\nLine 2\n"""\n')
    server = SmtpServer("mail.example.org", username="ann@example.org")
    own = Settings("Ann", server, look=Look("Ann's", signature="Ann Adams", footer="mine"))
    assert own.shown_look.name == "Example Ltd"
    assert own.shown_look.logo == _logo()
    assert own.shown_look.footer == "Line 1\nLine 2"
    assert own.shown_look.signature == "Ann Adams"
    own.save()
    assert Settings.load().look == own.look  # the file can be taken away again
    assert current_look() == own.shown_look
    html = _html(Message("a@example.com", "Hello", "Hi"), own)
    assert "Line 2" in html
    assert "mine" not in html
    assert "Line 2" not in _html(Message("a@example.com", "Hello", "Hi", look=Look.PLAIN), own)


def _html(message: Message, settings: Settings) -> str:
    body = message.render(settings).parsed().get_body(("html",))
    assert body is not None
    return str(body.get_content())


def _logo() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "#0a5c8c").save(file, "PNG")
    return file.getvalue()
