"""Makes the certificate of a sandbox: an authority of its own, and one certificate for this computer.

The authority's key signs once and is then forgotten, so nobody can make further certificates that pass for this
computer's.
"""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from docmail.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

_YEARS = dt.timedelta(days=3650)
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """The files of one sandbox: what a client must trust, and what the server shows."""

    ca_file: Path
    server_file: Path

    @classmethod
    def below(cls, folder: Path) -> Certificate:
        """Return the certificate kept in this folder, made on the spot unless it is there and still valid."""
        certificate = cls(folder / "ca.pem", folder / "server.pem")
        if not certificate._is_usable():
            certificate._make()
        return certificate

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS context of the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.server_file)
        return context

    def _is_usable(self) -> bool:
        try:
            authority = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
            leaf = x509.load_pem_x509_certificate(self.server_file.read_bytes())
            leaf.verify_directly_issued_by(authority)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return False
        return leaf.not_valid_after_utc > dt.datetime.now(dt.UTC) + _DAY

    def _make(self) -> None:
        authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        name = _name("docmail sandbox CA")
        authority = (
            _builder(name, name, authority_key.public_key(), authority_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(authority_key, hashes.SHA256())
        )
        leaf = (
            _builder(_name("docmail sandbox"), name, key.public_key(), authority_key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName(
                    [
                        x509.DNSName("localhost"),
                        x509.IPAddress(ip_address("127.0.0.1")),
                        x509.IPAddress(ip_address("::1")),
                    ]
                ),
                critical=False,
            )
            .sign(authority_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        write_whole(self.server_file, private + leaf.public_bytes(pem))
        write_whole(self.ca_file, authority.public_bytes(pem))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, issuer_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _YEARS)
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
