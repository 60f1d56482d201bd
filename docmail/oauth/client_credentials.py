"""Lets an application sign in for itself at Microsoft, for notebooks that run by a schedule with no person there.

`DOCMAIL_CLIENT_SECRET` (or `DOCMAIL_CLIENT_SECRET_FILE`), or `DOCMAIL_CLIENT_CERTIFICATE_FILE` with a private key and
its certificate (PEM), serve the selected profile only, as `DOCMAIL_PASSWORD` does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from docmail import credentials
from docmail.errors import CredentialError, DocmailError
from docmail.language import _
from docmail.oauth.grant import Grant, grant_of
from docmail.oauth.microsoft import application
from docmail.settings import HttpServer, SignIn

if TYPE_CHECKING:
    from docmail.secret import Secret
    from docmail.settings import Settings

_SECRET, _CERTIFICATE = "DOCMAIL_CLIENT_SECRET", "DOCMAIL_CLIENT_CERTIFICATE"
_SMTP, _GRAPH = "https://outlook.office365.com/.default", "https://graph.microsoft.com/.default"


def is_meant(settings: Settings) -> bool:
    """Say whether the environment has something with which the application of these settings signs in for itself."""
    named = {_SECRET, f"{_SECRET}_FILE", f"{_CERTIFICATE}_FILE"} & os.environ.keys()
    return bool(named) and settings.server.sign_in is SignIn.MICROSOFT and bool(_credential(settings))


def grant(settings: Settings) -> Grant:
    """Return an access token of the application."""
    try:
        app = application(settings, _revealed(settings))
        scope = _GRAPH if isinstance(settings.server, HttpServer) else _SMTP
        return grant_of(app.acquire_token_for_client([scope]))
    except DocmailError as exc:
        raise exc.with_traceback(None) from None
    except Exception:  # noqa: BLE001 - what msal and its libraries say about a key that they cannot use
        raise CredentialError(
            _("The certificate of the application cannot be used for signing in."),
            hint=_("Microsoft takes RSA keys: make a certificate with one, and upload it to the application again."),
            guide="Microsoft 365",
        ) from None
    except BaseException as exc:  # noqa: BLE001 - raised again
        # The frames below hold the secret in clear, and verbose tracebacks print their variables.
        raise exc.with_traceback(None) from None


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
            guide="Microsoft 365",
        ) from None
    return {
        "private_key": pem.reveal(),
        "thumbprint": certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303 - what Microsoft knows it by
        "public_certificate": pem.reveal(),
    }
