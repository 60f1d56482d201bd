"""What the form knows about providers: fills fields in from an address or a menu, finds the rest, shows the guide.

Where a provider was recognised, the form is short: one line says which server is used.

What a person typed is replaced only where that person asks for it, and then the form says what stood there.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from markupsafe import Markup

from docmail import presets
from docmail.addresses import parse_address, trimmed
from docmail.errors import AddressError, Field
from docmail.language import _
from docmail.presets import services
from docmail.settings import Security, SignIn
from docmail.widgets.parts import markup
from docmail.widgets.parts.background import Work
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import Html, light
from docmail.widgets.settings import mailbox_fields
from docmail.widgets.settings.applications import known_application
from docmail.widgets.settings.field_names import FormField
from docmail.widgets.settings.fields import OTHER, port_values
from docmail.widgets.settings.http_fields import service_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import ipywidgets

    from docmail.diagnosis import Finding
    from docmail.presets import Preset, Service
    from docmail.secret import Secret
    from docmail.widgets.parts.form_rows import Rows

FIND, TAKE = "find", "take"

_EMPTY: Mapping[str, Any] = {
    FormField.API: services.FORM,
    Field.HOST: "",
    **port_values(587),
    Field.SECURITY: Security.STARTTLS,
    Field.USERNAME: "",
    Field.SIGN_IN: SignIn.PASSWORD,
}
"""What stands in the fields that a provider decides, as long as nobody has touched them."""


class ProviderHelp:
    """The Provider menu, the button *Find settings* and the guide of one form.

    `show_state(name, on)` sets which parts of the form are shown.
    """

    def __init__(
        self, rows: Rows, fields: Mapping[str, ipywidgets.Widget], show_state: Callable[[str, bool], None]
    ) -> None:
        self._rows = rows
        self._fields = fields
        self._show_state = show_state
        self._usual_address = rows[Field.EMAIL_ADDRESS].hint
        self._hints = {name: rows[name].hint for name in (Field.HOST, Field.PORT, Field.USERNAME)}
        self._source = ""
        self._filled: dict[str, Any] = {}  # by recognising an address
        self._ours: dict[str, Any] = {}  # the last that was filled in, for whatever reason
        self._chosen: set[str] = set()  # the ports and securities that somebody has decided on
        self._replaced: dict[str, str] = {}  # what somebody had typed before it was replaced
        self._recognised = False  # by an address, a choice or a saved profile, not while a server's name is typed
        self._waits = False
        self._sign_in_by_smtp = SignIn.PASSWORD  # while HTTP is chosen
        self._address = ""
        self._finding: Finding | None = None
        self._filling = False
        self.guide = light(Html, _dom_classes=["dm-guide-panel"])
        self.finder = Actions(
            [(FIND, _("Find settings"))],
            self._pressed,
            fields={Field.EMAIL_ADDRESS: fields[Field.EMAIL_ADDRESS]},
            classes=["dm-finder", "dm-if-findable"],
            within=True,
        )
        self._work = Work(self.finder, self._show_failure)

    @property
    def preset(self) -> Preset | None:
        """The provider that the menu names."""
        chosen = self._fields[FormField.PROVIDER].value
        return presets.by_name(chosen) if chosen else None

    @property
    def service(self) -> Service | None:
        """The mail service that the menu of the HTTP services names."""
        return services.by_api(self._value(FormField.API)) if self._value(Field.PROTOCOL) == "http" else None

    def loaded(self) -> None:
        """Take note of the values that the form begins with, without changing any."""
        self._filled, self._ours, self._replaced = {}, {}, {}
        self._chosen.clear()
        self._address = self._value(Field.EMAIL_ADDRESS)
        self._choose(self._provider_of_server())
        self._recognised = self._is_complete()
        self._show(opened=False)

    @contextmanager
    def standing_back(self, *, when: bool = True) -> Iterator[None]:
        """Fill nothing in while a program fills fields in, and take note of what stands there afterwards."""
        if not when:
            yield
            return
        self._filling = True
        try:
            yield
        finally:
            self._filling = False
            self.loaded()

    def edited(self, name: str) -> None:
        """Follow a change that somebody made."""
        if self._filling:
            return
        self._replaced.pop(name, None)
        if name in {Field.PORT, FormField.PORT_NUMBER, Field.SECURITY} and self._value(name) != self._ours.get(name):
            self._chosen.add(name)
        # While a cell runs, the username that follows the address may come after it.
        late = name == Field.USERNAME and self._waits and self._value(name) == self._address
        if name == Field.EMAIL_ADDRESS or late:
            self._address_typed()
        elif name in {Field.PROTOCOL, FormField.API}:
            if name == Field.PROTOCOL and self._value(name) == "http":
                self._fill(
                    {FormField.API: self.preset.service if self.preset and self.preset.service else services.FORM}
                )
            self._follow_protocol(name)
            self._choose(self._provider_of_server())
            self._show(opened=True)
        elif name == FormField.PROVIDER:
            if self.preset is not None:
                self._replace(self._values_of_preset(self.preset), _(self.preset.name))
            self._recognised = self._is_complete()
            self._show(opened=True)
        elif name == Field.SIGN_IN and self._value(name) is SignIn.MICROSOFT and not self._value(Field.TENANT):
            self._fill({Field.TENANT: self._organisation()})
        elif name in {Field.HOST, Field.PORT, FormField.PORT_NUMBER, Field.USERNAME}:
            self._choose(self._provider_of_server())
            self._show(opened=False)

    def _follow_protocol(self, name: str) -> None:
        """Sign in as the service does; back at SMTP, as it stood there."""
        sign_in = self._fields[Field.SIGN_IN]
        if self._value(Field.PROTOCOL) == "http":
            if name == Field.PROTOCOL:
                self._sign_in_by_smtp = sign_in.value
            service = self.service
            sign_in.value = SignIn(service.sign_in) if service else SignIn.PASSWORD
        elif name == Field.PROTOCOL:
            sign_in.value = self._sign_in_by_smtp

    # --- filling in ---

    def _address_typed(self) -> None:
        before, self._address = self._address, self._value(Field.EMAIL_ADDRESS)
        preset = presets.by_address(self._address)
        self._waits = False
        if self._value(Field.TENANT) and self._value(Field.TENANT) == self._ours.get(Field.TENANT):
            self._fill({Field.TENANT: self._organisation()})
        if self._value(Field.PROTOCOL) == "http" and self.preset is None:
            pass  # somebody has chosen that; only the menu leads back
        elif self._value(Field.PROTOCOL) == "smtp" and self._untouched({before, self._address}):
            if preset is not None:
                self._filled = self._values_of_preset(preset)
                self._fill(self._filled)
            elif self._filled:  # with what belongs to the provider of another address
                application: dict[str, Any] = {
                    name: "" for name in (Field.CLIENT_ID, Field.TENANT) if self._filled.get(name)
                }
                self._filled = {}
                mailbox = self._mailbox_values({})
                self._fill({**_EMPTY, **application, **mailbox, Field.USERNAME: self._address})
            self._choose(preset)
            self._recognised = self._is_complete()
        elif self.preset is not None and self._value(Field.USERNAME) in {before, self._address}:
            self._fill({Field.USERNAME: _username(self.preset.username, self._address)})
        else:
            self._waits = True
        self._show(opened=True)

    def _untouched(self, addresses: set[str]) -> bool:
        """Whether nobody has decided on what a provider decides; the username may be the address."""
        host, username = self._value(Field.HOST), self._value(Field.USERNAME)
        return (
            not self._chosen
            and host in {"", self._filled.get(Field.HOST)}
            and username in {"", self._filled.get(Field.USERNAME), *addresses}
        )

    def _organisation(self) -> str:
        """Return whose application an address at a company signs in with: at Microsoft its domain is a name for it."""
        return _domain(self._address) if self.preset is not None and self.preset.password_note else ""

    def _is_complete(self) -> bool:
        """Whether a provider is chosen, and nothing about its server is left for a person to fill in."""
        return self.preset is not None and "REGION" not in self._value(Field.HOST)

    def _values_of_preset(self, preset: Preset) -> dict[str, Any]:
        """Return what the choice of a provider fills in, as far as the address tells it."""
        values = {
            **(_values_of(preset.servers[0]) if preset.servers else {}),
            Field.PROTOCOL: preset.protocol,
            FormField.API: preset.service or services.FORM,
            **self._sign_in_values(preset),
            **self._mailbox_values(mailbox_fields.values_of_preset(preset)),
        }
        if preset.username == "address" and not self._address:
            return values  # the username will follow the address
        return values | {Field.USERNAME: _username(preset.username, self._address)}

    def _mailbox_values(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is filled in of the mailbox, of which this is `known`, unless somebody has typed a server."""
        typed = self._value(Field.MAILBOX_HOST) not in {"", self._ours.get(Field.MAILBOX_HOST)}
        return {} if typed else {**mailbox_fields.EMPTY, **known}

    def _sign_in_values(self, preset: Preset) -> dict[str, Any]:
        """Return how one signs in at first: in the browser where an application is known, or no password is taken."""
        if preset.protocol == "http":
            return {Field.SIGN_IN: SignIn.PASSWORD}
        way = SignIn(preset.sign_in)
        if application := known_application(way, self._address):
            return {Field.SIGN_IN: way, Field.CLIENT_ID: application.client_id, Field.TENANT: application.tenant}
        ours: dict[str, Any] = {
            name: "" for name in (Field.CLIENT_ID, Field.TENANT) if self._filled.get(name) == self._value(name) != ""
        }
        return {Field.SIGN_IN: way if preset.password == "oauth" else SignIn.PASSWORD, **ours}  # noqa: S105

    def _replace(self, values: dict[str, Any], source: str) -> None:
        """Fill in because somebody asked for it, and say what stood there if that was typed."""
        before = {name: self._said(name) for name in self._hints}
        known: dict[str, set[Any]] = {
            Field.HOST: {"", self._ours.get(Field.HOST)},
            Field.USERNAME: {"", self._address, self._ours.get(Field.USERNAME)},
            Field.PORT: set() if self._chosen else {before[Field.PORT]},
        }
        self._filled = {}
        self._fill(values)
        self._source = source
        self._replaced = {name: text for name, text in self._replaced.items() if text != self._said(name)} | {
            name: text for name, text in before.items() if text not in known[name] | {self._said(name)}
        }

    def _said(self, name: str) -> str:
        """Return what stands in a field, as it is read on the screen."""
        if name == Field.PORT:
            return str(
                self._value(FormField.PORT_NUMBER) if self._value(Field.PORT) == OTHER else self._value(Field.PORT)
            )
        return str(self._value(name))

    def take_over(self, values: Mapping[str, Any]) -> None:
        """Fill in what somebody else than this form's user has decided, whatever stands there."""
        changes = {name: value for name, value in values.items() if self._value(name) != value}
        if changes:
            self._fill(changes)
            self._choose(presets.by_address(self._value(Field.EMAIL_ADDRESS)) or self._provider_of_server())
            self._recognised = self._is_complete()
            self._show(opened=True)

    def _fill(self, values: Mapping[str, Any]) -> None:
        before, self._filling = self._filling, True
        try:
            for name, value in values.items():
                self._fields[name].value = value
        finally:
            self._filling = before
        self._ours |= values
        self._chosen -= values.keys()

    def _choose(self, preset: Preset | None) -> None:
        self._fill({FormField.PROVIDER: preset.id if preset else ""})

    def _provider_of_server(self) -> Preset | None:
        """Return the provider whose server stands in the form; several share one, then the chosen one stays."""
        own = presets.by_address(self._value(Field.EMAIL_ADDRESS))
        if self._value(Field.PROTOCOL) == "http":
            there = [each for each in presets.presets() if each.service == self._value(FormField.API)]
            return next((each for each in (self.preset, own) if each in there), next(iter(there), None))
        host = trimmed(self._value(Field.HOST))
        port = trimmed(self._value(FormField.PORT_NUMBER) or self._value(Field.PORT))
        found = presets.by_host(host, int(port) if port.isascii() and port.isdecimal() else None) if host else None
        for preset in (self.preset, own):
            if found and preset and any(server.host == host for server in preset.servers):
                return preset
        return found

    def _value(self, name: str) -> Any:
        return self._fields[name].value

    # --- what the form says about it ---

    def _show(self, *, opened: bool) -> None:
        preset, known, domain = self.preset, presets.by_address(self._address), _domain(self._address)
        empty = self._value(Field.PROTOCOL) == "smtp" and not self._value(Field.HOST)
        findable = preset is None and known is None and bool(domain) and empty
        self._finding = None
        if self.finder.actions[0][0] != FIND:
            self.finder.actions = [[FIND, _("Find settings")]]
        self._show_state("findable", findable)
        self._rows[FormField.PROVIDER].hint = _about(preset, known, domain if findable else "")
        self._rows[Field.PROTOCOL].hint = _ways(preset, self._value(Field.PROTOCOL))
        self.show_short()
        for name, hint in self._hints.items():
            self._rows[name].hint = self._hint(name, hint, preset)
        if "REGION" in self._value(Field.HOST):
            self._rows[Field.HOST].hint = markup.warning(_("write your region in the place of REGION"))
        about = self.service or preset
        guides = (
            [markup.guide_panel(about, opened=each) for each in (opened, not opened)] if about else [markup.NOTHING]
        )
        # A guide that stands there already stays as its reader has folded it.
        if self.guide.value not in guides:
            self.guide.value = guides[0]
        self._show_state("guided", about is not None)

    def show_short(self) -> None:
        """Fold the rows of the server where a provider was recognised; the line in their place says what is set."""
        preset, service = self.preset, self.service
        http = self._value(Field.PROTOCOL) == "http"
        plain = not http and self._value(Field.SECURITY) is Security.NONE
        short = self._recognised and preset is not None and not plain
        self._show_state("known", short)
        mailbox = service.has_mailbox if service else not http
        self._show_state("asks-username", bool(preset and preset.username == "other" and mailbox))
        address = self._rows[Field.EMAIL_ADDRESS]
        if not short or preset is None:
            address.hint = self._usual_address
            return
        address.hint = _recognised(preset, application=bool(self._value(Field.CLIENT_ID)))
        host = _host_of(service, self._values()) if service else self._value(Field.HOST)
        parts = [host]
        if service is None:
            parts += [_("port {port}").format(port=self._said(Field.PORT)), _("encrypted")]
        elif preset.protocol == "http":
            parts.append(_("by HTTP: a key is enough, and networks seldom block it"))
        else:
            parts.append(_("by HTTP, not SMTP"))
        username = trimmed(self._value(Field.USERNAME))
        if mailbox and preset.username != "other" and username != trimmed(self._value(Field.EMAIL_ADDRESS)):
            parts.append(_("username {username}").format(username=username) if username else _("no username"))
        said = markup.tag("span", " · ".join(parts))
        self._rows[FormField.SERVER].hint = said
        # Where another row has to be seen in any case, the line stands beside that one.
        button = markup.fold_button("server", _("set by your organisation") if preset.organisation else _("change"))
        self._rows[FormField.SERVER].control.value = button
        with_button = Markup("{} {}").format(said, button)
        self._rows[FormField.REGION].hint = with_button if service and service.api == "mailgun" else ""

    def _values(self) -> dict[str, Any]:
        return {name: field.value for name, field in self._fields.items()}

    def _hint(self, name: str, usual: str, preset: Preset | None) -> str:
        if name in self._replaced:
            sentence = _("filled in for {provider}; “{before}” stood here")
            return sentence.format(provider=self._source, before=self._replaced[name])
        if preset is None or name == Field.PORT:
            return usual
        return _issued(preset) if name == Field.USERNAME else ""

    # --- looking for settings ---

    def _pressed(self, action: str, values: dict[str, Any], _secret: Secret | None) -> None:
        if action == FIND:
            self._work.start(lambda: self._find(values[Field.EMAIL_ADDRESS]))
        elif action == TAKE:
            self._work.start(self._take)

    def _find(self, address: str) -> None:
        from docmail.diagnosis import find

        finding = find(address, on_step=self._say, stopped=lambda: self._work.stopped)
        if _domain(self._address) != _domain(address):
            self._show(opened=True)  # somebody has gone on to another domain
            return
        self._finding = finding
        if self._finding.encrypted and not self._finding.foreign and self._untouched({address}):
            self._take()
            return
        self._rows[FormField.PROVIDER].hint = markup.found(self._finding.text, self._finding.caution)
        self.finder.actions = [[TAKE, _("Use these settings")]]

    def _take(self) -> None:
        finding = self._finding
        if finding is None:
            return
        self._choose(finding.preset)
        username = {Field.USERNAME: _username(finding.username, self._address)}
        sign_in = self._sign_in_values(finding.preset) if finding.preset else {}
        mailbox = self._mailbox_values(mailbox_fields.values_of_server(finding.mailbox))
        self._replace(_values_of(finding) | username | sign_in | mailbox, finding.host)
        self._recognised = self._is_complete()
        self._show(opened=True)
        self._rows[FormField.PROVIDER].hint = markup.found(finding.text, _("Filled in below."))

    def _say(self, sentence: str) -> None:
        self._rows[FormField.PROVIDER].hint = sentence

    def _show_failure(self, exc: Exception) -> None:
        self._rows[FormField.PROVIDER].hint = _("Stopped.") if self._work.stopped else markup.short_failure(exc)


def _domain(address: str) -> str:
    """Return the domain of a whole address; nothing while it is still being typed."""
    try:
        domain = parse_address(address, Field.EMAIL_ADDRESS).domain
    except AddressError:
        return ""
    return domain if "." in domain else ""


def _values_of(server: Any) -> dict[str, Any]:
    """Return the values for a server of a preset, or one that was found."""
    return {
        Field.PROTOCOL: "smtp",
        Field.HOST: server.host,
        **port_values(server.port),
        Field.SECURITY: Security(server.security),
    }


def _username(rule: str, address: str) -> str:
    """Return the username that a rule of `presets.toml` gives for an address; empty if only the user knows it."""
    if rule.startswith("fixed:"):
        return rule.removeprefix("fixed:")
    if rule == "local-part":
        return address.partition("@")[0]
    return address if rule == "address" else ""


def _issued(preset: Preset) -> str:
    """Return what stands beside Username for a known provider; nothing where it is simply the address."""
    return _("as {provider} issued it").format(provider=_(preset.name)) if preset.username == "other" else ""


def _host_of(service: Service, values: Mapping[str, Any]) -> str:
    """Return the host that takes the mail of a service."""
    return urlsplit(service_server(values).full_url).hostname or service.host


def _recognised(preset: Preset, *, application: bool) -> Markup:
    """Return what stands beside the address of a known provider: its name, or what must be known before all else."""
    if not preset.notice or application:
        return markup.found(_(preset.name))
    remains = presets.guide(preset.remedy)
    return markup.wide(
        markup.warning(_(preset.notice)),
        markup.tag("time", _("(checked {date})").format(date=preset.checked.isoformat())),
        _("Use another account, or ask for an application ID."),
        markup.folded(_("What you can do"), markup.section(remains)),
    )


def _ways(preset: Preset | None, protocol: str) -> str:
    """Return what stands beside Protocol: what the two are, or which way a provider is taken and why."""
    if preset is None or preset.service is None:
        smtp, http = _("SMTP: as mail programs send"), _("HTTP: for a server that takes mail as a web form does")
        return f"{smtp}; {http}"
    if preset.protocol == "http":
        return _("HTTP needs only a key, and networks seldom block it; SMTP wants a username and a password of its own")
    if protocol == "smtp":
        return _("SMTP is what a password is for; HTTP needs a registered application")
    return _("HTTP works where a network blocks SMTP; it needs a registered application")


def _about(preset: Preset | None, known: Preset | None, domain: str) -> str:
    """Return what stands beside the menu: the chosen provider, the one of the address, or how to find the settings."""
    if preset is not None:
        return markup.found(_("known to docmail"))
    if known is not None:
        sentence = _("This is an address of {provider}: choose it here to fill in its server.")
        return sentence.format(provider=_(known.name))
    if domain:
        from docmail.diagnosis import questions

        return questions(domain)
    return ""
