"""Images for what cannot be built here: LINSTOR, DRBD's tools and module, drbd-reactor. What they are not is in README.md.

Made as the real images are (images/imagebuild), from the simulators and busybox.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from imagebuild import debian, elf, oci

APPLETS = ("sh", "cat", "cp", "date", "echo", "grep", "head", "ls", "mkdir", "sed", "sleep", "stat", "touch", "tr")
PACKAGES = ["containerd", "runc", "containernetworking-plugins", "nftables", "iptables", "busybox-static"]
LINSTOR = b"""\
#!/bin/sh
# Stands in for LINSTOR's controller and satellite.
case "$1" in
  runMigration) exit 0 ;;
  startController)
    mkdir -p /tmp/shims /tmp/linstor
    drbd-sim --socket /tmp/drbd-sim.sock --shim-dir /tmp/shims &
    until [ -e /tmp/drbd-sim.sock ]; do sleep 0.1; done
    exec linstor-sim --listen 0.0.0.0:3370 --drbd-sim /tmp/drbd-sim.sock --state-dir /tmp/linstor --ssl-connector ;;
  startSatellite) exec sleep infinity ;;
  *) exec "$@" ;;
esac
"""


def suite() -> str:
    """This machine's Debian release: what is run on it, with its libraries."""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise SystemExit("node: this is no Debian; its packages of containerd and runc are needed")


def packages() -> Path:
    """Debian's packages of the container runtime, unpacked and not installed: nothing starts, nothing is replaced."""
    target = debian.CACHE.parent / f"node-packages-{suite()}-{'-'.join(PACKAGES)}"
    if target.exists():
        return target
    work = target.with_suffix(f".{os.getpid()}")
    try:
        locked = debian.fetch([], PACKAGES, work / "apt", suite(), elf.tool("dpkg", "--print-architecture").strip())
        debian.Unpacked(locked, work / "root")
        (work / "root").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _busybox(tree: Path) -> list[oci.Entry]:
    program = elf.Root(tree, "").find("/bin/busybox").read_bytes()
    return [oci.Entry("/bin/busybox", program, 0o755), *(oci.Entry(f"/bin/{name}", target="busybox") for name in APPLETS)]


def _image(entrypoint: list[str], entries: list[oci.Entry]) -> oci.Image:
    architecture = elf.tool("dpkg", "--print-architecture").strip()
    image = oci.Image(architecture, 0, entrypoint, "", {})
    image.layers = [("stand-in", oci.layer(entries, 0))]
    return image


def _pause(folder: Path) -> bytes:
    target = folder / "pause"
    source = Path(__file__).with_name("pause.c")
    subprocess.run(["gcc", "-O2", "-static", "-s", "-o", str(target), str(source)], check=True)
    return target.read_bytes()


def build(folder: Path, binaries: Path, tree: Path) -> list[Path]:
    """Archives of all stand-ins, in `folder`."""
    folder.mkdir(parents=True)
    programs = [binaries / name for name in ("linstor-sim", "drbd-sim")]
    stripped = []
    for program in programs:
        elf.tool("strip", "-o", folder / program.name, program)
        stripped.append(folder / program.name)
    closure = elf.Root(Path("/"), elf.tool("gcc", "-print-multiarch").strip()).closure(stripped)
    linstor = [*_busybox(tree), oci.Entry("/bin/linstor", LINSTOR, 0o755),
               *(oci.Entry(f"/bin/{file.name}", file.read_bytes(), 0o755) for file in stripped),
               *(oci.Entry(path, file.read_bytes(), 0o755) for path, file in closure.items())]
    images = {
        "pause": _image(["/pause"], [oci.Entry("/pause", _pause(folder), 0o755)]),
        "standin-linstor": _image(["/bin/linstor"], linstor),
        "standin-runs": _image(["/bin/sleep", "infinity"], _busybox(tree)),
        "standin-done": _image(["/bin/date"], _busybox(tree)),
    }
    archives = []
    for name, image in images.items():
        image.save(folder / f"{name}.tar", f"localhost/{name}:1")
        archives.append(folder / f"{name}.tar")
    return archives
