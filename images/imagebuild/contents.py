"""What is in each image."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Optional, Sequence

from . import debian, elf, sbom, trial
from .oci import Entry, Image, layer, rfc3339

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "65532:65532"
SUITE = "trixie"
MIB = 1 << 20
# Of the loader: names come from DNS and the file that the kubelet writes, and there are two users.
SYSTEM = [Entry("/etc/nsswitch.conf", b"hosts: files dns\n"),
          Entry("/etc/passwd", b"root:x:0:0::/:\nnonroot:x:65532:65532::/:\n"),
          Entry("/etc/group", b"root:x:0:\nnonroot:x:65532:\n")]
BUILD_ID = re.compile(rb"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0(.{20})", re.DOTALL)


@dataclass(frozen=True)
class Machine:
    """Where the images are built, from what, and where the results go."""
    binaries: Path
    work: Path
    architecture: str
    triplet: str
    epoch: int
    revision: str


@dataclass
class Built:
    name: str
    version: str
    image: Image
    packages: set[sbom.Package]
    limit: int = 0  # bytes, unpacked; 0: none
    shell: bool = False  # whether it has one, and why is in docs/how-to/images.md
    probe: Sequence[str] = ()  # runs and ends with 0 wherever the image can run
    trial: Optional[Callable[[Path], list[str]]] = None  # more to try, in a directory with the image

    def spdx(self, revision: str) -> dict[str, object]:
        return sbom.document(self.name, self.version, self.image.manifest().digest,
                             self.image.labels["org.opencontainers.image.licenses"], self.image.epoch, self.packages, revision)


def program(machine: Machine, name: str) -> Path:
    """The stripped binary; what was stripped is in debug/ for debuggers, which find it by the build id."""
    source, target = machine.binaries / name, machine.work / name
    debug = machine.work / "debug" / f"{name}.debug"
    debug.parent.mkdir(parents=True, exist_ok=True)
    elf.tool("objcopy", "--only-keep-debug", source, debug)
    elf.tool("strip", "--strip-all", "--remove-section=.comment", "-o", target, source)
    if number := _number_by_content(target, debug):
        for link in debug.parent.glob(".build-id/*/*.debug"):
            if link.readlink().name == debug.name:
                link.unlink()  # of an earlier build
        link = debug.parent / ".build-id" / number[:2] / f"{number[2:]}.debug"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path("../..") / debug.name)
    return target


def _number_by_content(stripped: Path, debug: Path) -> str:
    """The linker's build id covers the debug information, and with it the directory of the build."""
    data = stripped.read_bytes()
    found = BUILD_ID.search(data)
    if not found:
        return ""
    old = found.group(1)
    new = hashlib.sha1(data.replace(old, bytes(len(old)))).digest()
    stripped.write_bytes(data.replace(old, new))
    debug.write_bytes(debug.read_bytes().replace(old, new))
    return new.hex()


def _file(path: str, file: Path, mode: int = 0o644) -> Entry:
    return Entry(path, file.read_bytes(), mode)


def _libraries(closure: dict[str, Path]) -> list[Entry]:
    return [_file(path, file, 0o755) for path, file in closure.items()]


def _licences(root: Path, packages: Iterable[str]) -> list[Entry]:
    entries = [_file("/usr/share/doc/breakwater/LICENSE", ROOT / "LICENSE")]
    for package in sorted(set(packages)):
        file = debian.copyright_file(root, package)
        if file is None:
            raise elf.Missing(f"the licence of the package {package}: /usr/share/doc/{package}/copyright is not there")
        entries.append(_file(f"/usr/share/doc/{package}/copyright", file))
    return entries


def _labels(machine: Machine, name: str, version: str, description: str, licences: str) -> dict[str, str]:
    prefix = "org.opencontainers.image."
    return {prefix + key: value for key, value in {
        "title": name, "version": version, "description": description, "licenses": licences, "revision": machine.revision,
        "created": rfc3339(machine.epoch), "vendor": "Breakwater"}.items()}


def _version_file(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8").split()[0]


def _project_version() -> str:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    return re.search(r"project\(breakwater VERSION (\S+)", text).group(1)  # type: ignore[union-attr]


def operator(machine: Machine) -> Built:
    binary = program(machine, "breakwater-operator")
    closure = elf.Root(Path("/"), machine.triplet).closure([binary])
    packages = sbom.installed(map(str, closure.values()), "DYNAMIC_LINK")
    packages |= sbom.installed(sbom.compiled_in(machine.binaries.parent, machine.binaries / binary.name), "STATIC_LINK")
    version = _project_version()
    image = Image(machine.architecture, machine.epoch, ["/breakwater-operator"], NOBODY, _labels(
        machine, "breakwater-operator", version, "Operator for LINSTOR and DRBD with replication over TLS", "Apache-2.0"))
    below = [*SYSTEM, *_libraries(closure), *_licences(Path("/"), (p.name for p in packages))]
    image.layers = [("libraries and licences", layer(below, machine.epoch)),
                    ("breakwater-operator", layer([_file("/breakwater-operator", binary, 0o755)], machine.epoch))]
    return Built("breakwater-operator", version, image, packages, 40 * MIB, probe=["/breakwater-operator", "--version"])


def agent(machine: Machine) -> Built:
    binary = program(machine, "breakwater-agent")
    if loaded := elf.needed(binary):
        # It runs in the satellite's image, which has another C library.
        raise RuntimeError(f"{binary.name} is not static, it loads {', '.join(loaded)}")
    packages = sbom.installed(sbom.compiled_in(machine.binaries.parent, machine.binaries / binary.name), "STATIC_LINK")
    version = _version_file("operator/agent/VERSION")
    image = Image(machine.architecture, machine.epoch, ["/breakwater-agent"], NOBODY, _labels(
        machine, "breakwater-agent", version, "Node agent of Breakwater, copied into satellites", "Apache-2.0"))
    image.layers = [("breakwater-agent", layer([_file("/breakwater-agent", binary, 0o755),
                                                *_licences(Path("/"), (p.name for p in packages))], machine.epoch))]
    return Built("breakwater-agent", version, image, packages, 6 * MIB, probe=["/breakwater-agent", "version"])


def _tlshd_check(machine: Machine) -> Path:
    target = machine.work / "tlshd-check"
    elf.tool("gcc", "-std=gnu11", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-D_FORTIFY_SOURCE=2",
             "-fstack-protector-strong", "-fPIE", "-pie", "-Wl,-z,relro,-z,now,--build-id=none", "-Wl,--strip-all",
             "-o", target, ROOT / "images/ktls-utils/tlshd-check.c", "-lgnutls")
    return target


def ktls_utils(machine: Machine, update: bool = False) -> Built:
    """tlshd of Debian, with the configuration for what the operator mounts."""
    lock_file = ROOT / "images/ktls-utils" / f"packages-{machine.architecture}.lock"
    lock = [] if update else debian.read_lock(lock_file)
    packages = debian.fetch(lock, ["ktls-utils", "busybox"], machine.work / "apt", SUITE, machine.architecture)
    tree = debian.Unpacked(packages, machine.work / "ktls-utils")
    root, check = elf.Root(tree.directory, machine.triplet), _tlshd_check(machine)
    programs = {"/usr/sbin/tlshd": root.find("/usr/sbin/tlshd"), "/bin/busybox": root.find("/bin/busybox")}
    closure = root.closure([*programs.values(), check])
    used = {tree.package_of(file) for file in [*closure.values(), *programs.values()]}
    licences = {p: debian.copyright_file(tree.directory, p.name) for p in used}
    # The directory of a licence may be another package's.
    used |= {tree.package_of(file) for file in licences.values() if file}
    if not lock:
        debian.write_lock(lock_file, SUITE, used)
    version = _version_file("images/ktls-utils/VERSION")
    upstream = next(p.version for p in used if p.name == "ktls-utils")
    image = Image(machine.architecture, machine.epoch, ["/usr/sbin/tlshd-check", "run", "/usr/sbin/tlshd", "--stderr",
                                                        "--config", "/etc/tlshd.conf"], "", _labels(
        machine, "ktls-utils", version, f"tlshd for DRBD: ktls-utils {upstream} of Debian {SUITE}",
        "GPL-2.0-only AND Apache-2.0"))
    # The operator reads certificates in the container, with these four.
    links = [Entry(f"/bin/{name}", target="busybox") for name in ("sh", "cat", "stat", "date")]
    below = [*SYSTEM, *_libraries(closure), *links, *_licences(tree.directory, (p.name for p in used)),
             *(_file(path, file, 0o755) for path, file in programs.items())]
    image.layers = [("tlshd, its libraries and licences", layer(below, machine.epoch)),
                    ("configuration and check", layer([_file("/usr/sbin/tlshd-check", check, 0o755),
                                                       _file("/etc/tlshd.conf", ROOT / "images/ktls-utils/tlshd.conf")],
                                                      machine.epoch))]
    found = {sbom.Package(p.name, p.version, machine.architecture, tree.source_of(p), "CONTAINS", p.sha256) for p in used}
    shutil.rmtree(tree.directory)
    return Built("ktls-utils", version, image, found, shell=True, probe=["/usr/sbin/tlshd", "--version"],
                 trial=trial.problems)
