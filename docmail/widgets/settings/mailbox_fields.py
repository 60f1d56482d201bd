"""The fields of the settings form that are about the mailbox: its rows, which `Mailbox` they mean, and back."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from docmail.addresses import trimmed
from docmail.errors import Field
from docmail.language import _
from docmail.settings import Mailbox, Security, usual_mailbox
from docmail.widgets.parts import markup
from docmail.widgets.parts.controls import Password, Rule
from docmail.widgets.parts.form_rows import Row, box, choice, fold, line, text
from docmail.widgets.settings.field_names import FormField

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docmail.presets import Preset

USUAL_PORT = "993"
_SECURITIES = (Security.STARTTLS, Security.TLS, Security.NONE)

RULES = (
    Rule("after-sending", FormField.AFTER_SENDING, "is"),
    Rule("mailbox", FormField.MAILBOX, "is"),
    Rule("mailbox-self-signed", FormField.MAILBOX_SELF_SIGNED, "is"),
)

FOLLOW = {
    "field": Field.MAILBOX_SECURITY,
    "chosen": "",
    "typed": Field.MAILBOX_PORT,
    "ports": [],
    "places": {USUAL_PORT: _SECURITIES.index(Mailbox("", int(USUAL_PORT)).effective_security)},
    "otherwise": _SECURITIES.index(Mailbox("", 0).effective_security),
}
"""For the scripts: the place of the security that the mailbox's port implies."""

EMPTY: Mapping[str, Any] = {
    Field.MAILBOX_HOST: "",
    Field.MAILBOX_PORT: USUAL_PORT,
    Field.MAILBOX_SECURITY: Security.TLS,
    FormField.MAILBOX_SELF_SIGNED: False,
    Field.MAILBOX_CA_FILE: "",
}
"""What stands in the fields that a provider decides, as long as nobody has touched them."""


def mailbox_rows() -> list[Row]:
    """Return the rows in their order; where the provider's mailbox is known, a line stands for most of them."""
    securities = list(zip((_("STARTTLS"), _("TLS"), _("none")), _SECURITIES, strict=True))
    when, folded = "after-sending mailbox", "dm-in-more dm-in-mailbox"
    return [
        Row(FormField.AFTER_SENDING, fold(_("After sending")), style="dm-fold-button dm-in-more"),
        Row(
            FormField.MAILBOX,
            box(_("Look into a mailbox (IMAP)")),
            hint=what_it_does(),
            when="after-sending",
            style="dm-check dm-in-more",
        ),
        Row(
            FormField.MAILBOX_SERVER,
            line(_("Mailbox"), markup.fold_button("mailbox", _("change"))),
            when=f"{when} mailbox-known",
            style="dm-in-more",
        ),
        Row(Field.MAILBOX_HOST, text(_("IMAP server"), placeholder="imap.example.com"), when=when, style=folded),
        Row(
            Field.MAILBOX_PORT,
            text(_("IMAP port"), USUAL_PORT, placeholder=USUAL_PORT),
            hint=_("993 or 143, as your provider says"),
            when=when,
            style=folded,
        ),
        Row(
            Field.MAILBOX_SECURITY,
            choice(_("IMAP security"), securities, Security.TLS),
            hint=_("the connection is encrypted before the password is sent"),
            when=when,
            style=folded,
        ),
        Row(
            Field.MAILBOX_USERNAME,
            text(_("IMAP user name")),
            hint=_("leave it empty to use the one for sending, with its password or sign-in"),
            when=when,
            style=folded,
        ),
        Row(
            Field.MAILBOX_PASSWORD,
            partial(Password, label=_("IMAP password")),
            when=f"{when} mailbox-own",
            style="dm-in-more",
        ),
        Row(
            FormField.MAILBOX_SELF_SIGNED,
            box(self_signed_for_mailbox()),
            hint=_("only for a server of your own"),
            when=when,
            style=f"dm-check {folded}",
        ),
        Row(
            Field.MAILBOX_FINGERPRINT,
            text(_("IMAP certificate"), placeholder=_("filled in after the test")),
            hint=_("the SHA-256 fingerprint: the test shows it and asks you"),
            when=f"{when} mailbox-self-signed",
            style=folded,
        ),
        Row(
            Field.MAILBOX_CA_FILE,
            text(_("IMAP authority"), placeholder="/etc/ssl/company-ca.pem"),
            hint=_("your organisation's own certification authority, in PEM form"),
            when=f"{when} mailbox-self-signed",
            style=folded,
        ),
    ]


def what_it_does() -> str:
    """Return the sentence that says what docmail does in a mailbox, and what it never does."""
    return _("Reads which mails came back (bounced), files copies of what was sent, deletes nothing.")


def self_signed_for_mailbox() -> str:
    """Return what the box for a server of one's own is called."""
    return _("Allow a self-signed certificate of the mailbox")


def values_of_preset(preset: Preset) -> dict[str, Any]:
    """Return what the choice of a provider fills in; nothing where its mailbox is not known."""
    return values_of_server(usual_mailbox(preset))


def values_of_server(mailbox: Mailbox | None) -> dict[str, Any]:
    """Return what is filled in for the server of a mailbox."""
    if mailbox is None:
        return {}
    return {
        Field.MAILBOX_HOST: mailbox.host,
        Field.MAILBOX_PORT: str(mailbox.port),
        Field.MAILBOX_SECURITY: mailbox.effective_security,
        FormField.MAILBOX_SELF_SIGNED: bool(mailbox.fingerprint or mailbox.ca_file),
        Field.MAILBOX_CA_FILE: mailbox.ca_file or "",
    }


def mailbox_of(values: Mapping[str, Any]) -> Mailbox | None:
    """Return the mailbox that the form's values mean; None while its box is not ticked."""
    if not values[FormField.MAILBOX]:
        return None
    port = _port(trimmed(values[Field.MAILBOX_PORT]) or USUAL_PORT)
    security, trusts = values[Field.MAILBOX_SECURITY], values[FormField.MAILBOX_SELF_SIGNED]
    host = trimmed(values[Field.MAILBOX_HOST])
    return Mailbox(
        host,
        port,
        security=None if security is Mailbox(host, port).effective_security else security,
        username=trimmed(values[Field.MAILBOX_USERNAME]) or None,
        fingerprint=trimmed(values[Field.MAILBOX_FINGERPRINT]) or None if trusts else None,
        ca_file=trimmed(values[Field.MAILBOX_CA_FILE]) or None if trusts else None,
    )


def mailbox_values(mailbox: Mailbox | None) -> dict[str, Any]:
    """Return the form's values for the mailbox of settings."""
    if mailbox is None:
        return {FormField.MAILBOX: False}
    return {
        FormField.MAILBOX: True,
        **values_of_server(mailbox),
        Field.MAILBOX_USERNAME: mailbox.username or "",
        Field.MAILBOX_FINGERPRINT: mailbox.fingerprint or "",
    }


def filled_for_mailbox(values: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a program's `fill(mailbox_host=..., mailbox_port=...)` changes, the boxes above them included."""
    changes: dict[str, Any] = {}
    if Field.MAILBOX_HOST in values:
        changes[FormField.MAILBOX] = bool(values[Field.MAILBOX_HOST])
    if {Field.MAILBOX_PORT, Field.MAILBOX_SECURITY} & values.keys():
        number = str(values.get(Field.MAILBOX_PORT, current[Field.MAILBOX_PORT]) or USUAL_PORT)
        security = values.get(Field.MAILBOX_SECURITY) or Mailbox("", _port(number)).effective_security
        changes |= {Field.MAILBOX_PORT: number, Field.MAILBOX_SECURITY: Security(security)}
    trusted = [name for name in (Field.MAILBOX_FINGERPRINT, Field.MAILBOX_CA_FILE) if name in values]
    if trusted:
        changes |= {name: str(values[name] or "") for name in trusted}
        changes[FormField.MAILBOX_SELF_SIGNED] = any(changes[name] for name in trusted)
    return changes


def _port(number: str) -> int:
    """Return the port; 0, about which `Settings.problems()` complains, for what is no number."""
    return int(number) if re.fullmatch(r"[0-9]{1,5}", number) else 0
