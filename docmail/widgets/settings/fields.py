"""The fields of the settings form: which there are, when they are shown, and how they become `Settings` and back."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from docmail import presets
from docmail.addresses import Address, parse_address, trimmed
from docmail.errors import AddressError, Problem
from docmail.language import _
from docmail.presets import services
from docmail.settings import HttpServer, Security, Settings, SignIn, SmtpServer
from docmail.widgets.parts import markup
from docmail.widgets.parts.controls import Password, Rule
from docmail.widgets.parts.form_rows import Row, Rows, box, choice, fold, menu, text
from docmail.widgets.settings.http_fields import (
    apis,
    filled_for_http,
    service_server,
    service_values,
    shown_for_http,
    sign_in_values,
)
from docmail.widgets.settings.sign_in_fields import sign_in_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ipywidgets

    from docmail.home import Home

PORTS = ("587", "465", "25")
OTHER = "other"

RULES = (
    Rule("smtp", "protocol", "is", "smtp"),
    Rule("http", "protocol", "is", "http"),
    Rule("form", "api", "is", services.FORM),
    Rule("mailgun", "api", "is", "mailgun"),
    *(Rule("service", "api", "is", service.api) for service in services.SERVICES),
    Rule("own-address", "protocol", "is", "smtp"),
    *(Rule("own-address", "api", "is", service.api) for service in services.SERVICES),
    Rule("named", "protocol", "is", "smtp"),
    *(Rule("named", "api", "is", service.api) for service in services.SERVICES if service.has_mailbox),
    Rule("token", "sign_in", "is", SignIn.MICROSOFT),
    Rule("token", "sign_in", "is", SignIn.GOOGLE),
    Rule("by-microsoft", "sign_in", "is", SignIn.MICROSOFT),
    Rule("by-google", "sign_in", "is", SignIn.GOOGLE),
    Rule("secret", "sign_in", "is", SignIn.PASSWORD),
    Rule("other-port", "port", "is", OTHER),
    Rule("port-25", "port", "is", "25"),
    Rule("typed-25", "port_number", "is", "25"),
    Rule("tls", "security", "is", Security.TLS),
    Rule("starttls", "security", "is", Security.STARTTLS),
    Rule("plain", "security", "is", Security.NONE),
    Rule("asks-address", "username", "lacks", "@"),
    Rule("copies", "copies", "is"),
    Rule("replies", "replies", "is"),
    Rule("self-signed", "self_signed", "is"),
    Rule("advanced", "advanced", "is"),
)

FOLLOW = {"ports": [*PORTS], "tls": 1, "starttls": 0, "address": ["username", "http_reply_to"]}
"""For `controls.js`: the ports of the choice, in its order, the places of the two securities in theirs, and the fields
that say the same as the email address until they are changed."""


def rows(profile: str) -> Rows:
    """Return the rows of the form in their order; the last three stand under Advanced."""
    securities = [(_("STARTTLS"), Security.STARTTLS), (_("TLS"), Security.TLS), (_("none"), Security.NONE)]
    ports = [*((port, port) for port in PORTS), (_("other…"), OTHER)]
    regions = [(_("United States"), "us"), (_("European Union"), "eu")]
    smtp, form, own_address = ("smtp",), ("http", "form"), ("own-address",)
    return Rows(
        [
            Row(
                "email_address",
                text(_("Your email address"), placeholder="accounts@example.com"),
                hint=_address_help(),
            ),
            Row("provider", menu(_("Provider"), providers(), ""), style="dm-last-helper"),
            Row("protocol", choice(_("Protocol"), [("SMTP", "smtp"), ("HTTP", "http")], "smtp")),
            Row(
                "api",
                menu(_("Service"), apis(), services.FORM),
                hint=escape(_("who takes the mail; each has a guide")),
                when=("http",),
            ),
            Row("region", choice(_("Region"), regions, "us"), when=("http", "mailgun")),
            Row(
                "domain",
                text(_("Domain"), placeholder="mg.example.com"),
                hint=escape(_("the one that you have added at Mailgun")),
                when=("http", "mailgun"),
            ),
            Row(
                "url",
                text(_("HTTP server"), placeholder="mail.example.com"),
                hint=escape(_("https:// is assumed")),
                when=form,
            ),
            Row(
                "http_reply_to",
                text(_("Reply to"), placeholder="office@example.com"),
                hint=escape(_("where answers go; the test email goes there as well")),
                when=form,
            ),
            Row(
                "host",
                text(_("SMTP server"), placeholder="smtp.example.com"),
                hint=escape(_("as your provider names it")),
                when=smtp,
            ),
            Row("port", choice(_("Port"), ports, PORTS[0]), hint=_port_help(), when=smtp),
            Row(
                "port_number",
                text(_("Port number"), placeholder="2525"),
                hint=f'<span class="dm-if-typed-25">{markup.warning(_port_25())}</span>',
                when=("smtp", "other-port"),
            ),
            Row("security", choice(_("Security"), securities, Security.STARTTLS), hint=_security_help(), when=smtp),
            Row(
                "username",
                text(_("Username")),
                hint=_username_help(),
                when=("named",),
            ),
            *sign_in_rows(),
            Row("password", Password, when=("own-address", "secret")),
            Row("sender", text(_("Sender's name")), hint=escape(_("what recipients see before the address"))),
            Row("copies", box(_("Send a copy of every email to this address")), style="dm-check"),
            Row("copy_to", text(_("Copy to"), placeholder="archive@example.com"), when=("copies",)),
            Row(
                "replies",
                box(_("Receive email replies at a different address than you send from")),
                when=own_address,
                style="dm-check",
            ),
            Row(
                "reply_to",
                text(_("Replies to"), placeholder="office@example.com"),
                hint=escape(_("several addresses: with commas between them")),
                when=("own-address", "replies"),
            ),
            Row(
                "self_signed",
                box(_("Allow self-signed certificates")),
                hint=self_signed_help(""),
                when=smtp,
                style="dm-check",
            ),
            Row(
                "fingerprint",
                text(_("Trusted certificate"), placeholder=_("filled in after the test")),
                hint=escape(_("the SHA-256 fingerprint: the test shows it and asks you")),
                when=("smtp", "self-signed"),
            ),
            Row("advanced", fold(_("Advanced")), style="dm-fold-button"),
            Row(
                "api_url",
                text(_("Address"), placeholder="https://"),
                hint=escape(_("only for a server that stands between you and the service")),
                when=("http", "service", "advanced"),
            ),
            Row(
                "ca_file",
                text(_("CA file"), placeholder="/etc/ssl/company-ca.pem"),
                hint=escape(_("your organisation's own certification authority, in PEM form")),
                when=("smtp", "advanced"),
            ),
            Row(
                "profile",
                text(_("Profile"), profile),
                hint=escape(_("the name under which Update keeps these settings")),
                when=("advanced",),
            ),
        ]
    )


ADVANCED = ("api_url", "ca_file", "profile")


def providers() -> list[tuple[str, str]]:
    """Return what the Provider menu offers: a label and the preset's id, "" for none of them."""
    return [(_("Choose, or type your address"), ""), *((_(preset.name), preset.id) for preset in presets.presets())]


def _address_help() -> str:
    usual = escape(_("fills in the rest for known providers"))
    asked = escape(_("the address you send from, because your username is none"))
    return f'<span class="dm-unless-asks-address">{usual}</span><span class="dm-if-asks-address">{asked}</span>'


def _username_help() -> str:
    usual = escape(_("often your email address; empty: no sign-in"))
    mailbox = escape(_("the address of the mailbox that the mail is sent from"))
    return f'<span class="dm-if-smtp">{usual}</span><span class="dm-if-http">{mailbox}</span>'


def _port_25() -> str:
    return _("Port 25 is for mail between servers, and most networks block it: choose 587 or 465")


def _port_help() -> str:
    usual = escape(_("587 or 465, as your provider says"))
    return (
        f'<span class="dm-unless-port-25">{usual}</span><span class="dm-if-port-25">{markup.warning(_port_25())}</span>'
    )


def _security_help() -> str:
    spans = {
        "starttls": escape(_("encrypted before anything private is said")),
        "tls": escape(_("encrypted from the first byte")),
        "plain": markup.warning(_("not encrypted: only for a server on this computer, or without sign-in")),
    }
    return "".join(f'<span class="dm-if-{state}">{sentence}</span>' for state, sentence in spans.items())


def self_signed_help(host: str) -> str:
    """Return the sentence beside the box: for an established provider it says why the box stays off."""
    if preset := presets.established(trimmed(host)):
        return escape(
            _("{provider}'s certificate can always be checked, so this stays off").format(provider=_(preset.name))
        )
    return escape(_("only for a server of your own"))


def implied(port: int | str) -> Security:
    """Return the security that a port implies."""
    return Security.TLS if str(port).strip() == "465" else Security.STARTTLS


def states(values: Mapping[str, Any]) -> set[str]:
    """Return the states in which a form with these values is."""
    return {rule.state for rule in RULES if rule.holds(values)}


def settings_of(values: Mapping[str, Any], home: Home | None = None) -> tuple[Settings, list[Problem]]:
    """Return the settings that the form's values mean, and everything that is wrong with them, first things first."""
    if values["protocol"] == "http" and values["api"] == services.FORM:
        settings = Settings(
            sender=values["sender"],
            server=HttpServer(values["url"]),
            copy_to=_copy_to(values),
            reply_to=values["http_reply_to"],
            home=home,
        )
        found: list[Problem] = []
    else:
        server = service_server(values) if values["protocol"] == "http" else _smtp_server(values)
        sender, found = _sender(values, server.username)
        settings = Settings(
            sender=sender,
            server=server,
            copy_to=_copy_to(values),
            reply_to=values["reply_to"] if values["replies"] else (),
            home=home,
        )
    found += _unfilled(values)
    found += settings.problems()
    return settings, _for_the_form(found, values)


def _smtp_server(values: Mapping[str, Any]) -> SmtpServer:
    number = _port(values)
    # 0 is what problems() then complains about.
    port = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 0  # noqa: PLR2004
    security = values["security"]
    trusted = values["self_signed"] and not presets.established(trimmed(values["host"]))
    return SmtpServer(
        host=values["host"],
        port=port,
        security=None if security == implied(port) else security,
        username=values["username"],
        fingerprint=(trimmed(values["fingerprint"]) or None) if trusted else None,
        ca_file=trimmed(values["ca_file"]) or None,
        **sign_in_values(values),
    )


def _port(values: Mapping[str, Any]) -> str:
    return trimmed(values["port_number"] if values["port"] == OTHER else values["port"])


def _sender(values: Mapping[str, Any], username: str) -> tuple[str, list[Problem]]:
    """Return the sender: the name, with the address unless the username is the same."""
    name, address = trimmed(values["sender"]), trimmed(values["email_address"])
    # A username that is the address says it already (the reference); so does a name with an address of its own.
    if not address or "@" in name or address.casefold() == username.casefold():
        return name, []
    try:
        parsed = parse_address(address, "email_address")
    except AddressError as exc:
        return name, [Problem("email_address", str(exc))]
    return str(Address(name or parsed.name, parsed.local, parsed.domain)), []


def _copy_to(values: Mapping[str, Any]) -> str | None:
    return values["copy_to"] if values["copies"] else None


def _unfilled(values: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each box that is ticked while its address is missing."""
    found = []
    if values["copies"] and not trimmed(values["copy_to"]):
        found.append(Problem("copy_to", _("Give the address for the copies, or untick the box above.")))
    own_address = values["protocol"] == "smtp" or values["api"] != services.FORM
    if own_address and values["replies"] and not trimmed(values["reply_to"]):
        found.append(Problem("reply_to", _("Give the address that replies go to, or untick the box above.")))
    return found


def _for_the_form(problems: list[Problem], values: Mapping[str, Any]) -> list[Problem]:
    """Return one problem per field, under the name of the field that is on the screen, in the form's order."""
    first: dict[str, Problem] = {}
    for problem in problems:
        name = shown_field(problem.field, values)
        first.setdefault(name, Problem(name, problem.message))
    order = [row for row in FIELD_ORDER if row in first]
    return [first[name] for name in [*order, *(name for name in first if name not in order)]]


FIELD_ORDER = (
    "email_address",
    "provider",
    "protocol",
    "api",
    "region",
    "domain",
    "url",
    "http_reply_to",
    "host",
    "port",
    "port_number",
    "security",
    "username",
    "sign_in",
    "client_id",
    "tenant",
    "client_secret",
    "pasted",
    "password",
    "sender",
    "copies",
    "copy_to",
    "replies",
    "reply_to",
    "self_signed",
    "fingerprint",
    "advanced",
    "api_url",
    "ca_file",
    "profile",
)


def shown_field(field: str, values: Mapping[str, Any]) -> str:
    """Return the row that shows a setting's problem."""
    if field == "password" and values["sign_in"] is not SignIn.PASSWORD:
        return "sign_in"
    if values["protocol"] == "http":
        return shown_for_http(field, values)
    if field == "port" and values["port"] == OTHER:
        return "port_number"
    if field == "email_address" and "@" in values["username"] and not trimmed(values["email_address"]):
        return "username"
    if field == "fingerprint" and not values["self_signed"]:
        return "self_signed"
    return field


def values_of(settings: Settings) -> dict[str, Any]:
    """Return the form's values for settings; the rest of the form stays as it is."""
    server = settings.server
    values: dict[str, Any] = {
        "sender": settings.sender,
        "copies": settings.copy_to is not None,
        "copy_to": settings.copy_to or "",
    }
    sign_in = {name: getattr(server, name) for name in ("client_id", "tenant", "sign_in")}
    replies = {"replies": bool(settings.reply_to), "reply_to": ", ".join(settings.reply_to)}
    if isinstance(server, HttpServer) and server.service is not None:
        username = {"username": server.username} if server.service.has_mailbox else {}
        values |= service_values(server) | username | sign_in
        return values | replies | _sender_values(settings.sender, server.username)
    if isinstance(server, HttpServer):
        several = ", ".join(settings.reply_to)
        return (
            values
            | {"api": services.FORM}
            | {"protocol": "http", "url": server.url, "http_reply_to": several, "email_address": several}
        )
    values |= _sender_values(settings.sender, server.username)
    return (
        values
        | port_values(server.port)
        | {
            "protocol": "smtp",
            "host": server.host,
            "security": server.effective_security,
            "username": server.username,
            **sign_in,
            **replies,
            "self_signed": server.fingerprint is not None,
            "fingerprint": server.fingerprint or "",
            "ca_file": server.ca_file or "",
        }
    )


def port_values(port: int | str) -> dict[str, str]:
    """Return the choice, and the number beside it, for a port."""
    known = str(port).strip() in PORTS
    return {"port": str(port).strip() if known else OTHER, "port_number": "" if known else str(port)}


def _sender_values(sender: str, username: str) -> dict[str, str]:
    """Return name and address, as far as they can be told apart without changing what is sent."""
    try:
        address = parse_address(sender, "sender") if "@" in sender else None
    except AddressError:
        address = None
    if address is None:
        name = sender.removeprefix('"').removesuffix('"')
        return {"sender": name, "email_address": username if "@" in username else ""}
    return {"sender": address.name, "email_address": address.addr_spec}


_SECRETS = {"password", "client_secret", "pasted"}
_NOT_FILLABLE = _SECRETS | {"provider", "port_number", "http_reply_to", "copies", "replies", "advanced"}
FILLABLE = frozenset(FIELD_ORDER) - _NOT_FILLABLE


def filled(values: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a program's `fill(host=..., port=...)` changes in the current form, boxes and choices included."""
    if _SECRETS & values.keys():
        raise TypeError(_("fill() takes no password: it would stay in the cell. Type it into the form."))
    if unknown := sorted(set(values) - FILLABLE):
        raise TypeError(
            _("fill() does not know {names}; it takes {known}.").format(
                names=", ".join(unknown), known=", ".join(sorted(FILLABLE))
            )
        )
    changes = {
        name: "" if value is None and name not in {"security", "port"} else value for name, value in values.items()
    }
    if "port" in values:
        changes |= port_values(values["port"])
        changes.setdefault("security", None)
    if "security" in changes:
        security = changes["security"]
        # None is what `SmtpServer` has, too: as the port implies.
        changes["security"] = implied(_port({**current, **changes})) if security is None else Security(security)
    if "@" in changes.get("username", ""):
        changes.setdefault("email_address", values["username"])
    if "sign_in" in values:
        del changes["sign_in"]  # last of all: what leads to Microsoft or Google has to stand there first
        changes["sign_in"] = SignIn(values["sign_in"])
    changes |= filled_for_http(values, values.get("api", current["api"]))
    return changes | _boxes(values)


def _boxes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a box above them, with that box."""
    changes: dict[str, Any] = {}
    if "ca_file" in values:
        changes["ca_file"] = str(values["ca_file"] or "")
    if "copy_to" in values:
        changes |= {"copy_to": values["copy_to"] or "", "copies": bool(values["copy_to"])}
    if "reply_to" in values:
        several = values["reply_to"] or ""
        joined = several if isinstance(several, str) else ", ".join(several)
        changes |= {"reply_to": joined, "http_reply_to": joined, "replies": bool(joined)}
    if "fingerprint" in values:
        changes |= {"fingerprint": values["fingerprint"] or "", "self_signed": bool(values["fingerprint"])}
    return changes


def widgets_of(form_rows: Rows) -> dict[str, ipywidgets.Widget]:
    """Return the fields by name; the password is none of them."""
    return {row.name: row.control for row in form_rows if not isinstance(row.control, Password)}
