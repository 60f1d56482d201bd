"""Makes a private certificate authority and the certificates, good and bad, that TLS tests present."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("localhost", "127.0.0.1", "::1")
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class ServerCertificate:
    """One certificate and its key, as files."""

    chain: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate (DER), as 64 hexadecimal digits."""
        leaf = x509.load_pem_x509_certificates(self.chain.read_bytes())[0]
        return leaf.fingerprint(hashes.SHA256()).hex()

    def context(self) -> ssl.SSLContext:
        """Return the context of a server that presents this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class Certificates:
    """A private authority; each method issues a certificate for a server on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA(organization_name="docmail tests")
        self.ca_file = folder / "ca.pem"
        """What a client must trust."""
        self._authority.cert_pem.write_to_path(self.ca_file)

    def client_context(self) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority and checks everything."""
        return ssl.create_default_context(cafile=self.ca_file)

    def good(self) -> ServerCertificate:
        """Issue one that is valid for localhost, 127.0.0.1 and ::1."""
        return self._save("good", self._authority.issue_cert(*NAMES))

    def expired(self) -> ServerCertificate:
        """Issue one that ended yesterday."""
        now = dt.datetime.now(dt.UTC)
        leaf = self._authority.issue_cert(*NAMES, not_before=now - 30 * _DAY, not_after=now - _DAY)
        return self._save("expired", leaf)

    def not_yet_valid(self) -> ServerCertificate:
        """Issue one that begins tomorrow."""
        now = dt.datetime.now(dt.UTC)
        leaf = self._authority.issue_cert(*NAMES, not_before=now + _DAY, not_after=now + 30 * _DAY)
        return self._save("not-yet-valid", leaf)

    def wrong_host(self) -> ServerCertificate:
        """Issue one for another machine."""
        return self._save("wrong-host", self._authority.issue_cert("mail.elsewhere.example"))

    def common_name_only(self) -> ServerCertificate:
        """Issue one that names this machine only where nobody looks any more (RFC 6125: the SAN counts)."""
        return self._save("common-name-only", self._authority.issue_cert(common_name="localhost"))

    def unknown_authority(self) -> ServerCertificate:
        """Issue a correct one, from an authority that nobody trusts."""
        return self._save("unknown-authority", trustme.CA().issue_cert(*NAMES))

    def company_proxy(self) -> ServerCertificate:
        """Issue one as a company's proxy does: from the company's own authority, which comes along in the chain."""
        company = trustme.CA(organization_name="The company")
        saved = self._save("company-proxy", company.issue_cert(*NAMES))
        with saved.chain.open("ab") as chain:
            chain.write(company.cert_pem.bytes())
        return saved

    def short_key(self) -> ServerCertificate:
        """Issue one whose key is too short to be safe."""
        key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what it is for
        pem = self._authority.private_key_pem.bytes()
        signing_key = serialization.load_pem_private_key(pem, None)
        assert isinstance(signing_key, ec.EllipticCurvePrivateKey)
        authority = x509.load_pem_x509_certificate(self._authority.cert_pem.bytes())
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 30 * _DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(signing_key, hashes.SHA256())
        )
        return self._write("short-key", certificate, key)

    def self_signed(self) -> ServerCertificate:
        """Make one that signs itself, as small office servers and appliances do."""
        now = dt.datetime.now(dt.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 30 * _DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return self._write("self-signed", certificate, key)

    def _write(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    ) -> ServerCertificate:
        saved = self._files(name)
        saved.chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        saved.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return saved

    def _save(self, name: str, leaf: trustme.LeafCert) -> ServerCertificate:
        saved = self._files(name)
        saved.chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(saved.key)
        return saved

    def _files(self, name: str) -> ServerCertificate:
        return ServerCertificate(self._folder / f"{name}.pem", self._folder / f"{name}-key.pem")
