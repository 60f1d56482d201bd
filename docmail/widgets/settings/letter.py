"""The letter in which an analyst asks the administrator for what signing in with Microsoft needs.

What it asks for is what `docmail.oauth.microsoft` does: a public client that signs in with a device code.
"""

from __future__ import annotations

from docmail.language import _


def letter_to_administrator(address: str) -> str:
    """Return the letter, with the steps in the words of Microsoft's consoles, which are English."""
    parts = (
        _("Subject: Please register docmail, so that I can send reports"),
        _(
            "I send documents by email from a notebook, with the program docmail. It signs in as me at Microsoft "
            "(OAuth 2.0, with a code that I enter in a browser) and sends through smtp.office365.com, port 587. For "
            "that I need an application ID. In the Microsoft Entra admin centre (https://entra.microsoft.com):"
        ),
        "\n".join(
            (
                _(
                    '1. App registrations, New registration. Name: docmail. Supported account types: "Single tenant" '
                    "(only this organisation). Redirect URI: none. Press Register."
                ),
                _(
                    '2. Authentication, Settings: "Allow public client flows": Yes. Save. There is no client secret '
                    "and no redirect URI, because I enter a code."
                ),
                _(
                    "3. API permissions, Add a permission, Microsoft Graph, Delegated permissions: SMTP.Send and "
                    'offline_access. Then "Grant admin consent".'
                ),
                _(
                    '4. Overview: please send me the "Application (client) ID" and the "Directory (tenant) ID".',
                ),
            )
        ),
        _(
            "My mailbox {address} has to allow authenticated SMTP. In the Microsoft 365 admin centre: Users, Active "
            'users, me, Mail, Manage email apps, "Authenticated SMTP"; or in Exchange Online PowerShell:'
        ).format(address=address),
        f"Set-CASMailbox -Identity {address} -SmtpClientAuthenticationDisabled $false",
        _(
            "If conditional access blocks device codes or my device, I need an exception. If SMTP is not wanted at "
            "all, the permission Mail.Send in the place of SMTP.Send lets docmail send with Microsoft Graph."
        ),
    )
    return "\n\n".join(parts)
