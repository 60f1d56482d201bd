"""The names of the form's fields: those of the settings (`docmail.errors.Field`), and what only the form has."""

from __future__ import annotations

from enum import StrEnum

from docmail.errors import Field


class FormField(StrEnum):
    """A field that the form has besides those of the settings."""

    PROVIDER = "provider"
    SERVER = "server"
    API = "api"
    REGION = "region"
    DOMAIN = "domain"
    HTTP_REPLY_TO = "http_reply_to"
    PORT_NUMBER = "port_number"
    PASTED = "pasted"
    MORE = "more"
    COPIES = "copies"
    REPLIES = "replies"
    SELF_SIGNED = "self_signed"
    AFTER_SENDING = "after_sending"
    MAILBOX = "mailbox"
    MAILBOX_SERVER = "mailbox_server"
    MAILBOX_SELF_SIGNED = "mailbox_self_signed"
    LOOK = "look"
    ADVANCED = "advanced"
    API_URL = "api_url"
    PROFILE = "profile"


ADVANCED = (FormField.API_URL, Field.CA_FILE, FormField.PROFILE)
"""What stands under *Advanced*."""

AFTER_SENDING = (
    FormField.MAILBOX,
    Field.MAILBOX_HOST,
    Field.MAILBOX_PORT,
    Field.MAILBOX_SECURITY,
    Field.MAILBOX_USERNAME,
    Field.MAILBOX_PASSWORD,
    FormField.MAILBOX_SELF_SIGNED,
    Field.MAILBOX_FINGERPRINT,
    Field.MAILBOX_CA_FILE,
)
"""What stands under *After sending*."""

SECRETS = {Field.PASSWORD, Field.CLIENT_SECRET, Field.MAILBOX_PASSWORD, FormField.PASTED}
FILLABLE = {*Field, *FormField, "authority"} - {
    *SECRETS,
    Field.ORGANISATION,
    FormField.PROVIDER,
    FormField.SERVER,
    FormField.MORE,
    FormField.PORT_NUMBER,
    FormField.HTTP_REPLY_TO,
    FormField.COPIES,
    FormField.REPLIES,
    FormField.AFTER_SENDING,
    FormField.MAILBOX,
    FormField.MAILBOX_SERVER,
    FormField.MAILBOX_SELF_SIGNED,
    FormField.LOOK,
    FormField.ADVANCED,
}
"""What a program may fill in; the others follow from these, or are secrets."""
