"""Where mail is sent through, and as whom; never with which password (that is `docmail.credentials`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.settings.account import Account
    from docmail.settings.reading_account import MAILBOX_FIELDS, Mailbox, usual_mailbox
    from docmail.settings.servers import HttpServer, Security, SignIn, SmtpServer, fingerprint_bytes, implied
    from docmail.settings.settings import (
        Problem,
        Settings,
        current_look,
        profile_name,
        profiles,
        read_profiles,
        usable,
    )

__all__ = [
    "MAILBOX_FIELDS",
    "Account",
    "HttpServer",
    "Mailbox",
    "Problem",
    "Security",
    "Settings",
    "SignIn",
    "SmtpServer",
    "current_look",
    "fingerprint_bytes",
    "implied",
    "profile_name",
    "profiles",
    "read_profiles",
    "usable",
    "usual_mailbox",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "account": ("Account",),
            "reading_account": ("MAILBOX_FIELDS", "Mailbox", "usual_mailbox"),
            "servers": ("HttpServer", "Security", "SignIn", "SmtpServer", "fingerprint_bytes", "implied"),
            "settings": (
                "Problem",
                "Settings",
                "current_look",
                "profile_name",
                "profiles",
                "read_profiles",
                "usable",
            ),
        },
    )
