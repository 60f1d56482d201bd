"""Makes the certificates of a sandbox: its own authority's, and the server's, good or with a flaw.

The authority's key signs once and is then forgotten, so nobody can make further certificates that pass for this
computer's.
"""

from __future__ import annotations

import datetime as dt
import ssl
import warnings
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from docmail.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

Flaw = Literal[
    "self-signed",
    "unknown-authority",
    "company-proxy",
    "expired",
    "not-yet-valid",
    "wrong-host",
    "common-name-only",
    "short-key",
    "client-certificate",
    "old-tls",
]
"""What can be wrong with it; the last two are not about the certificate but about what the server wants."""

_YEARS = dt.timedelta(days=3650)
_DAY = dt.timedelta(days=1)
_HOSTS = ["localhost"]
_NUMBERS = ["127.0.0.1", "::1"]


@dataclass(frozen=True)
class Certificate:
    """The files of one sandbox: what a client must trust, and what the server shows."""

    ca_file: Path
    server_file: Path
    flaw: Flaw | None = None

    @classmethod
    def below(cls, folder: Path, flaw: Flaw | None = None) -> Certificate:
        """Return the certificate kept in this folder, made on the spot unless it is there and still valid.

        One with a flaw has files of its own, and is made anew each time.
        """
        if flaw is not None:
            certificate = cls(folder / "failing-ca.pem", folder / "failing-server.pem", flaw)
        else:
            certificate = cls(folder / "ca.pem", folder / "server.pem")
        if flaw is not None or not certificate._is_usable():
            certificate._make()
        return certificate

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS context of the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.flaw in {"short-key", "old-tls"}:
            context.set_ciphers("ALL:@SECLEVEL=0")
        if self.flaw == "old-tls":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # that it is no longer safe is the point
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = ssl.TLSVersion.TLSv1_1
        if self.flaw == "client-certificate":
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.server_file)
        return context

    @property
    def refuses(self) -> bool:
        """Whether no handshake succeeds, whatever the client thinks of the certificate."""
        return self.flaw in {"client-certificate", "old-tls"}

    def _is_usable(self) -> bool:
        try:
            authority = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
            leaf = x509.load_pem_x509_certificate(self.server_file.read_bytes())
            leaf.verify_directly_issued_by(authority)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return False
        return leaf.not_valid_after_utc > dt.datetime.now(dt.UTC) + _DAY

    def _make(self) -> None:
        authority_key = ec.generate_private_key(ec.SECP256R1())
        name = _name("docmail sandbox CA")
        authority = (
            _builder(name, name, authority_key.public_key(), authority_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(authority_key, hashes.SHA256())
        )
        if self.flaw == "unknown-authority":
            signing_key = ec.generate_private_key(ec.SECP256R1())
            issuer = _name("An authority that nobody knows")
        else:
            signing_key, issuer = authority_key, name
        pem = serialization.Encoding.PEM
        chain = authority.public_bytes(pem) if self.flaw == "company-proxy" else b""
        write_whole(self.server_file, self._leaf(issuer, signing_key) + chain)
        write_whole(self.ca_file, authority.public_bytes(pem))

    def _leaf(self, issuer: x509.Name, signing_key: ec.EllipticCurvePrivateKey) -> bytes:
        """Return the server's certificate with its key, as PEM."""
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = ec.generate_private_key(ec.SECP256R1())
        if self.flaw == "short-key":
            key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what it is for
        subject = _name("localhost" if self.flaw == "common-name-only" else "docmail sandbox")
        if self.flaw == "self-signed":
            signing_key, issuer = ec.generate_private_key(ec.SECP256R1()), subject
            key = signing_key
        begin, end = {
            "expired": (-30 * _DAY, -_DAY),
            "not-yet-valid": (_DAY, 30 * _DAY),
        }.get(self.flaw or "", (-_DAY, _YEARS))
        leaf = (
            _builder(subject, issuer, key.public_key(), signing_key.public_key(), begin, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        names: list[x509.GeneralName] = [
            *(x509.DNSName(host) for host in _HOSTS),
            *(x509.IPAddress(ip_address(number)) for number in _NUMBERS),
        ]
        if self.flaw == "wrong-host":
            names = [x509.DNSName("mail.elsewhere.example")]
        if self.flaw != "common-name-only":
            leaf = leaf.add_extension(x509.SubjectAlternativeName(names), critical=False)
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return private + leaf.sign(signing_key, hashes.SHA256()).public_bytes(pem)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(  # noqa: PLR0913, PLR0917 - what stands in a certificate
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    begin: dt.timedelta = -_DAY,
    end: dt.timedelta = _YEARS,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
        # Python 3.13 checks with VERIFY_X509_STRICT, which wants both identifiers (RFC 5280 4.2.1.1 and 4.2.1.2).
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
