"""Where mail is sent through, and as whom; never with which password (that is `docmail.credentials`).

Settings are frozen values: change them with `dataclasses.replace()`, judge them with `problems()`, keep them as named
profiles with `save()` and `load()`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_type_hints

from docmail import home as homes
from docmail.addresses import (
    MAX_NAME,
    Address,
    is_loopback,
    parse_address,
    parse_addresses,
)
from docmail.errors import AddressError, Problem, SettingsError
from docmail.language import _
from docmail.settings.account import Account, account_of, lets_in_with_token
from docmail.settings.saved_profiles import damaged, profile_name, read_profiles, write_profiles
from docmail.settings.servers import (
    MAX_VALUE,
    HttpServer,
    Security,
    SignIn,
    SmtpServer,
    fingerprint_bytes,
    http_problems,
    sign_in_problems,
    smtp_problems,
    text_problem,
    trim,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.home import Home

__all__ = ["HttpServer", "Problem", "Security", "Settings", "SignIn", "SmtpServer", "fingerprint_bytes", "profiles"]


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
    """Where they were saved; None for those made by hand. See `kept_in` and `recorded_in`."""

    def __post_init__(self) -> None:
        trim(self, "sender", "copy_to")
        object.__setattr__(self, "reply_to", _several(self.reply_to))
        if self.copy_to == "":
            object.__setattr__(self, "copy_to", None)

    @cached_property
    def address(self) -> Address:
        """The sender as a mailbox; for HTTP, the name with the address that replies go to.

        Raises `AddressError` where the settings have none: see `problems()`.
        """
        named = _sender(self.sender)
        if isinstance(named, Address):
            return named
        if self.server_has_the_address:
            source, where = (self.reply_to[0] if self.reply_to else ""), "reply_to"
        else:
            source, where = self.server.username, "email_address"
        return Address(named, *_parts(parse_address(source, where)))

    @property
    def kept_in(self) -> Home:
        """The home that keeps these settings and their password: their own, else the one in force."""
        return self.home or homes.current()

    @property
    def recorded_in(self) -> Home:
        """The home whose outbox records the mail of these settings: their own, else the user's, whatever is in force.

        A sandbox records only what goes to a server on this computer: other mail is real, and its record must stay
        when the sandbox goes.
        """
        home = self.home or homes.user_home()
        host = self.account.host
        # RFC 6761 6.4: a name below .invalid leads nowhere. It is that of a sandbox's wrong server.
        rehearsed = is_loopback(host) or host.endswith(".invalid")
        return homes.user_home() if home.rehearsal and not rehearsed else home

    @property
    def server_has_the_address(self) -> bool:
        """Whether the server sends from an address of its own, so that a sender has none here."""
        return isinstance(self.server, HttpServer) and self.server.service is None

    @property
    def signs_in_with_token(self) -> bool:
        """Whether one signs in at Microsoft or Google in a browser, and not with a password."""
        return lets_in_with_token(self.server)

    @property
    def secret_field(self) -> str:
        """The field of the form in which one enters what is kept for this account."""
        if self.signs_in_with_token:
            return "sign_in"
        server: Any = self.server
        known = isinstance(server, (SmtpServer, HttpServer))
        # An application that is registered at Google is an account as well (`docmail.oauth.google.application`).
        return "client_secret" if known and server.client_id and server.username == server.client_id else "password"

    @property
    def keeps_key(self) -> bool:
        """Whether what is kept for this account is a key or token that a server made, and not a password."""
        service = isinstance(self.server, HttpServer) and self.server.service is not None
        return service or self.secret_field != "password"  # noqa: S105 - the name of a field

    @property
    def account(self) -> Account:
        """Whose password it is; settings with problems have an account, too, which nobody else has."""
        return account_of(self.server)

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

        home = self.kept_in
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
        return cls._saved(name, homes.of_profile(name))

    @classmethod
    def _saved(cls, name: str, home: Home) -> Settings:
        """Return the settings saved under a name in one home."""
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


def usable(settings: Settings | None, home: Home | None = None) -> Settings:
    """Return the settings to send with, checked; None stands for the saved ones, and nothing else does.

    They are those saved in this home (None: in the one in force).
    """
    if settings is None:
        name = profile_name(None)
        if home is None or home == homes.of_profile(name):
            settings = Settings.load()
        else:
            home.check_open()
            settings = Settings._saved(name, home)  # noqa: SLF001 - one module
    if not isinstance(settings, Settings):
        raise SettingsError(
            _("These are no email settings, but {type}.").format(type=type(settings).__name__),
            hint=_("Give docmail.Settings(...), or docmail.Settings.load(name) for saved ones."),
        )
    settings.recorded_in.check_open()
    settings.check()
    return settings


# --- the file ---------------------------------------------------------------------------------------------------------


_SIGN_IN: dict[str, Any] = {"sign_in": SignIn.PASSWORD, "client_id": "", "tenant": ""}


def _to_json(settings: Settings) -> dict[str, Any]:
    server = settings.server
    return {
        "sender": settings.sender,
        "server": {
            "protocol": "http" if isinstance(server, HttpServer) else "smtp",
            # What only this version knows is left out where it says nothing, so that an older one can read the file.
            **{name: value for name, value in vars(server).items() if name not in _SIGN_IN or value != _SIGN_IN[name]},
        },
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


def _several(value: Any) -> Any:
    """Return several addresses as a tuple; what cannot be read stays as it is, for problems() to name."""
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str):
        return value
    if len(value) > MAX_VALUE:
        return (value,)
    try:
        return tuple(str(address) for address in parse_addresses(value, "reply_to"))
    except AddressError:
        return (value,)


def _sender(text: str) -> Address | str:
    """Return the sender's mailbox if the text has an address, otherwise the text, which is then a name."""
    return parse_address(text, "sender") if "@" in text else text.removeprefix('"').removesuffix('"')


def _parts(address: Address) -> tuple[str, str]:
    return address.local, address.domain


def _problems(settings: Settings) -> Iterator[Problem]:
    server: Any = settings.server
    if isinstance(server, SmtpServer):
        yield from smtp_problems(server)
    elif isinstance(server, HttpServer):
        yield from http_problems(server)
    else:
        yield Problem("protocol", _("Choose a protocol: SMTP or HTTP."))
    if isinstance(server, (SmtpServer, HttpServer)):
        yield from sign_in_problems(server)
    yield from _sender_problems(settings)
    if settings.copy_to is not None:
        yield from _address_problems(settings.copy_to, "copy_to")
    reply_to: Any = settings.reply_to
    if not isinstance(reply_to, tuple):
        yield Problem("reply_to", _("Give the address that replies go to, such as office@example.com."))
    elif not reply_to and settings.server_has_the_address:
        yield Problem("reply_to", _("Give the address that replies go to; the test email goes there as well."))
    else:
        for text in reply_to:
            yield from _address_problems(text, "reply_to")


def _sender_problems(settings: Settings) -> Iterator[Problem]:
    if problem := text_problem(settings.sender, "sender"):
        yield problem
        return
    try:
        named = _sender(settings.sender)
    except AddressError as exc:
        yield Problem("sender", str(exc))
        return
    if isinstance(named, str):
        yield from _name_problems(named, required=settings.server_has_the_address)
        yield from _own_address_problems(settings)


def _name_problems(name: str, *, required: bool) -> Iterator[Problem]:
    if len(name) > MAX_NAME:
        yield Problem("sender", _("This is longer than {limit} characters.").format(limit=MAX_NAME))
    if '"' in name or "<" in name or ">" in name:
        yield Problem("sender", _("Give the sender's name without quotation marks and angle brackets."))
    if required and not name:
        yield Problem("sender", _("Give the sender's name; the recipient sees it."))


def _own_address_problems(settings: Settings) -> Iterator[Problem]:
    server: Any = settings.server
    known = isinstance(server, (SmtpServer, HttpServer)) and not settings.server_has_the_address
    if not known or text_problem(server.username, "username") is not None:
        return
    if "@" in server.username:
        yield from _address_problems(server.username, "username")
    else:
        yield Problem("email_address", _("Give the email address that you send from, such as accounts@example.com."))


def _address_problems(value: object, field_name: str) -> Iterator[Problem]:
    if problem := text_problem(value, field_name):
        yield problem
        return
    try:
        parse_address(str(value), field_name)
    except AddressError as exc:
        yield Problem(field_name, str(exc))
