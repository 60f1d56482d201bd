"""The rows of the settings form that belong to signing in with Microsoft or Google."""

from __future__ import annotations

from functools import partial
from html import escape

from docmail.language import _
from docmail.settings import SignIn
from docmail.widgets.parts.controls import Password
from docmail.widgets.parts.form_rows import Row, choice, text


def sign_in_rows() -> list[Row]:
    """Return the rows in their order; of the first two ways the style sheet shows the one that leads somewhere."""
    ways = [
        ("Microsoft", SignIn.MICROSOFT),
        ("Google", SignIn.GOOGLE),
        (_("Password or token"), SignIn.PASSWORD),
    ]
    return [
        Row("sign_in", choice(_("Sign in with"), ways, SignIn.PASSWORD), when=("sign-in",)),
        Row(
            "client_id",
            text(_("Application ID"), placeholder="00000000-0000-0000-0000-000000000000"),
            hint=escape(_("of the application that was registered for docmail; the guide shows how")),
            when=("sign-in", "token"),
        ),
        Row(
            "tenant",
            text(_("Organisation"), placeholder="example.com"),
            hint=escape(_("its domain or ID at Microsoft; empty: any account")),
            when=("microsoft", "by-microsoft"),
        ),
        Row("client_secret", partial(Password, label=_("Client secret")), when=("google", "by-google")),
        Row(
            "pasted",
            partial(Password, label=_("Page address"), placeholder="http://127.0.0.1:"),
            hint=escape(_("of the page at which the browser has ended, from its address bar")),
            when=("by-google", "pasting"),
        ),
    ]
