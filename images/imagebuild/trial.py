"""Tries the check of ktls-utils with certificates that are good, missing and bad in every way it names."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path
from typing import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FILES = ("tls.crt", "tls.key", "ca.crt")
DAY = datetime.timedelta(days=1)


def _certificate(folder: Path, until: datetime.timedelta = DAY) -> None:
    """A certificate that is its own authority, as the files that the operator mounts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node1")])
    # Naive UTC: what Debian 12's cryptography understands.
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - 3 * DAY).not_valid_after(now + until)
                   .add_extension(x509.SubjectAlternativeName([x509.DNSName("node1")]), critical=False)
                   .sign(key, hashes.SHA256())).public_bytes(serialization.Encoding.PEM)
    for file in ("tls.crt", "ca.crt"):
        (folder / file).write_bytes(certificate)
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                       serialization.NoEncryption()))


def _stranger(folder: Path) -> None:
    certificate = (folder / "tls.crt").read_bytes()
    _certificate(folder)
    (folder / "tls.crt").write_bytes(certificate)


CASES: list[tuple[str, Callable[[Path], object], int, str]] = [
    ("a good certificate", lambda folder: None, 0, "ready"),
    ("no certificate", lambda folder: (folder / "tls.crt").unlink(), 4, "unreadable: /etc/tlshd.d/tls.crt: No such file"),
    ("an empty key", lambda folder: (folder / "tls.key").write_text(""), 4, "tls.key: the file is empty"),
    ("a CA that is none", lambda folder: (folder / "ca.crt").write_text("nothing"), 4, "ca.crt holds no certificate"),
    ("a certificate that is none", lambda folder: (folder / "tls.crt").write_text("nothing"), 4, "unreadable: /etc/tlshd.d/tls.crt"),
    ("the key of another certificate", _stranger, 4, "unreadable: /etc/tlshd.d/tls.crt with"),
    ("an expired certificate", lambda folder: _certificate(folder, -DAY), 4, "has expired"),
]


def problems(root: Path) -> list[str]:
    """`root` holds the image. Needs to be root."""
    folder = root / "etc/tlshd.d"
    folder.mkdir(parents=True)
    found = []
    for what, spoil, code, text in CASES:
        _certificate(folder)
        spoil(folder)
        done = subprocess.run(["chroot", str(root), "/usr/sbin/tlshd-check", "certificates"], check=False, capture_output=True,
                              text=True, env={"PATH": "/usr/sbin:/usr/bin"})
        said = done.stdout + done.stderr
        if done.returncode != code or text not in said:
            found.append(f"tlshd-check with {what}: exit status {done.returncode}, {said.strip()}")
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    return found
