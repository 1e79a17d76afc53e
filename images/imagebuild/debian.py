"""Packages of another Debian release, fetched with apt and unpacked, without a chroot and without root.

Which ones and in which version is written down in a lock file beside the image, with checksums: the same commit gives the
same image next month. `--update-packages` writes the file anew.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Optional, Sequence

from .elf import tool

CACHE = Path(os.environ.get("BREAKWATER_TOOLS_DIR")
             or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "breakwater") / "debs"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class FetchError(RuntimeError):
    pass


@dataclass(frozen=True, order=True)
class Locked:
    """A line of a lock file."""
    name: str
    version: str
    sha256: str

    @property
    def file(self) -> Path:
        return CACHE / f"{self.sha256}.deb"


def mirror(variable: str, security: bool) -> str:
    """Where packages come from: what `variable` says, else where apt gets this machine's own Debian from."""
    if os.environ.get(variable):
        return os.environ[variable]
    wanted = platform.freedesktop_os_release().get("VERSION_CODENAME", "") + ("-security" if security else "")
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)"], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    for line in listed.splitlines():
        site, _, release = line.partition(" ")
        if release == wanted:  # known without `apt-get update`
            return site
    raise FetchError(f"apt knows no {'security ' if security else ''}mirror of Debian: set {variable}")


def read_lock(path: Path) -> list[Locked]:
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [Locked(*line) for line in lines]


def write_lock(path: Path, suite: str, packages: Iterable[Locked]) -> None:
    head = (f"# Packages of Debian {suite} that the image is made of: name, version, SHA-256. Written by\n"
            "# scripts/images.sh --update-packages; another set is another version of the image (VERSION).\n")
    path.write_text(head + "".join(f"{p.name} {p.version} {p.sha256}\n" for p in sorted(packages)), encoding="utf-8")


class Apt:
    """apt-get with lists and a status of its own: it knows of no installed package and changes nothing on the machine."""

    def __init__(self, work: Path, suite: str, architecture: str):
        self.work, self.suite = work, suite
        for directory in ("state/lists/partial", "cache/archives/partial", "etc"):
            (work / directory).mkdir(parents=True, exist_ok=True)
        (work / "status").touch()
        (work / "sources.list").write_text(
            f"deb [signed-by={KEYRING}] {mirror('BREAKWATER_DEBIAN_MIRROR', False)} {suite} main\n"
            f"deb [signed-by={KEYRING}] {mirror('BREAKWATER_DEBIAN_SECURITY_MIRROR', True)} {suite}-security main\n",
            encoding="utf-8")
        self.options = [f"-o{key}={value}" for key, value in {
            "Dir::State": work / "state", "Dir::State::status": work / "status", "Dir::Cache": work / "cache",
            "Dir::Etc::SourceList": work / "sources.list", "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null", "APT::Architecture": architecture, "APT::Architectures": architecture,
            "APT::Install-Recommends": "false", "APT::Sandbox::User": "", "Acquire::Languages": "none",
            "Debug::NoLocking": "true", "APT::Get::AllowUnauthenticated": "false",
            # Hooks of the machine are about its own packages.
            "DPkg::Post-Invoke::": "", "APT::Update::Post-Invoke-Success::": "",
        }.items()]

    def _run(self, *argv: str) -> None:
        done = subprocess.run(["apt-get", "-qq", *self.options, *argv], check=False, capture_output=True, text=True,
                              env={**os.environ, "LC_ALL": "C"})
        if done.returncode != 0:
            raise FetchError(f"apt-get {' '.join(argv)} ({self.suite}):\n{done.stderr.strip()}")

    def download(self, packages: Sequence[str]) -> list[Path]:
        """These packages and all that they depend on."""
        if not any((self.work / "state/lists").glob("*Packages*")):
            self._run("update")
        self._run("install", "--download-only", "--yes", *packages)
        return sorted((self.work / "cache/archives").glob("*.deb"))


def _keep(file: Path) -> Locked:
    """Moves a downloaded package into the cache, by its content."""
    name, version = (tool("dpkg-deb", "-f", file, field).strip() for field in ("Package", "Version"))
    locked = Locked(name, version, hashlib.sha256(file.read_bytes()).hexdigest())
    CACHE.mkdir(parents=True, exist_ok=True)
    if not locked.file.exists():
        partial = locked.file.with_suffix(f".{os.getpid()}")
        shutil.copy(file, partial)
        partial.rename(locked.file)
    return locked


def fetch(lock: Sequence[Locked], wanted: Sequence[str], work: Path, suite: str, architecture: str) -> list[Locked]:
    """The locked packages from the cache or the mirror; without a lock `wanted` and all that they depend on."""
    if lock and all(package.file.exists() for package in lock):
        return list(lock)
    shutil.rmtree(work, ignore_errors=True)
    files = Apt(work, suite, architecture).download([f"{p.name}={p.version}" for p in lock] if lock else wanted)
    have = [_keep(file) for file in files]
    for package in lock:
        if not package.file.exists():
            raise FetchError(f"the package {package.name} {package.version} that came is not the one in the lock file")
    return list(lock) or have


class Unpacked:
    """Packages unpacked into one directory, and whose each file is."""

    def __init__(self, packages: Sequence[Locked], directory: Path):
        self.directory = directory
        self.owner: dict[str, Locked] = {}
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for package in packages:
            self._unpack(package)

    def _unpack(self, package: Locked) -> None:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package.file)], stdout=subprocess.PIPE) as process:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    if member.isdev():
                        continue
                    member.mode |= 0o700 if member.isdir() else 0o600
                    tar.extract(member, self.directory, set_attrs=member.isfile())
                    self.owner[str(Path("/") / member.name)] = package
        if process.returncode != 0:
            raise FetchError(f"{package.file} of {package.name} cannot be unpacked")

    def package_of(self, file: Path) -> Locked:
        path = "/" + str(file.resolve().relative_to(self.directory.resolve()))
        return self.owner[path]

    def source_of(self, package: Locked) -> str:
        source = tool("dpkg-deb", "-f", package.file, "Source").strip() or package.name
        name, _, version = source.partition(" (")
        return f"{name}@{version.rstrip(')') or package.version}"


def copyright_file(root: Path, package: str) -> Optional[Path]:
    """Debian's record of a package's licences; its directory may be a link to another package's."""
    file = root / "usr/share/doc" / package / "copyright"
    return file.resolve() if file.exists() else None
