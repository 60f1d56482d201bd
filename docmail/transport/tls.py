"""The rules for TLS, and what its failures mean in words."""

from __future__ import annotations

import errno
import hashlib
import hmac
import ssl
from typing import TYPE_CHECKING

from docmail.errors import Kind, TLSError
from docmail.translation import _

if TYPE_CHECKING:
    from pathlib import Path


def tls_context(ca_file: Path | None, *, verify: bool = True) -> ssl.SSLContext:
    """Return the rules for TLS: 1.2 or later; chain, dates and SAN checked unless a fingerprint is compared instead."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # RFC 6125: the name stands in the SAN
    if ca_file is not None:
        context.load_verify_locations(ca_file)
        # Python 3.13 demands key identifiers and key usage (RFC 5280), which a company's own CA often leaves out.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 fingerprint of a certificate (DER), as browsers show it: `AB:CD:…`."""
    return hashlib.sha256(certificate).digest().hex(":").upper()


def matches(certificate: bytes, pinned: bytes) -> bool:
    """Say whether a certificate is the pinned one."""
    return hmac.compare_digest(hashlib.sha256(certificate).digest(), pinned)


# What OpenSSL's verification says (X509_V_ERR_*), in words and with the field to change.
_EXPIRED, _NOT_YET, _SELF_SIGNED, _SELF_SIGNED_CHAIN, _NO_ISSUER, _WRONG_HOST = 10, 9, 18, 19, (2, 20, 21), (62, 64)


def tls_failure(
    failure: Exception, host: str, port: int, certificate: bytes | None, *, starttls: bool = False
) -> TLSError:
    """Return the error for a handshake that failed, in words; `certificate` is what the server showed, if known."""
    place = {"host": host, "port": port}
    field: str | None = "security"
    guide = "Certificates"
    hint = _("Check the server's name and port.")
    if isinstance(failure, ssl.SSLCertVerificationError):
        message, hint, field = _certificate_failure(failure.verify_code, str(failure.verify_message), host)
    elif isinstance(failure, TimeoutError):
        message = _("{host} did not finish the encryption on port {port} in time.").format(**place)
        hint = _("Check the port: 465 expects TLS at once, 587 STARTTLS.")
        guide = "Ports"
    elif isinstance(failure, ssl.SSLError) and failure.reason == "WRONG_VERSION_NUMBER" and not starttls:
        message = _("Port {port} of {host} does not speak TLS from the first byte.").format(**place)
        hint = _("Choose STARTTLS, or port 465.")
        guide = "Ports"
    elif isinstance(failure, ssl.SSLError) and failure.reason and "PROTOCOL" in failure.reason:
        message = _("{host} offers only versions of TLS that are no longer safe.").format(**place)
        hint = _("Ask its administrator for TLS 1.2 or later.")
        field = "host"
    else:
        reason = getattr(failure, "reason", None) or getattr(failure, "strerror", None)
        cut = isinstance(failure, (ssl.SSLEOFError, ConnectionError)) or getattr(failure, "errno", 0) == errno.ENOTCONN
        if cut or not reason:
            reason = _("the connection was cut")
        elif reason.isupper():
            reason = reason.replace("_", " ").lower()  # OpenSSL's names
        message = _("The encryption to {host}, port {port}, failed: {reason}.").format(**place, reason=reason)
        guide = "Ports"
    shown = fingerprint(certificate) if certificate else None
    if shown and isinstance(failure, ssl.SSLCertVerificationError):
        message += " " + _("Its SHA-256 fingerprint is {fingerprint}.").format(fingerprint=shown)
    return TLSError(message, kind=Kind.CONFIG, phase="tls", hint=hint, field=field, guide=guide, fingerprint=shown)


def _certificate_failure(code: int, words: str, host: str) -> tuple[str, str, str]:
    clock = _("Check this computer's clock; if it is right, tell the server's administrator.")
    if code == _EXPIRED:
        message, hint, field = _("The certificate of {host} has expired."), clock, "host"
    elif code == _NOT_YET:
        message, hint, field = _("The certificate of {host} is not valid yet."), clock, "host"
    elif code == _SELF_SIGNED:
        message = _("The certificate of {host} is self-signed: anybody could have made it.")
        hint = _("If it is a server of your own, tick “Allow self-signed certificates” and compare the fingerprint.")
        field = "fingerprint"
    elif code == _SELF_SIGNED_CHAIN:
        message = _("The certificate of {host} was issued by an authority that this computer does not know.")
        hint = _("On a company network, give the company's CA file under Advanced; an antivirus may also cause this.")
        field = "ca_file"
    elif code in _NO_ISSUER:
        message = _("Nobody that this computer trusts vouches for the certificate of {host}.")
        hint = _("Give the issuer's CA file under Advanced, or compare the fingerprint if the server is your own.")
        field = "ca_file"
    elif code in _WRONG_HOST:
        message = _("The certificate that {host} shows is for another name.")
        hint, field = _("Write the server's name exactly as your provider gives it."), "host"
    else:
        message = _("The certificate of {host} is not accepted: {reason}.")
        hint, field = _("Tell the server's administrator."), "host"
    return message.format(host=host, reason=words.rstrip(".")), hint, field
