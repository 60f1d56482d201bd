"""Where mail is sent through, and as whom; never with which password (that is `docmail.credentials`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.settings.account import Account
    from docmail.settings.saved_profiles import profile_name, read_profiles
    from docmail.settings.servers import HttpServer, Security, SignIn, SmtpServer, fingerprint_bytes
    from docmail.settings.settings import Problem, Settings, profiles, usable

__all__ = [
    "Account",
    "HttpServer",
    "Problem",
    "Security",
    "Settings",
    "SignIn",
    "SmtpServer",
    "fingerprint_bytes",
    "profile_name",
    "profiles",
    "read_profiles",
    "usable",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "account": ("Account",),
            "saved_profiles": ("profile_name", "read_profiles"),
            "servers": ("HttpServer", "Security", "SignIn", "SmtpServer", "fingerprint_bytes"),
            "settings": ("Problem", "Settings", "profiles", "usable"),
        },
    )
