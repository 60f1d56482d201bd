"""The rules for TLS, and what its failures mean in words."""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from docmail import presets
from docmail.errors import Field, Guide, Kind, Phase, TLSError
from docmail.language import _
from docmail.net.advice import FOR_SMTP
from docmail.replies import clean
from docmail.reply import Certificate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryptography import x509

    from docmail.net.advice import Advice

_MAX_NAMES = 20  # of one certificate; those of large hosters have hundreds
_MAX_NAME = 200  # characters of a name in a certificate


def read_certificate(der: bytes) -> Certificate | None:
    """Read a certificate (DER); None if there is nothing in it to read."""
    from cryptography import x509  # loads when first used

    try:
        found = x509.load_der_x509_certificate(der)
        return Certificate(
            _title(found.subject),
            _names(found),
            _title(found.issuer),
            found.not_valid_before_utc,
            found.not_valid_after_utc,
            fingerprint(der),
        )
    except Exception:  # noqa: BLE001 - a stranger's bytes: the parser has errors of many classes
        return None


def read_verified(peer: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return owner, issuer and last day of a verified certificate, as `SSLSocket.getpeercert()` gives it.

    `read_certificate` would say the same; the library that it loads takes 9 MB, for a line in a test.
    """

    def title(name: Sequence[Sequence[tuple[str, str]]]) -> str:
        pairs = [pair for part in name for pair in part]
        found = [
            next((value for key, value in pairs if key == kind), "") for kind in ("commonName", "organizationName")
        ]
        text = ", ".join(value for value in found if value) or ", ".join(f"{key}={value}" for key, value in pairs)
        return clean(text)[:_MAX_NAME]

    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(peer["notAfter"]), UTC)
    return title(peer.get("subject", ())), title(peer.get("issuer", ())), end.strftime("%Y-%m-%d")


def _title(name: x509.Name) -> str:
    """Return the common name, with the organisation, of a subject or issuer."""
    from cryptography.x509.oid import NameOID

    found = [
        str(attribute.value)
        for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        for attribute in name.get_attributes_for_oid(kind)[:1]
    ]
    return clean(", ".join(found) or name.rfc4514_string())[:_MAX_NAME]


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the host names and numbers that it is for (RFC 6125: those of the SAN)."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    return tuple(clean(name)[:_MAX_NAME] for name in found[:_MAX_NAMES])


class _Socket(ssl.SSLSocket):
    """A socket for TLS that is closed if the server has gone before its handshake.

    `wrap_socket()` would ask such a connection further questions, and leave it open when they fail.
    """

    def getpeername(self) -> Any:
        """Return the server's address; raises `ConnectionResetError` if there is no connection any more."""
        try:
            return super().getpeername()
        except OSError as exc:
            self.close()
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from exc


def tls_context(ca_file: Path | None, *, verify: bool = True) -> ssl.SSLContext:
    """Return the rules for TLS: 1.2 or later; chain, dates and SAN checked unless a fingerprint is compared instead."""
    context = ssl.create_default_context()
    context.sslsocket_class = _Socket
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
_WEAK = (66, 67, 68)

# What servers say when they want a certificate from this computer; TLS 1.3 has a word for it, 1.2 has several.
_WANTS_OURS = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "ALERT_HANDSHAKE_FAILURE", "ALERT_CERTIFICATE_UNKNOWN")


def wants_certificate(failure: BaseException | None) -> bool:
    """Say whether a server aborted because this computer showed no certificate of its own."""
    reason = getattr(failure, "reason", None) or ""
    return isinstance(failure, ssl.SSLError) and any(word in reason for word in _WANTS_OURS)


def tls_failure(  # noqa: PLR0913 - what is known of a handshake
    failure: Exception,
    host: str,
    port: int,
    shown: bytes | None,
    *,
    starttls: bool = False,
    advice: Advice = FOR_SMTP,
) -> TLSError:
    """Return the error for a handshake that failed, in words; `shown` is the server's certificate (DER), if known."""
    certificate = read_certificate(shown) if shown else None
    if isinstance(failure, ssl.SSLCertVerificationError):
        message, hint, field = _certificate_failure(failure, host, certificate)
        wrong_port = False
        if shown:
            message += " " + _("Its SHA-256 fingerprint is {fingerprint}.").format(fingerprint=fingerprint(shown))
    else:
        message, hint, field, wrong_port = _handshake_failure(failure, host, port, starttls=starttls)
    return TLSError(
        message,
        kind=Kind.CONFIG,
        guide=Guide.PORTS if wrong_port else Guide.CERTIFICATES,
        wrong_port=wrong_port,
        fingerprint=fingerprint(shown) if shown else None,
        certificate=certificate,
        **advice.of(Phase.TLS, field, hint),
    )


def _handshake_failure(failure: Exception, host: str, port: int, *, starttls: bool) -> tuple[str, str, Field, bool]:
    """Return sentence, hint, field, and whether another port may be the answer."""
    place = {"host": host, "port": port}
    reason = getattr(failure, "reason", None) or getattr(failure, "strerror", None) or ""
    if isinstance(failure, TimeoutError):
        message = _("{host} did not finish the encryption on port {port} in time.")
        hint = _("Check the port: 465 expects TLS at once, 587 STARTTLS.")
    elif isinstance(failure, ssl.SSLError) and reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"} and not starttls:
        message = _("Port {port} of {host} does not speak TLS from the first byte.")
        hint = _("Choose STARTTLS, or port 465.")
    elif wants_certificate(failure):
        message = _("{host} ended the encryption: it asks this computer for something, such as a certificate.")
        hint = _("docmail cannot show one. Ask for a port at which none is needed, usually 587.")
        return message.format(**place), hint, Field.PORT, False
    elif isinstance(failure, ssl.SSLError) and "PROTOCOL" in reason:
        message = _("{host} offers only versions of TLS that are no longer safe.")
        hint = _("Ask its administrator for TLS 1.2 or later.")
        return message.format(**place), hint, Field.HOST, False
    elif isinstance(failure, ssl.SSLError) and ("TOO_SMALL" in reason or "TOO_WEAK" in reason):
        message = _("{host} encrypts with keys that are too short to be safe.")
        hint = _("Ask its administrator for a certificate with a longer key.")
        return message.format(**place), hint, Field.HOST, False
    else:
        if isinstance(failure, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):  # the second in Python 3.11.2
            reason = _("the server closed the connection in the middle of it")
        elif isinstance(failure, ConnectionError) or getattr(failure, "errno", 0) == errno.ENOTCONN or not reason:
            reason = _("the connection was cut")
        elif reason.isupper():
            reason = reason.replace("_", " ").lower()  # OpenSSL's names
        message = _("The encryption to {host}, port {port}, failed: {reason}.")
        hint = _("Check the server's name and port; a firewall or antivirus program may also be the reason.")
        return message.format(**place, reason=reason), hint, Field.SECURITY, True
    return message.format(**place), hint, Field.SECURITY, True


def _certificate_failure(  # noqa: C901, PLR0912 - one table, read downwards
    failure: ssl.SSLCertVerificationError, host: str, certificate: Certificate | None
) -> tuple[str, str, Field]:
    code, names = failure.verify_code, ", ".join(certificate.names) if certificate else ""
    clock = _("Check this computer's clock; if it is right, tell the server's administrator.")
    field = Field.HOST
    if code == _EXPIRED:
        message, hint = _("The certificate of {host} has expired."), clock
        if certificate:
            message = _("The certificate of {host} has expired: it was valid until {until}.")
    elif code == _NOT_YET:
        message, hint = _("The certificate of {host} is not valid yet."), clock
        if certificate:
            message = _(
                "The certificate of {host} is not valid yet: it is valid from {since}, and "
                "this computer's date is {today}."
            )
    elif code == _SELF_SIGNED:
        message = _("The certificate of {host} is self-signed: anybody could have made it.")
        hint = _("If it is a server of your own, tick “Allow self-signed certificates” and compare the fingerprint.")
        field = Field.FINGERPRINT
    elif code == _SELF_SIGNED_CHAIN:
        message = _("The certificate of {host} was issued by an authority that this computer does not know: {issuer}.")
        if not certificate:
            message = _("The certificate of {host} was issued by an authority that this computer does not know.")
        hint = _("On a company network, give the company's CA file under Advanced; an antivirus may also cause this.")
        field = Field.CA_FILE
    elif code in _NO_ISSUER:
        message = _("The certificate of {host} was not issued by an authority that this computer trusts.")
        if certificate and certificate.issuer:
            message = _(
                "The certificate of {host} was issued by {issuer}, and not by an authority that this computer trusts."
            )
        hint = _("Give the issuer's CA file under Advanced, or compare the fingerprint if the server is your own.")
        field = Field.CA_FILE
    elif code in _WRONG_HOST and certificate and not names:
        message = _(
            "The certificate of {host} contains a name only in its subject ({title}), where programs "
            "no longer look for it."
        )
        hint = _("Ask its administrator for a certificate with the server's name as “subject alternative name”.")
    elif code in _WRONG_HOST:
        message = _("The certificate that {host} shows is for another name.")
        if names:
            message = _("The certificate that {host} shows is for another name: {names}.")
        hint = _("Write the server's name exactly as your provider gives it.")
    elif code in _WEAK:
        message = _("The certificate of {host} is too weak: its key is too short, or its signature is of an old kind.")
        hint = _("Tell the server's administrator.")
    else:
        message = _("The certificate of {host} is not accepted: {reason}.")
        hint = _("Tell the server's administrator.")
    if field is Field.FINGERPRINT and (provider := presets.established(host)):
        # The form refuses a fingerprint there, and rightly.
        hint = _(
            "The real {provider} has a different certificate: something on this network "
            "intercepts the connection. Try another network."
        ).format(provider=provider.name)
        field = Field.HOST
    values = {"host": host, "names": names, "reason": str(failure.verify_message).rstrip(".")}
    if certificate:
        values |= {
            "until": certificate.until,
            "since": certificate.not_before.strftime("%Y-%m-%d"),
            "today": datetime.now(UTC).strftime("%Y-%m-%d"),
            "issuer": certificate.issuer,
            "title": certificate.subject,
        }
    return message.format(**values), hint, field
