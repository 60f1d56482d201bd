"""The fields of the settings form: which there are, when they are shown, and how they become `Settings` and back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from docmail import presets
from docmail.addresses import Address, parse_address, trimmed
from docmail.errors import AddressError, Field, Problem
from docmail.language import _
from docmail.presets import services
from docmail.settings import HttpServer, Security, Settings, SignIn, SmtpServer, implied
from docmail.widgets.parts import markup
from docmail.widgets.parts.controls import Password, Rule
from docmail.widgets.parts.form_rows import Html, Row, Rows, box, choice, fold, line, menu, text
from docmail.widgets.settings import mailbox_fields
from docmail.widgets.settings.field_names import FILLABLE, SECRETS, FormField
from docmail.widgets.settings.http_fields import (
    apis,
    filled_for_http,
    service_server,
    service_values,
    shown_for_http,
    sign_in_values,
)
from docmail.widgets.settings.mailbox_fields import filled_for_mailbox, mailbox_of, mailbox_rows, mailbox_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ipywidgets

    from docmail.home import Home

PORTS = ("587", "465", "25")
OTHER = "other"
FREE_RELAY = "email.manager.io"
"""The relay that the accounting program Manager.io runs for anybody, by the form protocol."""

RULES = (
    Rule("smtp", Field.PROTOCOL, "is", "smtp"),
    Rule("http", Field.PROTOCOL, "is", "http"),
    Rule("form", FormField.API, "is", services.FORM),
    Rule("mailgun", FormField.API, "is", "mailgun"),
    *(Rule("service", FormField.API, "is", service.api) for service in services.SERVICES),
    Rule("own-address", Field.PROTOCOL, "is", "smtp"),
    *(Rule("own-address", FormField.API, "is", service.api) for service in services.SERVICES),
    Rule("named", Field.PROTOCOL, "is", "smtp"),
    *(Rule("named", FormField.API, "is", service.api) for service in services.SERVICES if service.has_mailbox),
    Rule("token", Field.SIGN_IN, "is", SignIn.MICROSOFT),
    Rule("token", Field.SIGN_IN, "is", SignIn.GOOGLE),
    Rule("by-microsoft", Field.SIGN_IN, "is", SignIn.MICROSOFT),
    Rule("by-google", Field.SIGN_IN, "is", SignIn.GOOGLE),
    Rule("secret", Field.SIGN_IN, "is", SignIn.PASSWORD),
    Rule("other-port", Field.PORT, "is", OTHER),
    Rule("port-25", Field.PORT, "is", "25"),
    Rule("typed-25", FormField.PORT_NUMBER, "is", "25"),
    Rule("tls", Field.SECURITY, "is", Security.TLS),
    Rule("starttls", Field.SECURITY, "is", Security.STARTTLS),
    Rule("plain", Field.SECURITY, "is", Security.NONE),
    Rule("asks-address", Field.USERNAME, "lacks", "@"),
    Rule("copies", FormField.COPIES, "is"),
    Rule("replies", FormField.REPLIES, "is"),
    Rule("self-signed", FormField.SELF_SIGNED, "is"),
    Rule("advanced", FormField.ADVANCED, "is"),
    *mailbox_fields.RULES,
)

_SECURITIES = (Security.STARTTLS, Security.TLS, Security.NONE)

FOLLOW = {
    "securities": [
        {
            "field": Field.SECURITY,
            "chosen": Field.PORT,
            "typed": FormField.PORT_NUMBER,
            "ports": [*PORTS],
            "places": {port: _SECURITIES.index(implied(int(port))) for port in PORTS},
            "otherwise": _SECURITIES.index(implied(0)),
        },
        mailbox_fields.FOLLOW,
    ],
    "address": [Field.USERNAME, FormField.HTTP_REPLY_TO],
    "more": [FormField.COPIES, FormField.REPLIES, FormField.SELF_SIGNED, Field.CA_FILE],
}
"""For the scripts: for each choice of a security the fields of the ports that are chosen and typed, the chosen ones in
their order, the place of the security that each port implies, and of the one that any other implies; the fields that
say the same as the email address until they are changed; those that open their fold when they are on."""


def rows(profile: str) -> Rows:
    """Return the rows of the form in their order; the last three stand under Advanced.

    For a known provider the style sheet folds rows: those of the server (`dm-in-server`) into the line *Server*, and
    what few people need (`dm-in-more`) into the line below *Sender's name*.
    """
    securities = list(zip((_("STARTTLS"), _("TLS"), _("none")), _SECURITIES, strict=True))
    ports = [*((port, port) for port in PORTS), (_("other…"), OTHER)]
    regions = [(_("United States"), "us"), (_("European Union"), "eu")]
    port_25 = markup.warning(_("Port 25 is for mail between servers, and most networks block it: choose 587 or 465"))
    return Rows(
        Row(
            Field.EMAIL_ADDRESS,
            text(_("Your email address"), placeholder="accounts@example.com"),
            hint=_either(
                unless_asks_address=_("fills in the rest for known providers"),
                if_asks_address=_("the address you send from; your username is not an email address"),
            ),
        ),
        Row(FormField.PROVIDER, menu(_("Provider"), providers(), ""), style="dm-last-helper dm-in-server"),
        Row(FormField.SERVER, line(_("Server"), markup.fold_button("server", _("change"))), when="known"),
        Row(
            Field.PROTOCOL,
            choice(_("Protocol"), [("SMTP", "smtp"), ("HTTP", "http")], "smtp"),
            style="dm-in-server",
        ),
        _service(),
        Row(FormField.REGION, choice(_("Region"), regions, "us"), when="http mailgun"),
        Row(
            FormField.DOMAIN,
            text(_("Domain"), placeholder="mg.example.com"),
            hint=_("the one that you have added at Mailgun"),
            when="http mailgun",
        ),
        Row(
            Field.URL,
            text(_("HTTP server"), placeholder=FREE_RELAY),
            hint=_suggested(),
            when="http form",
        ),
        Row(
            FormField.HTTP_REPLY_TO,
            text(_("Reply to"), placeholder="office@example.com"),
            hint=_("where replies go; the test email goes there as well"),
            when="http form",
        ),
        Row(
            Field.HOST,
            text(_("SMTP server"), placeholder="smtp.example.com"),
            hint=_("as your provider names it"),
            when="smtp",
            style="dm-in-server",
        ),
        Row(
            Field.PORT,
            choice(_("Port"), ports, PORTS[0]),
            hint=_either(unless_port_25=_("587 or 465, as your provider says"), if_port_25=port_25),
            when="smtp",
            style="dm-in-server",
        ),
        Row(
            FormField.PORT_NUMBER,
            text(_("Port number"), placeholder="2525"),
            hint=_either(if_typed_25=port_25),
            when="smtp other-port",
            style="dm-in-server",
        ),
        Row(
            Field.SECURITY,
            choice(_("Security"), securities, Security.STARTTLS),
            hint=_either(
                if_starttls=_("the connection is encrypted before your password is sent"),
                if_tls=_("the connection is encrypted from the start"),
                if_plain=markup.warning(_("not encrypted: only for a server on this computer, or without sign-in")),
            ),
            when="smtp",
            style="dm-in-server",
        ),
        Row(
            Field.USERNAME,
            text(_("Username")),
            hint=_either(
                if_smtp=_("usually your email address; leave it empty for a server without sign-in"),
                if_http=_("the address of the mailbox that the mail is sent from"),
            ),
            when="named",
            style="dm-in-server",
        ),
        *_sign_in_rows(),
        Row(Field.PASSWORD, Password, when="own-address secret"),
        Row(Field.SENDER, text(_("Sender's name")), hint=_("what recipients see before the address")),
        Row(
            FormField.MORE,
            line(value=markup.fold_button("more", _("Copies, replies, certificates, after sending, look, guide"))),
            when="known",
        ),
        Row(FormField.COPIES, box(_("Send a copy of every email to this address")), style="dm-check dm-in-more"),
        Row(Field.COPY_TO, text(_("Copy to"), placeholder="archive@example.com"), when="copies", style="dm-in-more"),
        Row(
            FormField.REPLIES,
            box(_("Receive email replies at a different address than you send from")),
            when="own-address",
            style="dm-check dm-in-more",
        ),
        Row(
            Field.REPLY_TO,
            text(_("Replies to"), placeholder="office@example.com"),
            hint=_("several addresses: with commas between them"),
            when="own-address replies",
            style="dm-in-more",
        ),
        Row(
            FormField.SELF_SIGNED,
            box(_("Allow self-signed certificates")),
            hint=self_signed_help(""),
            when="smtp",
            style="dm-check dm-in-more",
        ),
        Row(
            Field.FINGERPRINT,
            text(_("Trusted certificate"), placeholder=_("filled in after the test")),
            hint=_("the SHA-256 fingerprint: the test shows it and asks you"),
            when="smtp self-signed",
            style="dm-in-more",
        ),
        *mailbox_rows(),
        Row(FormField.LOOK, fold(_("Look")), style="dm-fold-button dm-in-more"),
        Row(FormField.ADVANCED, fold(_("Advanced")), style="dm-fold-button dm-in-more"),
        Row(
            FormField.API_URL,
            text(_("Address"), placeholder="https://"),
            hint=_("only for a server that stands between you and the service"),
            when="http service advanced",
            style="dm-in-more",
        ),
        Row(
            Field.CA_FILE,
            text(_("CA file"), placeholder="/etc/ssl/company-ca.pem"),
            hint=_("your organisation's own certification authority, in PEM form"),
            when="smtp advanced",
            style="dm-in-more",
        ),
        Row(
            FormField.PROFILE,
            text(_("Profile"), profile),
            hint=_("the name under which Update keeps these settings"),
            when="advanced",
            style="dm-in-more",
        ),
    )


def _service() -> Row:
    """Return the service that takes the mail over HTTP: chosen with the provider, so that it stands in one menu."""
    row = Row(FormField.API, menu(_("Service"), apis(), services.FORM))
    row.drawn = False
    return row


def _suggested() -> Markup:
    """Return what stands beside HTTP server: a suggestion, and what taking it means."""
    said = _("https:// is assumed. A free one is that of Manager.io; your mail then passes through it:")
    use = _("Use {server}").format(server=FREE_RELAY)
    return Markup("{} {}").format(
        said, markup.setter(Field.URL, FREE_RELAY, use, then=FormField.HTTP_REPLY_TO, class_=markup.LINK)
    )


def _sign_in_rows() -> list[Row]:
    """Return the rows in their order; of the first two ways the style sheet shows the one that leads somewhere."""
    ways = [("Microsoft", SignIn.MICROSOFT), ("Google", SignIn.GOOGLE), (_("Password or token"), SignIn.PASSWORD)]
    return [
        Row(Field.SIGN_IN, choice(_("Sign in with"), ways, SignIn.PASSWORD), when="sign-in"),
        Row(
            Field.CLIENT_ID,
            text(_("Application ID"), placeholder="00000000-0000-0000-0000-000000000000"),
            hint=_("of the application that was registered for docmail; the guide shows how"),
            when="sign-in token",
        ),
        Row(
            Field.TENANT,
            text(_("Organisation"), placeholder="example.com"),
            hint=_("its domain or ID at Microsoft; empty: any account"),
            when="microsoft by-microsoft",
            style="dm-in-server",
        ),
        Row(Field.CLIENT_SECRET, partial(Password, label=_("Client secret")), when="google by-google"),
        Row(
            FormField.PASTED,
            partial(Password, label=_("Page address"), placeholder="http://127.0.0.1:"),
            hint=_("copy it from the browser's address bar after you have signed in"),
            when="by-google pasting",
        ),
    ]


def providers() -> list[tuple[str, str]]:
    """Return what the Provider menu offers: a label and the preset's id, "" for none of them."""
    return [(_("Choose, or type your address"), ""), *((_(preset.name), preset.id) for preset in presets.presets())]


def _either(**helps: str) -> Markup:
    """Return sentences; the style sheet shows one, by the form's state."""
    return markup.joined(
        markup.tag("span", sentence, class_=f"dm-{state.replace('_', '-')}") for state, sentence in helps.items()
    )


def self_signed_help(host: str) -> str:
    """Return the sentence beside the box: for an established provider it says why the box stays off."""
    if preset := presets.established(trimmed(host)):
        return _("{provider}'s certificate can always be checked, so this stays off").format(provider=_(preset.name))
    return _("only for a server of your own")


def states(values: Mapping[str, Any]) -> set[str]:
    """Return the states in which a form with these values is."""
    return {rule.state for rule in RULES if rule.holds(values)}


def settings_of(values: Mapping[str, Any], home: Home | None = None) -> tuple[Settings, list[Problem]]:
    """Return the settings that the values mean, and what is wrong with them, both in the form's order."""
    if values[Field.PROTOCOL] == "http" and values[FormField.API] == services.FORM:
        settings = Settings(
            sender=values[Field.SENDER],
            server=HttpServer(values[Field.URL]),
            copy_to=_copy_to(values),
            reply_to=values[FormField.HTTP_REPLY_TO],
            home=home,
            mailbox=mailbox_of(values),
        )
        found: list[Problem] = []
    else:
        server = service_server(values) if values[Field.PROTOCOL] == "http" else _smtp_server(values)
        sender, found = _sender(values, server.username)
        settings = Settings(
            sender=sender,
            server=server,
            copy_to=_copy_to(values),
            reply_to=values[Field.REPLY_TO] if values[FormField.REPLIES] else (),
            home=home,
            mailbox=mailbox_of(values),
        )
    found += _unfilled(values)
    # With a bad file of the organisation the form works, and says so in a place of its own.
    found += [problem for problem in settings.problems() if problem.field != Field.ORGANISATION]
    return settings, _for_the_form(found, values)


def _smtp_server(values: Mapping[str, Any]) -> SmtpServer:
    port = port_of(values)
    security = values[Field.SECURITY]
    trusted = values[FormField.SELF_SIGNED] and not presets.established(trimmed(values[Field.HOST]))
    return SmtpServer(
        host=values[Field.HOST],
        port=port,
        security=None if security == implied(port) else security,
        username=values[Field.USERNAME],
        fingerprint=(trimmed(values[Field.FINGERPRINT]) or None) if trusted else None,
        ca_file=trimmed(values[Field.CA_FILE]) or None,
        **sign_in_values(values),
    )


def port_of(values: Mapping[str, Any]) -> int:
    """Return the port; 0, about which `Settings.problems()` complains, for what is no number."""
    number = trimmed(values[FormField.PORT_NUMBER] if values[Field.PORT] == OTHER else values[Field.PORT])
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 0  # noqa: PLR2004


def _sender(values: Mapping[str, Any], username: str) -> tuple[str, list[Problem]]:
    """Return the sender: the name, with the address unless the username is the same."""
    name, address = trimmed(values[Field.SENDER]), trimmed(values[Field.EMAIL_ADDRESS])
    # A username that is the address says it already (the reference); so does a name with an address of its own.
    if not address or "@" in name or address.casefold() == username.casefold():
        return name, []
    try:
        parsed = parse_address(address, Field.EMAIL_ADDRESS)
    except AddressError as exc:
        return name, [Problem(Field.EMAIL_ADDRESS, str(exc))]
    return str(Address(name or parsed.name, parsed.local, parsed.domain)), []


def _copy_to(values: Mapping[str, Any]) -> str | None:
    return values[Field.COPY_TO] if values[FormField.COPIES] else None


def _unfilled(values: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each box that is ticked while its address is missing."""
    found = []
    if values[FormField.COPIES] and not trimmed(values[Field.COPY_TO]):
        found.append(Problem(Field.COPY_TO, _("Give the address for the copies, or untick the box above.")))
    own_address = values[Field.PROTOCOL] == "smtp" or values[FormField.API] != services.FORM
    if own_address and values[FormField.REPLIES] and not trimmed(values[Field.REPLY_TO]):
        found.append(Problem(Field.REPLY_TO, _("Give the address that replies go to, or untick the box above.")))
    return found


def _for_the_form(problems: list[Problem], values: Mapping[str, Any]) -> list[Problem]:
    """Return one problem per field, under the name of the field that is on the screen, in the form's order."""
    first: dict[str, Problem] = {}
    for problem in problems:
        name = shown_field(problem.field, values)
        first.setdefault(name, Problem(name, problem.message))
    order = [name for name in values if name in first]
    return [first[name] for name in [*order, *(name for name in first if name not in order)]]


def shown_field(field: str, values: Mapping[str, Any]) -> str:
    """Return the row that shows a setting's problem."""
    if field == Field.PASSWORD and values[Field.SIGN_IN] is not SignIn.PASSWORD:
        return Field.SIGN_IN
    boxes = {
        Field.FINGERPRINT: FormField.SELF_SIGNED,
        Field.MAILBOX_FINGERPRINT: FormField.MAILBOX_SELF_SIGNED,
    }
    if field in boxes and not values[boxes[Field(field)]]:
        return boxes[Field(field)]
    if values[Field.PROTOCOL] == "http":
        return shown_for_http(field, values)
    if field == Field.PORT and values[Field.PORT] == OTHER:
        return FormField.PORT_NUMBER
    if field == Field.EMAIL_ADDRESS and "@" in values[Field.USERNAME] and not trimmed(values[Field.EMAIL_ADDRESS]):
        return Field.USERNAME
    return field


def values_of(settings: Settings) -> dict[str, Any]:
    """Return the form's values for settings; the rest of the form stays as it is."""
    server = settings.server
    values: dict[str, Any] = {
        Field.SENDER: settings.sender,
        FormField.COPIES: settings.copy_to is not None,
        Field.COPY_TO: settings.copy_to or "",
        **mailbox_values(settings.mailbox),
    }
    sign_in = {
        Field.CLIENT_ID: server.client_id,
        Field.TENANT: server.authority or server.tenant,
        Field.SIGN_IN: server.sign_in,
    }
    replies = {FormField.REPLIES: bool(settings.reply_to), Field.REPLY_TO: ", ".join(settings.reply_to)}
    if isinstance(server, HttpServer) and server.service is not None:
        username = {Field.USERNAME: server.username} if server.service.has_mailbox else {}
        values |= service_values(server) | username | sign_in
        return values | replies | _sender_values(settings.sender, server.username)
    if isinstance(server, HttpServer):
        several = ", ".join(settings.reply_to)
        return (
            values
            | {FormField.API: services.FORM}
            | {
                Field.PROTOCOL: "http",
                Field.URL: server.url,
                FormField.HTTP_REPLY_TO: several,
                Field.EMAIL_ADDRESS: several,
            }
        )
    values |= _sender_values(settings.sender, server.username)
    return (
        values
        | port_values(server.port)
        | {
            Field.PROTOCOL: "smtp",
            Field.HOST: server.host,
            Field.SECURITY: server.effective_security,
            Field.USERNAME: server.username,
            **sign_in,
            **replies,
            FormField.SELF_SIGNED: server.fingerprint is not None,
            Field.FINGERPRINT: server.fingerprint or "",
            Field.CA_FILE: server.ca_file or "",
        }
    )


def port_values(port: int | str) -> dict[str, str]:
    """Return the choice, and the number beside it, for a port."""
    known = str(port).strip() in PORTS
    return {Field.PORT: str(port).strip() if known else OTHER, FormField.PORT_NUMBER: "" if known else str(port)}


def _sender_values(sender: str, username: str) -> dict[str, str]:
    """Return name and address, as far as they can be separated without changing what is sent."""
    try:
        address = parse_address(sender, Field.SENDER) if "@" in sender else None
    except AddressError:
        address = None
    if address is None:
        name = sender.removeprefix('"').removesuffix('"')
        return {Field.SENDER: name, Field.EMAIL_ADDRESS: username if "@" in username else ""}
    return {Field.SENDER: address.name, Field.EMAIL_ADDRESS: address.addr_spec}


def filled(values: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a program's `fill(host=..., port=...)` changes in the current form, boxes and choices included."""
    if SECRETS & values.keys():
        raise TypeError(_("fill() takes no password: it would stay in the cell. Type it into the form."))
    if unknown := sorted(set(values) - FILLABLE):
        raise TypeError(
            _("fill() does not know {names}; it takes {known}.").format(
                names=", ".join(unknown), known=", ".join(sorted(FILLABLE))
            )
        )
    follows = {Field.SECURITY, Field.PORT, Field.MAILBOX_SECURITY}
    changes = {name: "" if value is None and name not in follows else value for name, value in values.items()}
    if Field.PORT in values:
        changes |= port_values(values[Field.PORT])
        changes.setdefault(Field.SECURITY, None)
    if Field.SECURITY in changes:
        security = changes[Field.SECURITY]
        # None is what `SmtpServer` has, too: as the port implies.
        changes[Field.SECURITY] = implied(port_of({**current, **changes})) if security is None else Security(security)
    if "@" in changes.get(Field.USERNAME, ""):
        changes.setdefault(Field.EMAIL_ADDRESS, values[Field.USERNAME])
    if "authority" in values:  # it has no field of its own
        changes[Field.TENANT] = changes.pop("authority") or changes.get(Field.TENANT, "")
    if Field.SIGN_IN in values:
        del changes[Field.SIGN_IN]  # last of all: what leads to Microsoft or Google has to stand there first
        changes[Field.SIGN_IN] = SignIn(values[Field.SIGN_IN])
    changes |= filled_for_http(values, values.get(FormField.API, current[FormField.API]))
    return changes | _boxes(values) | filled_for_mailbox(values, current)


def _boxes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a box above them, with that box."""
    changes: dict[str, Any] = {}
    if Field.CA_FILE in values:
        changes[Field.CA_FILE] = str(values[Field.CA_FILE] or "")
    if Field.COPY_TO in values:
        changes |= {Field.COPY_TO: values[Field.COPY_TO] or "", FormField.COPIES: bool(values[Field.COPY_TO])}
    if Field.REPLY_TO in values:
        several = values[Field.REPLY_TO] or ""
        joined = several if isinstance(several, str) else ", ".join(several)
        changes |= {Field.REPLY_TO: joined, FormField.HTTP_REPLY_TO: joined, FormField.REPLIES: bool(joined)}
    if Field.FINGERPRINT in values:
        changes |= {
            Field.FINGERPRINT: values[Field.FINGERPRINT] or "",
            FormField.SELF_SIGNED: bool(values[Field.FINGERPRINT]),
        }
    return changes


def widgets_of(form_rows: Rows) -> dict[str, ipywidgets.Widget]:
    """Return the fields by name, without the password."""
    return {row.name: row.control for row in form_rows.values() if not isinstance(row.control, (Html, Password))}
