"""Reads what an organisation fixes for everybody on a computer: its own mail server, applications, archive address.

An administrator writes it once, as TOML: the file that `DOCMAIL_ORGANISATION` names, otherwise `organisation.toml` in
the platform's folder for all users. What it fixes wins over what is saved or typed (`Settings` sees to that). A file
with a mistake fixes nothing, and `Organisation.problem` says what is wrong with it, with line and key.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import platformdirs

from docmail.addresses import ascii_host, is_loopback, parse_address
from docmail.errors import AddressError, SettingsError
from docmail.files import open_to_others, reason_of
from docmail.language import _
from docmail.look import Look
from docmail.presets import services
from docmail.presets.preset import FACTS, Limits, Preset, Server, built_in, of_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

VARIABLE = "DOCMAIL_ORGANISATION"
FILE_NAME = "organisation.toml"

_MOST_BYTES = 65_536  # a file of settings and a guide; more is something else
_MAX_PORT = 65535
_SIGN_INS = ("password", "microsoft", "google")
_SECURITIES = ("tls", "starttls", "none")
_SECRET = re.compile(r"passw|passphrase|secret|token|api[_ .-]?key|private[_ .-]?key|credential", re.IGNORECASE)
_FILES = {"logo", "font"}  # of a look
_LIMITS = tuple(each.name for each in fields(Limits) if each.name != "approximate")


class Application(NamedTuple):
    """What was registered for docmail at Microsoft or Google; an empty text fixes nothing."""

    client_id: str = ""
    tenant: str = ""
    authority: str = ""


_NO_APPLICATION = Application()

_known: dict[tuple[Any, ...], Organisation] = {}


@dataclass(frozen=True)
class Provider:
    """An own mail server, as the organisation's file has it: what it fixes for addresses in its domains.

    `preset` is what docmail knows of it as of any provider; its `username` is "" where nobody signs in. By SMTP,
    `host`, `port`, `security` and `ca_file` are those of `SmtpServer`; with `api` mail goes through that service over
    HTTP, at `url` if that is not the usual place. One signs in with `sign_in`, through `application`.

    >>> ours = docmail.presets.Provider(docmail.presets.by_name("Gmail"), host="mail.example.com")
    >>> ours.port, ours.security
    (587, 'starttls')
    """

    preset: Preset
    host: str = ""
    port: int = 587
    security: str = "starttls"
    ca_file: str | None = None
    api: str = ""
    url: str = ""
    sign_in: str = "password"
    application: Application = _NO_APPLICATION


@dataclass(frozen=True)
class Organisation:
    """What the organisation's file (`path`) fixes; nothing of it if there is none, or if it has a `problem`.

    `providers` are its own mail servers, `microsoft` and `google` the applications that everybody signs in with,
    `copy_to` is the archive's address, `look` how mails look.

    >>> docmail.presets.current_organisation().providers
    ()
    """

    path: Path | None = None
    providers: tuple[Provider, ...] = ()
    microsoft: Application = _NO_APPLICATION
    google: Application = _NO_APPLICATION
    copy_to: str | None = None
    look: Look | None = None
    problem: str = ""

    def provider_of(self, address: str) -> Provider | None:
        """Return the provider in whose domains this address is; of several, the one that names it most exactly.

        >>> docmail.presets.current_organisation().provider_of("ann@example.com") is None
        True
        """
        found = of_address(address, [*(each.preset for each in self.providers), *built_in()])
        return next((each for each in self.providers if each.preset is found), None)

    def application(self, sign_in: str) -> Application:
        """Return the application that everybody signs in with; `sign_in` is "microsoft" or "google".

        >>> docmail.presets.current_organisation().application("microsoft").client_id
        ''
        """
        return {"microsoft": self.microsoft, "google": self.google}.get(sign_in, _NO_APPLICATION)


def current_organisation() -> Organisation:
    """Return what the organisation's file fixes, as the file is now; never raises.

    >>> docmail.presets.current_organisation().copy_to is None
    True
    """
    path: Path | None = None
    try:
        path = _place()
        return _known_or_read(path) if path else Organisation()
    except _Mistake as exc:
        where = _("line {line}: ").format(line=exc.line) if exc.line else ""
        reason = f"{where}{exc.sentence}"
    except OSError as exc:
        reason = _("it cannot be read ({reason}).").format(reason=reason_of(exc, path or Path()))
    sentence = _("The organisation's file {path} is not used: {reason}")
    return Organisation(path, problem=sentence.format(path=path or "", reason=reason) if path else reason)


def _known_or_read(path: Path) -> Organisation:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise _Mistake(_("it is not a file."))  # and reading a pipe could wait for ever
    if found.st_size > _MOST_BYTES:
        raise _Mistake(_("it is larger than {limit} kB.").format(limit=_MOST_BYTES // 1024))
    check_trust(path)
    version = (path, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
    if (known := _known.get(version)) is None:
        known = _Reader(path).read()
        _known.clear()
        _known[version] = known
    return known


# --- where it is ------------------------------------------------------------------------------------------------------


def organisation_places() -> list[Path]:
    """Return where the file is looked for if no variable names it; the first that is there counts.

    >>> docmail.presets.organisation_places()[0].name
    'organisation.toml'
    """
    folders = platformdirs.site_config_dir("docmail", appauthor=False, multipath=True).split(os.pathsep)
    return [Path(folder) / FILE_NAME for folder in dict.fromkeys(folders) if os.path.isabs(folder)]  # noqa: PTH117


def _place() -> Path | None:
    """Return the file that counts; raises `_Mistake` if the variable names none."""
    if named := os.environ.get(VARIABLE, "").strip():
        path = Path(os.path.expanduser(named))  # noqa: PTH111 - unlike Path's, it leaves an unknown ~user as it is
        if not path.is_absolute():
            sentence = _("{variable} must name the file with its whole path, from the root of the disk on.")
            raise _Mistake(sentence.format(variable=VARIABLE))
        return path
    return next((path for path in organisation_places() if _may_be_there(path)), None)


def _may_be_there(path: Path) -> bool:
    """Say whether there is a file, or something in the way of seeing that; also a link that leads nowhere is one."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


class _Mistake(Exception):
    """What is wrong with the file, in a sentence, and in which line (0: in none)."""

    def __init__(self, sentence: str, line: int = 0) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.line = line


# --- what is in it ----------------------------------------------------------------------------------------------------


class _Reader:
    """Reads one file and judges each key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = ""
        self.domains: set[str] = set()
        """Those of the providers so far: of two for one domain, nobody knows which is meant."""

    def read(self) -> Organisation:
        """Return what the file says; raises `_Mistake`, or `OSError`."""
        self._text = _decoded(self._path.read_bytes())
        try:
            content = tomllib.loads(self._text)
        except (tomllib.TOMLDecodeError, RecursionError) as exc:
            raise self._no_toml(exc) from None
        self._refuse_secrets(content)
        top = _Table(self, (), content)
        top.knows("copy_to", "provider", "microsoft", "google", "look")
        microsoft, google = self._application(top.table("microsoft")), self._application(top.table("google"))
        listed = content.get("provider", [])
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise top.mistake(_("a provider begins with a line [[provider]], in double brackets."), "provider")
        changed = date.fromtimestamp(self._path.stat().st_mtime)  # noqa: DTZ012 - the administrator's day
        return Organisation(
            self._path,
            tuple(
                self._provider(
                    _Table(self, ("provider", number), each), {"microsoft": microsoft, "google": google}, changed
                )
                for number, each in enumerate(listed)
            ),
            microsoft,
            google,
            top.text("copy_to", _check_address) or None,
            self._look(top.table("look")) if "look" in content else None,
        )

    def _no_toml(self, exc: Exception) -> _Mistake:
        """Return what a parser says, whose English names places and signs, and no values."""
        found = re.fullmatch(r"(?s)(.*?)\s*\(at (?:line (\d+), column (\d+)|end of document)\)", str(exc))
        if found is None:
            return _Mistake(_("it is not TOML."))
        line = int(found[2] or self._text.rstrip().count("\n") + 1)
        sentence = _("this is not TOML: {reason} (column {column}).") if found[3] else _("this is not TOML: {reason}.")
        return _Mistake(sentence.format(reason=found[1], column=found[3]), line)

    def _refuse_secrets(self, content: object, path: tuple[Any, ...] = ()) -> None:
        """Raise for a key that looks like a password's, wherever it stands; its value is in no sentence."""
        pairs: Iterator[tuple[Any, Any]] = iter(())
        if isinstance(content, dict):
            pairs = iter(content.items())
        elif isinstance(content, list):
            pairs = iter(enumerate(content))
        for key, value in pairs:
            if isinstance(key, str) and key != "password_hint" and _SECRET.search(key):
                raise _Mistake(
                    _(
                        "“{key}” looks like a password. None belongs in this file, which everybody can read: give it "
                        "to each user's server in DOCMAIL_PASSWORD_FILE (the client secret of an application: in "
                        "DOCMAIL_CLIENT_SECRET_FILE), or let people type it. If it was a real one, change it."
                    ).format(key=_shown(key)),
                    self.line_of((*path, key)),
                )
            self._refuse_secrets(value, (*path, key))

    def _application(self, table: _Table) -> Application:
        google = table.path == ("google",)
        table.knows(*(("client_id", "authority") if google else ("client_id", "tenant", "authority")))
        return table.application()

    def _provider(self, table: _Table, applications: Mapping[str, Application], changed: date) -> Provider:
        table.knows(
            *("name", "domains", "server", "port", "security", "ca_file", "api", "url", "username", "sign_in"),
            *("client_id", "tenant", "authority", "password_hint", "guide", "limits"),
            *("imap_server", "imap_port", "files_sent"),
        )
        domains = table.domains()
        host, api = table.text("server", _check_host), table.one_of("api", [each.api for each in services.SERVICES])
        if bool(host) == bool(api):
            raise table.mistake(_("give either “server”, an SMTP server's name, or “api”, a mail service."))
        table.lacks(
            *(("url",) if host else ("port", "security", "ca_file", "username")), beside="server" if host else "api"
        )
        # A server on this computer may be anybody's.
        public = (each for each in built_in() if host in [server.host for server in each.servers])
        known = next(public, None) if host and not is_loopback(host) else None
        service, url = services.by_api(api), table.text("url", _check_url)
        if api == "mailgun" and not url:
            raise table.mistake(_("with this, write your address at Mailgun into “url”."), "api")
        usual = known.servers[0] if known else None
        port = table.number("port", _MAX_PORT) or (usual.port if usual else 587)
        security = table.one_of("security", _SECURITIES) or ("tls" if port == 465 else "starttls")  # noqa: PLR2004
        # Where a service or server knows one way to sign in, the application that is there says that it is meant.
        own = table.application()
        likely = service.sign_in if service else known.sign_in if known else "password"
        general = applications.get(likely, _NO_APPLICATION)
        sign_in = table.one_of("sign_in", dict.fromkeys(("password", service.sign_in)) if service else _SIGN_INS)
        sign_in = sign_in or (likely if service or own.client_id or general.client_id else "password")
        general = applications.get(sign_in, _NO_APPLICATION)
        application = own if own.client_id else general._replace(**{k: v for k, v in own._asdict().items() if v})
        if sign_in != "password" and not application.client_id:
            raise table.mistake(_("signing in needs “client_id”, the ID of the application for docmail."), "sign_in")
        for key in (each for each, value in own._asdict().items() if value):
            if sign_in == "password" or (sign_in == "google" and key == "tenant"):
                sentence = _("this means nothing for addresses that sign in with {way}.")
                raise table.mistake(sentence.format(way=sign_in), key)
        name = table.text("name") or domains[0].removeprefix("*.")
        username = table.text("username", _check_username, default="address")
        if security == "none" and username and not is_loopback(host):
            raise table.mistake(_("a password is never sent unencrypted: choose “starttls” or “tls”."), "security")
        further = known.guide if known else ""
        given = table.text("ca_file")
        ca_file = self._ca_file(given, table) if given else None
        facts = {name: getattr(known, name) for name in FACTS} if known else {}
        facts |= table.mailbox(ca_file)
        preset = Preset(
            id=f"organisation-{table.path[-1] + 1}",
            name=name,
            checked=known.checked if known else changed,
            domains=domains,
            servers=(Server(host, port, "tls" if security == "tls" else "starttls"),) if host else (),
            guide=further,
            username=username,
            password=known.password if known else "account",
            password_form=known.password_form if known else None,
            password_hint=table.text("password_hint") or (known.password_hint if known else ""),
            established=known.established if known else False,
            protocol="http" if api else "smtp",
            service=api or (known.service if known else None),
            sign_in=sign_in,  # type: ignore[arg-type]  # one of them
            limits=table.limits(known.limits if known else Limits()),
            **facts,
            text=table.text("guide", _check_lines),
            organisation=True,
        )
        return Provider(
            preset,
            host,
            port,
            security,
            ca_file,
            api,
            url,
            sign_in,
            application,
        )

    def _ca_file(self, given: str, table: _Table) -> str:
        """Return the path of a CA file; a relative one begins where the organisation's file is."""
        path = self._path.parent / os.path.expanduser(given)  # noqa: PTH111 - as in `_place`
        try:
            if not path.is_file():
                raise table.mistake(_("there is no file {path}.").format(path=path), "ca_file")
            check_trust(path)
            if b"-----BEGIN CERTIFICATE-----" not in path.read_bytes():
                raise table.mistake(_("{path} holds no certificate in PEM form.").format(path=path), "ca_file")
        except OSError as exc:
            sentence = _("{path} cannot be read ({reason}).").format(path=path, reason=reason_of(exc, path))
            raise table.mistake(sentence, "ca_file") from None
        except _Mistake as exc:
            raise exc if exc.line else table.mistake(exc.sentence, "ca_file") from None
        return str(path)

    def _look(self, table: _Table) -> Look:
        """Return how the organisation's mails look; relative paths begin where its file is."""
        names = [each.name for each in fields(Look)]
        table.knows(*names)
        check = {"signature": _check_lines, "footer": _check_lines}
        values: dict[str, Any] = {name: text for name in names if (text := table.text(name, check.get(name)))}
        for name in _FILES & values.keys():
            path = self._path.parent / os.path.expanduser(values[name])  # noqa: PTH111 - as in `_place`
            try:
                check_trust(path)
            except OSError as exc:
                sentence = _("{path} cannot be read ({reason}).").format(path=path, reason=reason_of(exc, path))
                raise table.mistake(sentence, name) from None
            except _Mistake as exc:
                raise table.mistake(exc.sentence, name) from None
            values[name] = path
        try:
            return Look.again(**values)
        except SettingsError as exc:
            problem = exc.problems[0]
            raise table.mistake(problem.message, str(problem.field)) from None

    def line_of(self, key: tuple[Any, ...]) -> int:
        """Return the line in which a key, a table or what encloses it begins; 0 if there is none."""
        while key:
            if line := _lines(self._text).get(key):
                return line
            key = key[:-1]
        return 0


def check_trust(path: Path) -> None:
    """Raise `_Mistake` for a file that other people than its owner and the administrator can change."""
    for place in dict.fromkeys((path, path.resolve())):  # both the link, as in Kubernetes, and what it leads to
        if hasattr(os, "ST_RDONLY") and os.statvfs(place).f_flag & os.ST_RDONLY:
            continue  # a mounted volume shows modes by which everybody could write, and nobody can
        if unsafe := open_to_others(place.parent, place):
            hint = _("Let the file and its folder belong to root, and let nobody else write there.")
            sentence = f"{unsafe[0]} {hint}"
            raise _Mistake(sentence)


class _Table:
    """A table of the file: gives the values of its keys, checked."""

    def __init__(self, reader: _Reader, path: tuple[Any, ...], content: Mapping[str, Any]) -> None:
        self._reader = reader
        self.path = path
        self._content = content

    def mistake(self, sentence: str, key: str = "") -> _Mistake:
        """Return what is wrong with a key, or, without one, with the table."""
        said = f"“{_shown(key)}”: {sentence}" if key else sentence
        return _Mistake(said, self._reader.line_of((*self.path, key) if key else self.path))

    def knows(self, *names: str) -> None:
        """Raise for a key that is none of these."""
        for key in self._content:
            if key in names:
                continue
            near = difflib.get_close_matches(key.lower(), names, n=1)
            if near:
                raise self.mistake(_("docmail does not know this; “{name}” may be meant.").format(name=near[0]), key)
            sentence = _("docmail does not know this here; it knows {names}.").format(names=", ".join(names))
            raise self.mistake(sentence, key)

    def lacks(self, *names: str, beside: str) -> None:
        """Raise for a key that means nothing beside another one."""
        for key in names:
            if key in self._content:
                raise self.mistake(_("this means nothing beside “{other}”.").format(other=beside), key)

    def table(self, key: str) -> _Table:
        """Return a table in this one; an empty one where it is missing."""
        value = self._content.get(key, {})
        if not isinstance(value, dict):
            raise self.mistake(_("this begins with a line [{key}].").format(key=key), key)
        return _Table(self._reader, (*self.path, key), value)

    def text(self, key: str, check: Callable[[str], str] | None = None, default: str = "") -> str:
        """Return a text without the blanks around it, as `check` returns it."""
        value = self._content.get(key, default)
        if not isinstance(value, str):
            raise self.mistake(_("this must be text, in quotation marks."), key)
        value = value.strip()
        if check is not _check_lines and not value.isprintable():
            raise self.mistake(_("this must be one line without invisible characters."), key)
        try:
            return check(value) if check and value else value
        except ValueError as exc:
            raise self.mistake(str(exc), key) from None

    def number(self, key: str, most: int) -> int:
        """Return a whole number; 0 where it is missing."""
        value = self._content.get(key, 0)
        if type(value) is not int or (key in self._content and not 0 < value <= most):
            sentence = _("this must be a whole number from 1 to {most}, without quotation marks.")
            raise self.mistake(sentence.format(most=most), key)
        return value

    def one_of(self, key: str, words: Any) -> str:
        """Return one of a few words; an empty text where it is missing."""
        value = self.text(key)
        if key in self._content and value not in words:
            raise self.mistake(_("this must be one of {words}.").format(words=", ".join(words)), key)
        return value

    def flag(self, key: str) -> bool:
        """Return whether something is so; False where it is missing."""
        value = self._content.get(key, False)
        if not isinstance(value, bool):
            raise self.mistake(_("this must be true or false, without quotation marks."), key)
        return value

    def mailbox(self, ca_file: str | None) -> dict[str, Any]:
        """Return the facts about the mailbox of which the table says something; `ca_file` is trusted there as well."""
        found: dict[str, Any] = {}
        if host := self.text("imap_server", _check_host):
            port = self.number("imap_port", _MAX_PORT) or Preset.imap_port
            found = {"imap_host": host, "imap_port": port, "imap_ca_file": ca_file}
        elif "imap_port" in self._content:
            raise self.mistake(_("this means nothing without “imap_server”."), "imap_port")
        if "files_sent" in self._content:
            found["files_sent"] = self.flag("files_sent")
        return found

    def domains(self) -> tuple[str, ...]:
        """Return the domains of the addresses, as people write them and as servers do."""
        given = self._content.get("domains")
        if given is None:
            raise self.mistake(_('say for which addresses this is, such as domains = ["example.com"].'), "domains")
        if not isinstance(given, list) or not given or not all(isinstance(each, str) for each in given):
            raise self.mistake(_('this must be a list, such as ["example.com"].'), "domains")
        found: dict[str, None] = {}
        for each in given:
            pattern = each.strip().lower().removesuffix(".")
            star = "*." if pattern.startswith("*.") else ""
            name = pattern.removeprefix(star)
            try:
                parse_address(f"anybody@{name}", "domains")
                written = ascii_host(name)
            except (AddressError, ValueError):
                written = ""
            if "." not in written:
                sentence = _("“{domain}” is not a domain such as example.com or *.example.com.")
                raise self.mistake(sentence.format(domain=_shown(each)), "domains")
            if f"{star}{written}" in self._reader.domains:
                sentence = _("“{domain}” stands at another provider already.")
                raise self.mistake(sentence.format(domain=_shown(each)), "domains")
            found |= {f"{star}{name}": None, f"{star}{written}": None}
        self._reader.domains |= found.keys()
        return tuple(found)

    def application(self) -> Application:
        """Return the application that the keys of the table name."""
        return Application(
            self.text("client_id"), self.text("tenant", _check_tenant), self.text("authority", _check_authority)
        )

    def limits(self, usual: Limits) -> Limits:
        """Return the limits: what is given, and for the rest what is known of the server."""
        table = self.table("limits")
        table.knows(*_LIMITS)
        own = {name: table.number(name, 10**12) for name in table._content}  # noqa: SLF001 - one class
        confirmed = tuple(name for name in usual.approximate if name not in own)
        return replace(usual, **own, approximate=confirmed)


# --- what a value can be ----------------------------------------------------------------------------------------------


def _check_address(text: str) -> str:
    try:
        return parse_address(text, "copy_to").addr_spec
    except AddressError:
        raise ValueError(_("this is not an email address such as archive@example.com.")) from None


def _check_host(text: str) -> str:
    if "@" in text or not all(map(str.isprintable, text)):  # it may hold a password, so it is not repeated
        raise ValueError(_("give only the server's name, such as mail.example.com."))
    return ascii_host(text)


def _check_tenant(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", text):
        raise ValueError(_("this must be the organisation's domain at Microsoft, such as example.com, or its ID."))
    return text


def _check_authority(text: str) -> str:
    if not _is_safe(text):
        raise ValueError(_("this must be a web address that begins with https://, without name and password."))
    return text


def _check_url(text: str) -> str:
    if not _is_safe(text if "://" in text else f"https://{text}"):
        raise ValueError(_("this must be a web address that begins with https://, without name and password."))
    return text


def _is_safe(url: str) -> bool:
    """Say whether secrets may go to this URL: it is encrypted, or on this computer; and none stands in it."""
    try:
        split = urlsplit(url)
        host = split.hostname or ""
        return bool(host) and "@" not in split.netloc and (split.scheme == "https" or is_loopback(host))
    except ValueError:
        return False


def _check_username(text: str) -> str:
    if text not in {"address", "local-part", "other"} and not re.fullmatch(r"fixed:\S+", text):
        raise ValueError(
            _("this must be “address”, “local-part”, “other”, “fixed:” with a word, or empty where nobody signs in.")
        )
    return text


def _check_lines(text: str) -> str:
    return text


def _decoded(raw: bytes) -> str:
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise _Mistake(_("it is UTF-16 text; save it as UTF-8."))
    raw = raw.removeprefix(BOM_UTF8)  # some editors begin a file with a byte order mark
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise _Mistake(_("this is not UTF-8 text; save the file as UTF-8."), line) from None


def _shown(text: str, limit: int = 60) -> str:
    return "".join(sign if sign.isprintable() else "·" for sign in text[:limit])


@lru_cache(maxsize=2)
def _lines(text: str) -> dict[tuple[Any, ...], int]:
    """Return in which line each key and each table begins, from 1.

    A parser does not say. What stands alone is a statement: lines are taken together until they can be read by
    themselves, so that what looks like a key inside a text of several lines is none.
    """
    found: dict[tuple[Any, ...], int] = {}
    table: tuple[Any, ...] = ()
    begin, taken = 1, ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not taken:
            begin = number
        taken += line
        try:
            statement = tomllib.loads(taken)
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
        taken = taken.strip()
        if taken.startswith("["):
            table = _header(statement, found)
            found.setdefault(table, begin)
        else:
            for path in _paths(statement):
                found.setdefault((*table, *path), begin)
        taken = ""
    return found


def _header(statement: Mapping[str, Any], found: Mapping[tuple[Any, ...], int]) -> tuple[Any, ...]:
    """Return the path of the table that a header begins; an array gets the next number."""
    path: tuple[Any, ...] = ()
    value: Any = statement
    while value:
        if isinstance(value, dict):
            key, value = next(iter(value.items()))
            path = (*path, key)
            if isinstance(value, dict) and (*path, 0) in found:  # [provider.limits] below [[provider]]
                path = (*path, sum((*path, number) in found for number in range(len(found))) - 1)
        else:
            path = (*path, next(number for number in range(len(found) + 1) if (*path, number) not in found))
            value = value[0]
    return path


def _paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each key in a value, the outermost first."""
    if path:
        yield path
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _paths(each, (*path, key))
