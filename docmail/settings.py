"""Where mail is sent through, and as whom; never with which password (that is `docmail.credentials`).

Settings are frozen values: change them with `dataclasses.replace()`, judge them with `problems()`, keep them as named
profiles with `save()` and `load()`.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints
from urllib.parse import urlsplit

from docmail import home as homes
from docmail import presets
from docmail.addresses import (
    MAX_NAME,
    Address,
    ascii_host,
    first_control,
    is_loopback,
    parse_address,
    parse_addresses,
    trimmed,
)
from docmail.credentials import Account
from docmail.errors import AddressError, Problem, SettingsError
from docmail.profiles import damaged, profile_name, read_profiles, write_profiles
from docmail.translation import _

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.home import Home

__all__ = ["HttpServer", "Problem", "Security", "Settings", "SmtpServer", "profiles"]

_MAX_VALUE = 1000  # characters; more is a document pasted into a field
_MAX_PORT = 65535


class Security(StrEnum):
    """How the connection is encrypted (RFC 8314 calls TLS "implicit TLS")."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


@dataclass(frozen=True)
class SmtpServer:
    """A submission server (RFC 6409) and the account that signs in there; an empty username signs in nowhere.

    `security` None follows the port: 465 TLS, otherwise STARTTLS, which is then required. `fingerprint`, the SHA-256
    of a server's certificate, replaces the checks of its chain, name and dates: for a server of one's own. `ca_file`
    adds an organisation's own certification authority (PEM) to the system's.
    """

    host: str
    port: int = 587
    security: Security | None = None
    username: str = ""
    fingerprint: str | None = None
    ca_file: str | None = None

    def __post_init__(self) -> None:
        _trim(self, "host", "username", "fingerprint", "ca_file")
        for name in ("fingerprint", "ca_file"):
            if getattr(self, name) == "":
                object.__setattr__(self, name, None)
        if isinstance(self.security, str) and self.security in list(Security):
            object.__setattr__(self, "security", Security(self.security))

    @property
    def effective_security(self) -> Security:
        """The security in force: as chosen, or as the port implies."""
        return self.security or (Security.TLS if self.port == 465 else Security.STARTTLS)  # noqa: PLR2004 - RFC 8314


@dataclass(frozen=True)
class HttpServer:
    """A server that takes mail as an HTTP form and sends it from an address of its own; `https://` is assumed."""

    url: str
    api: str = "form"
    username: str = ""

    def __post_init__(self) -> None:
        _trim(self, "url", "username")

    @property
    def full_url(self) -> str:
        """The URL with its scheme."""
        return self.url if "://" in self.url else f"https://{self.url}"


@dataclass(frozen=True)
class Settings:
    """Where mail is sent through, and as whom.

    `sender` is a name with or without an address (`Accounts <accounts@example.com>`); without one, a username that is
    an address is the sender's. `copy_to` receives every mail as a blind copy. `reply_to`, one address or several, is
    where answers go; required for HTTP.
    """

    sender: str
    server: SmtpServer | HttpServer
    copy_to: str | None = None
    reply_to: tuple[str, ...] = ()
    home: Home | None = field(default=None, repr=False, compare=False, kw_only=True)
    """Where these settings are saved and their mail is recorded (None: the user's own place)."""

    def __post_init__(self) -> None:
        _trim(self, "sender", "copy_to")
        object.__setattr__(self, "reply_to", _several(self.reply_to))
        if self.copy_to == "":
            object.__setattr__(self, "copy_to", None)

    @property
    def address(self) -> Address:
        """The sender as a mailbox; for HTTP, the name with the address that replies go to.

        Raises `AddressError` where the settings have none: see `problems()`.
        """
        named = _sender(self.sender)
        if isinstance(named, Address):
            return named
        if isinstance(self.server, HttpServer):
            source, where = (self.reply_to[0] if self.reply_to else ""), "reply_to"
        else:
            source, where = self.server.username, "email_address"
        return Address(named, *_parts(parse_address(source, where)))

    @property
    def account(self) -> Account:
        """Whose password it is; settings with problems have an account, too, which nobody else has."""
        server: Any = self.server
        if isinstance(server, SmtpServer):
            return Account("smtp", *_place(server.host, server.port), _as_text(server.username))
        if not isinstance(server, HttpServer):
            return Account("", "", 0, "")
        try:
            split = urlsplit(server.full_url)
            port = split.port or (80 if split.scheme == "http" else 443)
        except (TypeError, ValueError):
            return Account("https", _as_text(server.url), 0, _as_text(server.username))
        return Account(split.scheme, *_place(split.hostname or "", port), _as_text(server.username))

    def problems(self) -> list[Problem]:
        """Return what is wrong with each field, all at once, in the order of the form; empty if all is well."""
        return list(_problems(self))

    def check(self) -> None:
        """Raise `SettingsError` if there is a problem."""
        if problems := self.problems():
            raise SettingsError(
                " ".join(f"{problem.field}: {problem.message}" for problem in problems),
                problems=problems,
                hint=_("Correct the settings in docmail.SettingsForm()."),
            )

    def save(self, profile: str | None = None) -> None:
        """Keep these settings under a name (None: the selected profile), replacing what was there.

        The file is written whole or not at all, readable by its owner only, and never holds a secret. Raises
        `SettingsError` for settings with problems, and for a file that is damaged or from a newer docmail.
        """
        self.check()
        from filelock import FileLock

        home = self.home or homes.current()
        path, name = home.settings_file, profile_name(profile)
        if name == homes.SHARED_SANDBOX and not home.rehearsal:
            raise SettingsError(
                _("“{name}” is the name of the sandbox that several notebooks share.").format(name=name),
                hint=_("Choose another name for the profile."),
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with FileLock(path.with_suffix(".lock"), timeout=10):
                stored = read_profiles(path)
                stored[name] = _to_json(self)
                write_profiles(path.resolve(), stored)  # a link to the file, as people with dotfiles make, stays one
        except OSError as exc:
            # filelock's Timeout is an OSError too.
            raise SettingsError(
                _("The settings cannot be saved in {path}: {reason}.").format(path=path, reason=exc.strerror or exc),
                hint=_("Free the disk or the folder, or set DOCMAIL_HOME to a folder you can write to."),
            ) from exc

    @classmethod
    def load(cls, profile: str | None = None) -> Settings:
        """Return the settings saved under a name (None: `DOCMAIL_PROFILE`, else "default").

        The name "sandbox" is that of the sandbox which several notebooks share. Raises `SettingsError` if nothing is
        saved there, or the file is damaged or from a newer docmail.
        """
        name = profile_name(profile)
        home = homes.current()
        if name == homes.SHARED_SANDBOX and not home.rehearsal:
            home = homes.Home.below(homes.shared_sandbox(), rehearsal=True)
        stored = read_profiles(home.settings_file)
        if name not in stored:
            raise SettingsError(
                _("No email settings are saved yet.")
                if name == "default"
                else _("No email settings are saved under the name “{name}”.").format(name=name),
                hint=_("Open docmail.SettingsForm(), fill it in and press Update."),
                guide="Passwords",
            )
        try:
            return _from_json(stored[name], home)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise damaged(home.settings_file) from exc


def profiles() -> list[str]:
    """Return the names under which settings are saved."""
    return sorted(read_profiles(homes.current().settings_file))


def usable(settings: Settings | None) -> Settings:
    """Return the settings to send with, checked; None stands for the saved ones, and nothing else does."""
    if settings is None:
        settings = Settings.load()
    if not isinstance(settings, Settings):
        raise SettingsError(
            _("These are no email settings, but {type}.").format(type=type(settings).__name__),
            hint=_("Give docmail.Settings(...), or docmail.Settings.load(name) for saved ones."),
        )
    settings.check()
    return settings


# --- the file ---------------------------------------------------------------------------------------------------------


def _to_json(settings: Settings) -> dict[str, Any]:
    server = settings.server
    return {
        "sender": settings.sender,
        "server": {"protocol": "http" if isinstance(server, HttpServer) else "smtp", **vars(server)},
        "copy_to": settings.copy_to,
        "reply_to": list(settings.reply_to),
    }


def _from_json(content: dict[str, Any], home: Home) -> Settings:
    details = dict(content["server"])
    kind = {"http": HttpServer, "smtp": SmtpServer}[details.pop("protocol")]
    server = kind(**details)
    settings = Settings(
        sender=content["sender"],
        server=server,
        copy_to=content.get("copy_to"),
        reply_to=content.get("reply_to", ()),
        home=home,
    )
    values = [(getattr(server, name), hint) for name, hint in get_type_hints(kind).items()]
    values += [(settings.reply_to, tuple)]
    values += [(text, str) for text in (settings.sender, settings.copy_to or "", *settings.reply_to)]
    if not all(isinstance(value, hint) for value, hint in values):
        raise TypeError(content)
    return settings


# --- the fields -------------------------------------------------------------------------------------------------------


def _trim(owner: object, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if isinstance(value, Path):
            value = str(value)
        if isinstance(value, str):
            object.__setattr__(owner, name, trimmed(value))


def _several(value: Any) -> Any:
    """Return several addresses as a tuple; what cannot be read stays as it is, for problems() to name."""
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str):
        return value
    if len(value) > _MAX_VALUE:
        return (value,)
    try:
        return tuple(str(address) for address in parse_addresses(value, "reply_to"))
    except AddressError:
        return (value,)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _place(host: object, port: object) -> tuple[str, int]:
    text = _as_text(host)
    with suppress(ValueError):
        text = ascii_host(text)
    return text, port if isinstance(port, int) else 0


def _sender(text: str) -> Address | str:
    """Return the sender's mailbox if the text has an address, otherwise the text, which is then a name."""
    return parse_address(text, "sender") if "@" in text else text.removeprefix('"').removesuffix('"')


def _parts(address: Address) -> tuple[str, str]:
    return address.local, address.domain


def _problems(settings: Settings) -> Iterator[Problem]:
    server: Any = settings.server
    if isinstance(server, SmtpServer):
        yield from _smtp_problems(server)
    elif isinstance(server, HttpServer):
        yield from _http_problems(server)
    else:
        yield Problem("protocol", _("Choose a protocol: SMTP or HTTP."))
    yield from _sender_problems(settings)
    if settings.copy_to is not None:
        yield from _address_problems(settings.copy_to, "copy_to")
    reply_to: Any = settings.reply_to
    if not isinstance(reply_to, tuple):
        yield Problem("reply_to", _("Give the address that replies go to, such as office@example.com."))
    elif not reply_to and isinstance(server, HttpServer):
        yield Problem("reply_to", _("Give the address that replies go to; the test email goes there as well."))
    else:
        for text in reply_to:
            yield from _address_problems(text, "reply_to")


def _text_problem(value: object, field_name: str, *, optional: bool = False) -> Problem | None:
    if value is None and optional:
        return None
    if not isinstance(value, str):
        return Problem(field_name, _("This must be text, not {type}.").format(type=type(value).__name__))
    if len(value) > _MAX_VALUE:
        return Problem(field_name, _("This is longer than {limit} characters.").format(limit=_MAX_VALUE))
    if control := first_control(value):
        return Problem(
            field_name, _("This contains the invisible character {code}; type it again.").format(code=control)
        )
    return None


def _smtp_problems(server: SmtpServer) -> Iterator[Problem]:
    host = None
    if problem := _text_problem(server.host, "host"):
        yield problem
    elif not server.host:
        yield Problem("host", _("Give the SMTP server's name, such as smtp.example.com."))
    else:
        try:
            host = ascii_host(server.host)
        except ValueError as exc:
            yield Problem("host", str(exc))
    # True and False are ints in Python, but no ports.
    if type(server.port) is not int or not 0 < server.port <= _MAX_PORT:
        yield Problem("port", _("The port is a number from 1 to 65535; most servers use 587 or 465."))
    yield from _security_problems(server, host)
    if problem := _text_problem(server.username, "username"):
        yield problem
    yield from _trust_problems(server, host)


def _trust_problems(server: SmtpServer, host: str | None) -> Iterator[Problem]:
    if problem := _text_problem(server.fingerprint, "fingerprint", optional=True):
        yield problem
    elif server.fingerprint is not None and fingerprint_bytes(server.fingerprint) is None:
        yield Problem("fingerprint", _("A SHA-256 fingerprint has 64 digits (0 to 9, A to F), perhaps with colons."))
    elif server.fingerprint is not None and host and (preset := presets.established(host)):
        yield Problem(
            "fingerprint",
            _("{provider} has a certificate that can be checked; a self-signed one there is somebody else's.").format(
                provider=_(preset.name)
            ),
        )
    if problem := _text_problem(server.ca_file, "ca_file", optional=True):
        yield problem
    # Unlike Path's, these functions raise for no text at all: an unknown ~user, a path that is too long.
    elif server.ca_file is not None and not os.path.isfile(os.path.expanduser(server.ca_file)):  # noqa: PTH111, PTH113
        yield Problem("ca_file", _("There is no file {path}.").format(path=server.ca_file))


def _security_problems(server: SmtpServer, host: str | None) -> Iterator[Problem]:
    security: Any = server.security
    if security is not None and not isinstance(security, Security):
        yield Problem("security", _("Choose how the connection is encrypted: TLS, STARTTLS or none."))
    elif security is Security.NONE and server.username and host and not is_loopback(host):
        yield Problem(
            "security",
            _("A password is never sent unencrypted. Choose STARTTLS or TLS, or leave Username empty."),
        )


def _http_problems(server: HttpServer) -> Iterator[Problem]:
    if problem := _text_problem(server.url, "url"):
        yield problem
    else:
        try:
            _check_url(server)
        except ValueError as exc:
            yield Problem("url", str(exc))
    if problem := _text_problem(server.api, "protocol"):
        yield problem
    elif server.api != "form":
        yield Problem("protocol", _("“{api}” is not a service that docmail knows.").format(api=server.api[:40]))
    if problem := _text_problem(server.username, "username"):
        yield problem


def _check_url(server: HttpServer) -> None:
    """Raise `ValueError` with a sentence that says what is wrong with the address."""
    if not server.url:
        raise ValueError(_("Give the HTTP server's address, such as mail.example.com."))
    no_address = _("“{url}” is not a web address.").format(url=server.url[:100])
    try:
        split = urlsplit(server.full_url)
        port = split.port
    except ValueError:
        raise ValueError(no_address) from None
    host = split.hostname or ""
    if split.scheme not in {"http", "https"} or host in {"http", "https"}:  # the latter is "https:/example.com"
        raise ValueError(_("The address must begin with https:// (or nothing, which means the same)."))
    if split.username is not None or split.password is not None:
        raise ValueError(_("Leave out the name and password before the @ sign; they do not belong in an address."))
    if port == 0 or split.fragment or "\\" in server.url or any(character.isspace() for character in server.url):
        raise ValueError(no_address)
    host = ascii_host(host)
    if split.scheme == "http" and server.username and not is_loopback(host):
        raise ValueError(_("A password is never sent unencrypted. Begin the address with https://."))


def _sender_problems(settings: Settings) -> Iterator[Problem]:
    if problem := _text_problem(settings.sender, "sender"):
        yield problem
        return
    try:
        named = _sender(settings.sender)
    except AddressError as exc:
        yield Problem("sender", str(exc))
        return
    if isinstance(named, str):
        yield from _name_problems(named, settings.server)
        yield from _own_address_problems(settings.server)


def _name_problems(name: str, server: SmtpServer | HttpServer) -> Iterator[Problem]:
    if len(name) > MAX_NAME:
        yield Problem("sender", _("This is longer than {limit} characters.").format(limit=MAX_NAME))
    if '"' in name or "<" in name or ">" in name:
        yield Problem("sender", _("Give the sender's name without quotation marks and angle brackets."))
    if isinstance(server, HttpServer) and not name:
        yield Problem("sender", _("Give the sender's name; the recipient sees it."))


def _own_address_problems(server: SmtpServer | HttpServer) -> Iterator[Problem]:
    if not isinstance(server, SmtpServer) or _text_problem(server.username, "username") is not None:
        return
    if "@" in server.username:
        yield from _address_problems(server.username, "username")
    else:
        yield Problem("email_address", _("Give the email address that you send from, such as accounts@example.com."))


def _address_problems(value: object, field_name: str) -> Iterator[Problem]:
    if problem := _text_problem(value, field_name):
        yield problem
        return
    try:
        parse_address(str(value), field_name)
    except AddressError as exc:
        yield Problem(field_name, str(exc))


def fingerprint_bytes(text: str) -> bytes | None:
    """Return the 32 bytes of a SHA-256 fingerprint in hexadecimal, with or without colons; None if it is none."""
    digits = re.sub(r"(?i)^sha-?256[:=]?|[\s:]", "", text)
    return bytes.fromhex(digits) if re.fullmatch(r"[0-9A-Fa-f]{64}", digits) else None
