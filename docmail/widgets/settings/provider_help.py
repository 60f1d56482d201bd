"""What the form knows about providers: fills fields in from an address or a menu, finds the rest, shows the guide.

What a person typed is replaced only where that person asks for it, and then the form says what stood there.
"""

from __future__ import annotations

from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail import presets
from docmail.addresses import parse_address, trimmed
from docmail.errors import AddressError
from docmail.language import _
from docmail.presets import services
from docmail.settings import Security, SignIn
from docmail.widgets.parts import markup
from docmail.widgets.parts.background import Work
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import light
from docmail.widgets.settings.fields import OTHER, port_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from docmail.diagnosis import Finding
    from docmail.presets import Preset, Service
    from docmail.secret import Secret
    from docmail.widgets.parts.form_rows import Rows

FIND, TAKE = "find", "take"

_EMPTY: Mapping[str, Any] = {
    "host": "",
    **port_values(587),
    "security": Security.STARTTLS,
    "username": "",
    "sign_in": SignIn.PASSWORD,
}
"""What stands in the fields that a provider decides, as long as nobody has touched them."""


class ProviderHelp:
    """The Provider menu, the button *Find settings* and the guide of one form.

    `show_state(name, on)` tells the form which of its parts to show.
    """

    def __init__(
        self, rows: Rows, fields: Mapping[str, ipywidgets.Widget], show_state: Callable[[str, bool], None]
    ) -> None:
        self._rows = rows
        self._fields = fields
        self._show_state = show_state
        self._hints = {name: rows[name].hint for name in ("host", "port", "username")}
        self._source = ""
        self._filled: dict[str, Any] = {}  # by recognising an address
        self._ours: dict[str, Any] = {}  # the last that was filled in, for whatever reason
        self._chosen: set[str] = set()  # the ports and securities that somebody has decided on
        self._replaced: dict[str, str] = {}  # what somebody had typed before it was replaced
        self._waits = False
        self._sign_in_by_smtp = SignIn.PASSWORD  # while HTTP is chosen
        self._address = ""
        self._finding: Finding | None = None
        self._filling = False
        self.guide = light(ipywidgets.HTML, _dom_classes=["dm-guide-panel"])
        self.finder = Actions(
            [(FIND, _("Find settings"))],
            self._pressed,
            fields={"email_address": fields["email_address"]},
            classes=["dm-finder", "dm-if-findable"],
        )
        self._work = Work(self.finder, self._show_failure)

    @property
    def preset(self) -> Preset | None:
        """The provider that the menu names."""
        chosen = self._fields["provider"].value
        return presets.by_name(chosen) if chosen else None

    @property
    def service(self) -> Service | None:
        """The mail service that the menu of the HTTP services names."""
        return services.by_api(self._value("api")) if self._value("protocol") == "http" else None

    def loaded(self) -> None:
        """Take note of the values that the form begins with, without changing any."""
        self._filled, self._ours, self._replaced = {}, {}, {}
        self._chosen.clear()
        self._address = self._value("email_address")
        self._choose(self._provider_of_server())
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
        if name in {"port", "port_number", "security"} and self._value(name) != self._ours.get(name):
            self._chosen.add(name)
        # While a cell runs, the username that follows the address may come after it.
        late = name == "username" and self._waits and self._value(name) == self._address
        if name == "email_address" or late:
            self._address_typed()
        elif name in {"protocol", "api"}:
            self._follow_protocol(name)
            self._show(opened=name == "api")
        elif name == "provider":
            if self.preset is not None:
                self._replace(_values_of_preset(self.preset, self._address), _(self.preset.name))
            self._show(opened=True)
        elif name in {"host", "port", "port_number", "username"}:
            self._choose(self._provider_of_server())
            self._show(opened=False)

    def _follow_protocol(self, name: str) -> None:
        """Sign in as the service does; back at SMTP, as it stood there."""
        sign_in = self._fields["sign_in"]
        if self._value("protocol") == "http":
            if name == "protocol":
                self._sign_in_by_smtp = sign_in.value
            service = self.service
            sign_in.value = SignIn(service.sign_in) if service else SignIn.PASSWORD
        elif name == "protocol":
            sign_in.value = self._sign_in_by_smtp

    # --- filling in ---

    def _address_typed(self) -> None:
        before, self._address = self._address, self._value("email_address")
        preset = presets.by_address(self._address)
        self._waits = False
        if self._value("protocol") == "http":
            pass  # somebody has chosen that; only the menu leads back
        elif self._untouched({before, self._address}):
            if preset is not None:
                self._filled = _values_of_preset(preset, self._address)
                self._fill(self._filled)
            elif self._filled:  # with what belongs to the provider of another address
                self._filled = {}
                self._fill({**_EMPTY, "username": self._address})
            self._choose(preset)
        elif self.preset is not None and self._value("username") in {before, self._address}:
            self._fill({"username": _username(self.preset.username, self._address)})
        else:
            self._waits = True
        self._show(opened=True)

    def _untouched(self, addresses: set[str]) -> bool:
        """Whether nobody has decided on what a provider decides; the username may be the address."""
        host, username = self._value("host"), self._value("username")
        return (
            not self._chosen
            and host in {"", self._filled.get("host")}
            and username in {"", self._filled.get("username"), *addresses}
        )

    def _replace(self, values: dict[str, Any], source: str) -> None:
        """Fill in because somebody asked for it, and say what stood there if that was typed."""
        before = {name: self._said(name) for name in self._hints}
        known: dict[str, set[Any]] = {
            "host": {"", self._ours.get("host")},
            "username": {"", self._address, self._ours.get("username")},
            "port": set() if self._chosen else {before["port"]},
        }
        self._filled = {}
        self._fill(values)
        self._source = source
        self._replaced = {name: text for name, text in self._replaced.items() if text != self._said(name)} | {
            name: text for name, text in before.items() if text not in known[name] | {self._said(name)}
        }

    def _said(self, name: str) -> str:
        """Return what stands in a field, as it is read on the screen."""
        if name == "port":
            return str(self._value("port_number") if self._value("port") == OTHER else self._value("port"))
        return str(self._value(name))

    def _fill(self, values: Mapping[str, Any]) -> None:
        self._filling = True
        try:
            for name, value in values.items():
                self._fields[name].value = value
        finally:
            self._filling = False
        self._ours |= values
        self._chosen -= values.keys()

    def _choose(self, preset: Preset | None) -> None:
        self._filling = True
        try:
            self._fields["provider"].value = preset.id if preset else ""
        finally:
            self._filling = False

    def _provider_of_server(self) -> Preset | None:
        """Return the provider whose server stands in the form; several share one, then the chosen one stays."""
        host = trimmed(self._value("host"))
        port = trimmed(self._value("port_number") or self._value("port"))
        found = presets.by_host(host, int(port) if port.isascii() and port.isdecimal() else None) if host else None
        for preset in (self.preset, presets.by_address(self._value("email_address"))):
            if found and preset and any(server.host == host for server in preset.servers):
                return preset
        return found

    def _value(self, name: str) -> Any:
        return self._fields[name].value

    # --- what the form says about it ---

    def _show(self, *, opened: bool) -> None:
        preset, known, domain = self.preset, presets.by_address(self._address), _domain(self._address)
        empty = self._value("protocol") == "smtp" and not self._value("host")
        findable = preset is None and known is None and bool(domain) and empty
        self._finding = None
        if self.finder.actions[0][0] != FIND:
            self.finder.actions = [[FIND, _("Find settings")]]
        self._show_state("findable", findable)
        self._rows["provider"].hint = _about(preset, known, domain if findable else "")
        for name, hint in self._hints.items():
            self._rows[name].hint = self._hint(name, hint, preset)
        if "REGION" in self._value("host"):
            self._rows["host"].hint = markup.warning(_("write your region in the place of REGION"))
        about = self.service or preset
        guides = [markup.guide_panel(about, opened=each) for each in (opened, not opened)] if about else [""]
        # A guide that stands there already stays as its reader has folded it.
        if self.guide.value not in guides:
            self.guide.value = guides[0]
        self._show_state("guided", about is not None)

    def _hint(self, name: str, usual: str, preset: Preset | None) -> str:
        if name in self._replaced:
            sentence = _("filled in for {provider}; “{before}” stood here")
            return escape(sentence.format(provider=self._source, before=self._replaced[name]))
        if preset is None or name == "port":
            return usual
        return escape(_issued(preset)) if name == "username" else ""

    # --- looking for settings ---

    def _pressed(self, action: str, values: dict[str, Any], _secret: Secret | None) -> None:
        if action == "stop":
            self._work.stop()
        elif action == FIND:
            self._work.start(lambda: self._find(values["email_address"]))
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
        self._rows["provider"].hint = markup.found(self._finding.text, self._finding.caution)
        self.finder.actions = [[TAKE, _("Use these settings")]]

    def _take(self) -> None:
        finding = self._finding
        if finding is None:
            return
        self._choose(finding.preset)
        self._replace(_values_found(finding, self._address), finding.host)
        self._show(opened=True)
        self._rows["provider"].hint = markup.found(finding.text, _("Filled in below."))

    def _say(self, sentence: str) -> None:
        self._rows["provider"].hint = escape(sentence)

    def _show_failure(self, exc: Exception) -> None:
        self._rows["provider"].hint = escape(_("Stopped.")) if self._work.stopped else markup.short_failure(exc)


def _domain(address: str) -> str:
    """Return the domain of a whole address; nothing while it is still being typed."""
    try:
        domain = parse_address(address, "email_address").domain
    except AddressError:
        return ""
    return domain if "." in domain else ""


def _values_of_preset(preset: Preset, address: str) -> dict[str, Any]:
    server = preset.servers[0]
    values = {
        "protocol": "smtp",
        "host": server.host,
        **port_values(server.port),
        "security": Security(server.security),
        "sign_in": SignIn(preset.sign_in),
    }
    if preset.username == "address" and not address:
        return values  # the username will follow the address
    return values | {"username": _username(preset.username, address)}


def _values_found(finding: Finding, address: str) -> dict[str, Any]:
    values = {
        "protocol": "smtp",
        "host": finding.host,
        **port_values(finding.port),
        "security": Security(finding.security),
    }
    return values | {"username": _username(finding.username, address)}


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


def _about(preset: Preset | None, known: Preset | None, domain: str) -> str:
    """Return what stands beside the menu: the chosen provider, the one of the address, or how to find the settings."""
    if preset is not None and preset.password == "oauth":  # noqa: S105 - a word of presets.toml
        sentence = _("{provider} accepts no passwords from other programs; sign in with Microsoft below.")
        return markup.warning(sentence.format(provider=_(preset.name)))
    if preset is not None:
        return markup.found(_("known to docmail"))
    if known is not None:
        sentence = _("This is an address of {provider}: choose it here to fill in its server.")
        return escape(sentence.format(provider=_(known.name)))
    if domain:
        from docmail.diagnosis import questions

        return escape(questions(domain))
    return ""
