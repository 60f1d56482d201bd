"""The fields of the settings form that belong to HTTP and its mail services: which `HttpServer` they mean, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docmail.addresses import trimmed
from docmail.errors import Field
from docmail.language import _
from docmail.presets import services
from docmail.settings import HttpServer, SignIn
from docmail.widgets.settings.field_names import FormField

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docmail.presets import Preset, Service


def apis() -> list[tuple[str, str]]:
    """Return what the Service menu offers: a label and what `HttpServer.api` is."""
    return [(_("Form server"), services.FORM), *((service.name, service.api) for service in services.SERVICES)]


def service_server(values: Mapping[str, Any]) -> HttpServer:
    """Return the server of the mail service that the form's values mean."""
    api = values[FormField.API]
    service = services.by_api(api)
    username = values[Field.USERNAME] if service is not None and service.has_mailbox else ""
    if api != "mailgun":
        signs_in = service is not None and SignIn(service.sign_in) is not SignIn.PASSWORD
        return HttpServer(values[FormField.API_URL], api, username, **(sign_in_values(values) if signs_in else {}))
    base = trimmed(values[FormField.API_URL]) or services.MAILGUN_REGIONS[values[FormField.REGION]]
    return HttpServer(f"{base.rstrip('/')}/v3/{trimmed(values['domain'])}", api, username)


def sign_in_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return how one signs in, where that is not with a password."""
    if values[Field.SIGN_IN] is SignIn.PASSWORD:
        return {}
    # The organisation is Microsoft's; what the field holds for Google is the address of a sandbox's sign-in server.
    ours = values[Field.SIGN_IN] is SignIn.MICROSOFT or values[Field.TENANT].startswith("http://127.0.0.1:")
    return {name: values[name] for name in (Field.SIGN_IN, Field.CLIENT_ID)} | (
        {Field.TENANT: values[Field.TENANT]} if ours else {}
    )


def service_values(server: HttpServer) -> dict[str, Any]:
    """Return the form's values for the server of a mail service."""
    values: dict[str, Any] = {Field.PROTOCOL: "http", FormField.API: server.api, FormField.API_URL: server.url}
    if server.api != "mailgun":
        return values
    found = re.fullmatch(r"(.*?)/v3/([^/]+)(/messages\.mime)?/?", server.url)
    base, domain = (found[1], found[2]) if found else (server.url, "")
    regions = {host: region for region, host in services.MAILGUN_REGIONS.items()}
    region = regions.get(base.removeprefix("https://"))
    return values | {
        FormField.DOMAIN: domain,
        FormField.REGION: region or "us",
        FormField.API_URL: "" if region else base,
    }


def shown_for_http(field: str, values: Mapping[str, Any]) -> str:
    """Return the row that shows a problem of a server that takes mail over HTTP."""
    if values[FormField.API] == services.FORM:
        return FormField.HTTP_REPLY_TO if field == Field.REPLY_TO else field
    if field == Field.URL:
        return (
            FormField.DOMAIN
            if values[FormField.API] == "mailgun" and not trimmed(values[FormField.API_URL])
            else FormField.API_URL
        )
    return field


def secret_label(service: Service | None) -> str:
    """Return what the row of the password is called: not everything that lets one in is a password."""
    if service is None:
        return _("Password")
    return _("Token") if service.has_mailbox else _("API key")


def secret_placeholder(preset: Preset | None, service: Service | None) -> str:
    """Return what stands in the empty row of the password."""
    if service is None:
        return _(preset.password_hint) if preset and preset.password_hint else ""
    return _("an access token") if service.has_mailbox else _("the key that {name} made").format(name=service.name)


def filled_for_http(values: Mapping[str, Any], api: str) -> dict[str, Any]:
    """Return what a program's `fill(api=..., url=...)` changes."""
    if api == services.FORM or not {FormField.API, Field.URL} & values.keys():
        return {}
    return service_values(HttpServer(values.get(Field.URL) or "", api)) | {Field.URL: ""}
