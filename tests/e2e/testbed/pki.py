"""Certificates: of the control plane, and of DRBD's replication traffic (good ones and all kinds of bad ones)."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Iterable, Optional, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BOTH_USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def _now() -> datetime.datetime:
    # Naive UTC: what Debian 12's cryptography understands.
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def cert_pem(cert: x509.Certificate) -> str:
    return cert.public_bytes(serialization.Encoding.PEM).decode()


def _name(common_name: str, organization: Optional[str] = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    # RFC 5280 limits a common name to 64 characters; the SAN carries the whole one.
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


class Authority:
    """A CA with an EC key."""

    def __init__(self, common_name: str, *, days: float = 3650):
        self.key = new_key()
        now = _now()
        name = _name(common_name)
        self.cert = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True,
                                         content_commitment=False, key_encipherment=False, data_encipherment=False,
                                         key_agreement=False, encipher_only=False, decipher_only=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256()))

    @property
    def pem(self) -> str:
        return cert_pem(self.cert)

    def issue(self, common_name: str, *, organization: Optional[str] = None, dns: Iterable[str] = (),
              ips: Iterable[str] = (), usages: Sequence[x509.ObjectIdentifier] = BOTH_USAGES,
              not_before: Optional[datetime.datetime] = None,
              not_after: Optional[datetime.datetime] = None) -> tuple[str, str]:
        """Returns (certificate, key) as PEM."""
        key = new_key()
        now = _now()
        builder = (
            x509.CertificateBuilder().subject_name(_name(common_name, organization)).issuer_name(self.cert.subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(not_before or now - datetime.timedelta(minutes=5))
            .not_valid_after(not_after or now + datetime.timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False))
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
        names: list[x509.GeneralName] = [x509.DNSName(d) for d in dns]
        names += [x509.IPAddress(ipaddress.ip_address(i)) for i in ips]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return cert_pem(builder.sign(self.key, hashes.SHA256())), key_pem(key)


class ReplicationPki:
    """A CA for replication and leaves as tlshd wants them: DNS SAN = node name, both extended key usages."""

    def __init__(self, nodes: Iterable[str] = (), common_name: str = "replication"):
        self.authority = Authority(common_name)
        self.other = Authority(f"not {common_name}")
        self.leaves = {node: self.leaf(node) for node in nodes}

    def leaf(self, node: str, *, wrong_ca: bool = False, expired: bool = False, not_yet_valid: bool = False,
             wrong_san: bool = False, wrong_key: bool = False, server_only: bool = False,
             lifetime: Optional[datetime.timedelta] = None) -> dict[str, str]:
        """The data of a node's secret: ca.crt, tls.crt, tls.key; each option breaks one thing."""
        now = _now()
        day = datetime.timedelta(days=1)
        not_before = not_after = None
        if expired:
            not_before, not_after = now - 2 * day, now - datetime.timedelta(minutes=1)
        elif not_yet_valid:
            not_before, not_after = now + day, now + 2 * day
        elif lifetime is not None:
            not_after = now + lifetime
        san = f"not-{node}" if wrong_san else node
        cert, key = (self.other if wrong_ca else self.authority).issue(
            san, dns=[san], not_before=not_before, not_after=not_after,
            usages=BOTH_USAGES[:1] if server_only else BOTH_USAGES)
        return {"ca.crt": self.authority.pem, "tls.crt": cert, "tls.key": key_pem(new_key()) if wrong_key else key}


def write_private(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    return path
