"""Lets an application sign in for itself at Microsoft, for notebooks that run by a schedule with no person there.

`DOCMAIL_CLIENT_SECRET` (or `DOCMAIL_CLIENT_SECRET_FILE`), or `DOCMAIL_CLIENT_CERTIFICATE_FILE` with a private key and
its certificate (PEM), serve the selected profile only, as `DOCMAIL_PASSWORD` does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from docmail import credentials
from docmail.errors import CredentialError, DocmailError, Guide
from docmail.language import _
from docmail.oauth.grant import Grant, grant_of
from docmail.oauth.microsoft import application, authority_of, failure
from docmail.oauth.token_requests import noted, unreachable
from docmail.secret import frames_hidden
from docmail.settings import HttpServer, SignIn

if TYPE_CHECKING:
    from docmail.secret import Secret
    from docmail.settings import Settings

_SECRET, _CERTIFICATE = "DOCMAIL_CLIENT_SECRET", "DOCMAIL_CLIENT_CERTIFICATE"
_MAIL, _GRAPH = "https://outlook.office365.com/.default", "https://graph.microsoft.com/.default"


def is_meant(settings: Settings) -> bool:
    """Say whether the environment has something with which the application of these settings signs in for itself."""
    named = {_SECRET, f"{_SECRET}_FILE", f"{_CERTIFICATE}_FILE"} & os.environ.keys()
    return bool(named) and settings.server.sign_in is SignIn.MICROSOFT and bool(_credential(settings))


def grant(settings: Settings, *, for_mailbox: bool = False) -> Grant:
    """Return an access token of the application, for sending or for the mailbox."""
    with frames_hidden:
        try:
            app = application(settings, _revealed(settings))
            scope = _GRAPH if isinstance(settings.server, HttpServer) and not for_mailbox else _MAIL
            return grant_of(app.acquire_token_for_client([scope]), failure)
        except DocmailError:
            raise
        except Exception as exc:  # what msal and its libraries say about a key that they cannot use
            if credentials.from_variable(settings, _SECRET):  # there is no key, so it is the server's answer
                raise noted(unreachable(authority_of(settings)), exc) from None
            unfit = CredentialError(
                _("The certificate of the application cannot be used for signing in."),
                hint=_(
                    "Microsoft accepts only RSA keys: make a certificate with an RSA key, and upload "
                    "it to the application."
                ),
                guide=Guide.MICROSOFT_365,
            )
            raise noted(unfit, exc) from exc


def _credential(settings: Settings) -> Secret | None:
    return credentials.from_variable(settings, _SECRET) or credentials.from_variable(settings, _CERTIFICATE)


def _revealed(settings: Settings) -> Any:
    """Return the secret, or key and thumbprint of the certificate, as msal wants them."""
    if secret := credentials.key_from_variable(settings, _SECRET):
        return secret.reveal()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    pem = credentials.from_variable(settings, _CERTIFICATE)
    assert pem is not None  # noqa: S101 - is_meant() looked
    try:
        certificate = x509.load_pem_x509_certificate(pem.octets())
    except ValueError:
        raise CredentialError(
            _("{variable} names a file without a certificate in PEM form.").format(variable=f"{_CERTIFICATE}_FILE"),
            hint=_("Put the private key and its certificate into one file, in PEM form."),
            guide=Guide.MICROSOFT_365,
        ) from None
    return {
        "private_key": pem.reveal(),
        "thumbprint": certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303 - what Microsoft knows it by
        "public_certificate": pem.reveal(),
    }
