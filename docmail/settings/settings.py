"""Where mail is sent through, and as whom; never with which password (that is `docmail.credentials`).

Settings are frozen values: change them with `dataclasses.replace()`, judge them with `problems()`, keep them as named
profiles with `save()` and `load()`.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_type_hints

from docmail import home as homes
from docmail import look as looks
from docmail import presets
from docmail.addresses import MAX_NAME, Address, first_control, parse_address, parse_addresses
from docmail.errors import AddressError, Field, Guide, OrganisationWarning, Problem, SettingsError
from docmail.files import NAME, JsonFile
from docmail.language import _
from docmail.settings.account import Account, account_of, lets_in_with_token
from docmail.settings.fixed import Values, fixed, is_rehearsal
from docmail.settings.reading_account import Mailbox, mailbox_from_json, mailbox_problems, mailbox_to_json
from docmail.settings.servers import (
    MAX_VALUE,
    HttpServer,
    SignIn,
    SmtpServer,
    http_problems,
    sign_in_problems,
    smtp_problems,
    text_problem,
    trim,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docmail.home import Home
    from docmail.look import Look

__all__ = ["Problem", "Settings", "current_look", "profile_name", "profiles", "read_profiles", "usable"]


@dataclass(frozen=True)
class Settings:
    """Where mail is sent through, and as whom.

    `sender` is a name with or without an address (`Accounts <accounts@example.com>`); without one, a username that is
    an address is the sender's. `server` is a `SmtpServer` or `HttpServer`. `copy_to` receives every mail as a blind
    copy. `reply_to`, one address or several, is where answers go; required for HTTP. `look` is how mails look
    (`docmail.look.Look`); settings without one keep, when they are saved, the look that was saved before, and
    `Look.PLAIN` takes it away. `mailbox` is where bounces arrive and copies are filed (`docmail.mailbox.Mailbox`);
    without one, nothing is read or filed.

    >>> server = docmail.SmtpServer("mail.example.com", username="accounts@example.com")
    >>> docmail.Settings("Accounts", server).problems()
    []
    """

    sender: str
    server: SmtpServer | HttpServer
    copy_to: str | None = None
    reply_to: tuple[str, ...] = ()
    look: Look | None = field(default=None, kw_only=True)
    mailbox: Mailbox | None = field(default=None, kw_only=True)
    home: Home | None = field(default=None, repr=False, compare=False, kw_only=True)
    """Where they were saved; None for those made by hand. See `kept_in` and `recorded_in`."""
    fixed: frozenset[Field] = field(default=frozenset(), init=False, repr=False, compare=False)
    """The fields that the organisation's file has set, whatever was given."""

    def __post_init__(self) -> None:
        trim(self, "sender", "copy_to")
        object.__setattr__(self, "reply_to", _several(self.reply_to))
        if self.copy_to == "":
            object.__setattr__(self, "copy_to", None)
        looks.checked(self.look)
        if not is_rehearsal(self.home, account_of(self.server)):
            values = fixed(Values(self.sender, self.server, self.copy_to))
            for name, value in (("sender", values.sender), ("server", values.server), ("copy_to", values.copy_to)):
                object.__setattr__(self, name, value)
            object.__setattr__(self, "fixed", values.fields)

    @cached_property
    def address(self) -> Address:
        """The sender as a mailbox; for HTTP, the name with the address that replies go to.

        Raises `AddressError` where the settings have none: see `problems()`.
        """
        named = _sender(self.sender)
        if isinstance(named, Address):
            return named
        if self.server_has_the_address:
            source, where = (self.reply_to[0] if self.reply_to else ""), Field.REPLY_TO
        else:
            source, where = self.server.username, Field.EMAIL_ADDRESS
        return replace(parse_address(source, where), name=named)

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
        return homes.user_home() if home.rehearsal and not is_rehearsal(home, self.account) else home

    @property
    def shown_look(self) -> Look:
        """How mails look: as `look` says, with what the organisation's file fixes of it."""
        return looks.joined(self.look, presets.current_organisation().look)

    @property
    def server_has_the_address(self) -> bool:
        """Whether the server sends from an address of its own, so that a sender has none here."""
        return isinstance(self.server, HttpServer) and self.server.service is None

    @property
    def signs_in_with_token(self) -> bool:
        """Whether one signs in at Microsoft or Google in a browser, and not with a password."""
        return lets_in_with_token(self.server)

    @property
    def secret_field(self) -> Field:
        """The field of the form in which one enters what is kept for this account."""
        if isinstance(self.server, Mailbox):
            return Field.MAILBOX_PASSWORD
        if self.signs_in_with_token:
            return Field.SIGN_IN
        server: Any = self.server
        known = isinstance(server, (SmtpServer, HttpServer))
        # An application that is registered at Google is an account as well (`docmail.oauth.google.application`).
        return (
            Field.CLIENT_SECRET
            if known and server.client_id and server.username == server.client_id
            else Field.PASSWORD
        )

    @property
    def keeps_key(self) -> bool:
        """Whether what is kept for this account is a key or token that a server made, and not a password."""
        service = isinstance(self.server, HttpServer) and self.server.service is not None
        return service or self.secret_field not in {Field.PASSWORD, Field.MAILBOX_PASSWORD}

    @property
    def account(self) -> Account:
        """Whose password it is; settings with problems have an account that no other settings have."""
        return account_of(self.server)

    @property
    def for_mailbox(self) -> Settings:
        """These settings as those of the mailbox's account, by which a password of its own is kept.

        `docmail.credentials.set(settings.for_mailbox, …)` keeps one, and `ask`, `where` and `forget` take them, too.
        No mail can be sent with them. Raises `SettingsError` where there is no mailbox.
        """
        if not isinstance(self.mailbox, Mailbox):
            raise SettingsError(
                _("These settings have no mailbox."),
                hint=_("Give one: docmail.Settings(..., mailbox=docmail.mailbox.Mailbox(...))."),
                field=Field.MAILBOX_HOST,
            )
        server: Any = replace(self.mailbox, username=self.mailbox.username or self._username_for_sending)
        return replace(self, server=server, mailbox=None)

    @property
    def mailbox_shares_sign_in(self) -> bool:
        """Whether the password or sign-in for sending opens the mailbox as well, where that has none of its own.

        It does where the mailbox's username is that for sending, or one signs in with a token, and only at a server of
        the same owner: a stored password never goes to somebody else's server because of a typing error.
        """
        there = self.for_mailbox.account
        same = there.username == self._username_for_sending or self.signs_in_with_token
        service = self.server.service if isinstance(self.server, HttpServer) else None
        return same and presets.same_owner(presets.host_of(service) if service else self.account.host, there.host)

    @property
    def _username_for_sending(self) -> str:
        """The username for sending, if it can be that of a mailbox: a mail service has keys, and no mailboxes."""
        server: Any = self.server
        if isinstance(server, HttpServer):
            return self.account.username if server.service and server.service.has_mailbox else ""
        preset = presets.by_host(self.account.host, self.account.port)
        return "" if preset and preset.username.startswith("fixed:") else self.account.username

    def problems(self) -> list[Problem]:
        """Return what is wrong with each field, all at once, in the order of the form; empty if all is well.

        An organisation's file that cannot be used is one as well (`organisation`), with which mail can be sent.

        >>> docmail.Settings("accounts@example.com", docmail.SmtpServer("mail example.com")).problems()
        [Problem(field='host', message="“mail example.com” is not a server's name.")]
        """
        return [*_problems(self), *self._organisation_problems()]

    def _organisation_problems(self) -> list[Problem]:
        if is_rehearsal(self.home, self.account):
            return []
        sentence = presets.current_organisation().problem
        return [Problem(Field.ORGANISATION, sentence)] if sentence else []

    def check(self) -> None:
        """Raise `SettingsError` if there is a problem with which nothing can be sent.

        >>> docmail.Settings("accounts@example.com", docmail.SmtpServer("mail.example.com")).check()
        """
        if problems := list(_problems(self)):
            raise SettingsError(
                " ".join(f"{problem.field}: {problem.message}" for problem in problems),
                problems=problems,
                hint=homes.hint_for(
                    notebook=_("Correct the settings in docmail.SettingsForm()."),
                    terminal=_("Correct them, and save them again: docmail.Settings(...).save()."),
                ),
            )

    def save(self, profile: str | None = None) -> None:
        """Keep these settings under a name (None: the selected profile), replacing what was there.

        The file is written whole or not at all, readable by its owner only, and never holds a secret. Raises
        `SettingsError` for settings with problems, and for a file that is damaged or from a newer docmail.

        >>> settings.save("work")
        >>> docmail.Settings.load("work") == settings
        True
        """
        self.check()
        home = self.kept_in
        name = profile_name(profile)
        if name == homes.SHARED_SANDBOX and not home.rehearsal:
            raise SettingsError(
                _("“{name}” is the name of the sandbox that several notebooks share.").format(name=name),
                hint=_("Choose another name for the profile."),
            )
        if self.look is not None:
            looks.keep(self.look, home.settings_file.parent, name)
        with _file(home.settings_file).changing() as stored:
            _check_entries(stored.get(name), name, home.settings_file)
            stored[name] = _to_json(self)

    @classmethod
    def load(cls, profile: str | None = None) -> Settings:
        """Return the settings saved as this `profile` (None: `DOCMAIL_PROFILE`, else "default").

        The name "sandbox" is that of the sandbox which several notebooks share. Raises `SettingsError` if nothing is
        saved there, or the file is damaged or from a newer docmail.

        >>> docmail.Settings.load().sender
        'Accounts'
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
                hint=homes.hint_for(
                    notebook=_("Open docmail.SettingsForm(), fill it in and press Update.")
                    if name == "default"
                    else _("Open docmail.SettingsForm({name}), fill it in and press Update, or check the name.").format(
                        name=f'"{name}"'
                    ),
                    terminal=_(
                        "Save them in Python with docmail.Settings(...).save(), or set DOCMAIL_HOME "
                        "to the folder that contains them."
                    ),
                ),
                guide=Guide.PASSWORDS,
            )
        _check_entries(stored[name], name, home.settings_file)
        try:
            settings = _from_json(stored[name], home)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise _file(home.settings_file).damaged() from exc
        return replace(settings, look=looks.kept(home.settings_file.parent, name))


def current_look() -> Look:
    """Return the look of the selected profile, with what the organisation's file fixes; `Look.PLAIN` for none.

    Documents have it when they are generated, and need no settings for it. Raises `SettingsError` if it cannot be read.

    >>> docmail.settings.current_look() == docmail.look.Look.PLAIN
    True
    """
    name = profile_name(None)
    try:
        home = homes.of_profile(name)
    except SettingsError:  # a user without a home can make documents
        own = None
    else:
        own = looks.kept(home.settings_file.parent, name)
    return looks.joined(own, presets.current_organisation().look)


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
            _("These are not email settings but {type}.").format(type=type(settings).__name__),
            hint=_("Give docmail.Settings(...), or docmail.Settings.load(name) for saved ones."),
        )
    settings = replace(settings)  # the organisation's file may have changed since they were made
    settings.recorded_in.check_open()
    settings.check()
    for problem in settings._organisation_problems():  # noqa: SLF001 - one module
        warnings.warn(problem.message, OrganisationWarning, stacklevel=3)
    return settings


# --- the file ---------------------------------------------------------------------------------------------------------


def profile_name(profile: str | None) -> str:
    """Return the name of the profile that is meant: this one, else `DOCMAIL_PROFILE`, else "default".

    Raises `SettingsError` for a text that cannot be a name.
    """
    name = profile or os.environ.get("DOCMAIL_PROFILE") or "default"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        shown = "".join("·" if first_control(character) else character for character in str(name)[:64])
        raise SettingsError(
            _("“{name}” cannot be the name of a profile.").format(name=shown),
            hint=_("A name has up to 64 characters: letters, digits, and . - _ @ +"),
        )
    return name


def read_profiles(path: Path) -> dict[str, Any]:
    """Return what is saved under each name; raises `SettingsError` for a file that is damaged or too new."""
    return _file(path).read()


def _file(path: Path) -> JsonFile:
    return JsonFile(path, "profiles", SettingsError)


_SIGN_IN: dict[str, Any] = {"sign_in": SignIn.PASSWORD, "client_id": "", "tenant": "", "authority": ""}


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
        **({"mailbox": mailbox_to_json(settings.mailbox)} if settings.mailbox else {}),
    }


def _check_entries(content: Any, name: str, path: Path) -> None:
    """Raise for a profile with entries that a newer docmail may have written: read without them, it would lose them."""
    if not isinstance(content, dict):
        return  # damaged
    known: dict[str, set[str]] = {
        "": {"sender", "server", "copy_to", "reply_to", "mailbox"},
        "server": {"protocol", *get_type_hints(HttpServer), *get_type_hints(SmtpServer)},
        "mailbox": {*get_type_hints(Mailbox)},
    }
    for part, entries in known.items():
        values = content.get(part) if part else content
        unknown = sorted({*values} - entries) if isinstance(values, dict) else []
        if unknown:
            raise SettingsError(
                _("The settings “{name}” in {path} have an entry that this docmail does not know: “{entry}”.").format(
                    name=name, path=path, entry=".".join(filter(None, (part, unknown[0])))
                ),
                hint=_("Update docmail: a newer one may have written it. Or remove the entry from the file."),
            )


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
        mailbox=mailbox_from_json(content.get("mailbox")),
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
        return tuple(str(address) for address in parse_addresses(value, Field.REPLY_TO))
    except AddressError:
        return (value,)


def _sender(text: str) -> Address | str:
    """Return the sender's mailbox if the text has an address, otherwise the text, which is then a name."""
    return parse_address(text, Field.SENDER) if "@" in text else text.removeprefix('"').removesuffix('"')


def _problems(settings: Settings) -> Iterator[Problem]:
    server: Any = settings.server
    if isinstance(server, SmtpServer):
        yield from smtp_problems(server)
    elif isinstance(server, HttpServer):
        yield from http_problems(server)
    else:
        yield Problem(Field.PROTOCOL, _("Choose a protocol: SMTP or HTTP."))
    if isinstance(server, (SmtpServer, HttpServer)):
        yield from sign_in_problems(server)
    yield from _sender_problems(settings)
    if settings.copy_to is not None:
        yield from _address_problems(settings.copy_to, Field.COPY_TO)
    reply_to: Any = settings.reply_to
    if not isinstance(reply_to, tuple):
        yield Problem(Field.REPLY_TO, _("Give the address that replies go to, such as office@example.com."))
    elif not reply_to and settings.server_has_the_address:
        yield Problem(Field.REPLY_TO, _("Give the address that replies go to; the test email goes there as well."))
    else:
        for text in reply_to:
            yield from _address_problems(text, Field.REPLY_TO)
    mailbox: Any = settings.mailbox
    if isinstance(mailbox, Mailbox):
        yield from mailbox_problems(mailbox, settings._username_for_sending)  # noqa: SLF001 - one module
    elif mailbox is not None:
        yield Problem(Field.MAILBOX_HOST, _("The mailbox must be docmail.mailbox.Mailbox(...)."))


def _sender_problems(settings: Settings) -> Iterator[Problem]:
    if problem := text_problem(settings.sender, Field.SENDER):
        yield problem
        return
    try:
        named = _sender(settings.sender)
    except AddressError as exc:
        yield Problem(Field.SENDER, str(exc))
        return
    if isinstance(named, str):
        yield from _name_problems(named, required=settings.server_has_the_address)
        yield from _own_address_problems(settings)


def _name_problems(name: str, *, required: bool) -> Iterator[Problem]:
    if len(name) > MAX_NAME:
        yield Problem(Field.SENDER, _("This is longer than {limit} characters.").format(limit=MAX_NAME))
    if '"' in name or "<" in name or ">" in name:
        yield Problem(Field.SENDER, _("Give the sender's name without quotation marks and angle brackets."))
    if required and not name:
        yield Problem(Field.SENDER, _("Give the sender's name; the recipient sees it."))


def _own_address_problems(settings: Settings) -> Iterator[Problem]:
    server: Any = settings.server
    known = isinstance(server, (SmtpServer, HttpServer)) and not settings.server_has_the_address
    if not known or text_problem(server.username, Field.USERNAME) is not None:
        return
    if "@" in server.username:
        yield from _address_problems(server.username, Field.USERNAME)
    else:
        yield Problem(
            Field.EMAIL_ADDRESS, _("Give the email address that you send from, such as accounts@example.com.")
        )


def _address_problems(value: object, field_name: str) -> Iterator[Problem]:
    if problem := text_problem(value, field_name):
        yield problem
        return
    try:
        parse_address(str(value), field_name)
    except AddressError as exc:
        yield Problem(field_name, str(exc))
