"""Signs in at Microsoft or Google in a browser instead of with a password (OAuth 2.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.oauth import browser_page, google
    from docmail.oauth.grant import Grant
    from docmail.oauth.microsoft import Code, DeviceSignIn
    from docmail.oauth.tokens import Tokens, keep, sign_out, tokens_of

__all__ = [
    "Code",
    "DeviceSignIn",
    "Grant",
    "Tokens",
    "browser_page",
    "google",
    "keep",
    "sign_out",
    "tokens_of",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "grant": ("Grant",),
            "microsoft": ("Code", "DeviceSignIn"),
            "tokens": ("Tokens", "keep", "sign_out", "tokens_of"),
        },
        modules=("browser_page", "google"),
    )
