"""The machine that the node believes to be: its mounts, its network, the programs of Debian packages that nobody installed."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

ADDRESS = "10.99.0.1"
PODS = "10.244.1.0/24"
GATEWAY = "10.244.1.1"
NAME = "node1"
TUNABLES = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
            "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}


def run(*argv: object) -> str:
    done = subprocess.run([str(a) for a in argv], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _overlay(folder: str, work: Path, lower: list[Path]) -> None:
    """What is written below `folder` goes into the work directory; the machine's own files stay as they are."""
    upper = work / "overlay" / folder.strip("/").replace("/", "-")
    for part in ("upper", "work"):
        (upper / part).mkdir(parents=True)
    layers = ":".join(map(str, [folder, *lower]))
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={layers},upperdir={upper}/upper,workdir={upper}/work", folder)


def mounts(work: Path, packages: Path) -> None:
    _overlay("/usr", work, [packages / "usr"])  # containerd, runc, CNI: as if installed, behind what is installed
    _overlay("/etc", work, [])
    _overlay("/var", work, [])
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    run("mount", "--make-rshared", "/")  # mounts of pods must be able to reach the node and back
    # What every host with systemd has, and satellites mount; this machine may be a container without it.
    for folder in ("/run/systemd/system", "/run/udev", "/run/dbus", "/run/lock", "/usr/lib/modules", "/usr/src"):
        Path(folder).mkdir(parents=True, exist_ok=True)


def own_tunables(work: Path) -> None:
    """A kubelet sets these, and they are the whole machine's: it gets files instead that have what it wants."""
    for name, value in TUNABLES.items():
        file = work / "tunables" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
        run("mount", "--bind", file, Path("/proc/sys") / name)


def bus() -> socket.socket:
    """The socket of D-Bus, which the shutdown guard mounts; nobody answers."""
    server = socket.socket(socket.AF_UNIX)
    server.bind("/run/dbus/system_bus_socket")
    server.listen()
    return server


def network() -> None:
    socket.sethostname(NAME)
    run("ip", "link", "set", "lo", "up")
    # A bridge without a port: an interface with an address of the node, wherever there is no `dummy`.
    run("ip", "link", "add", "node", "type", "bridge")
    run("ip", "addr", "add", f"{ADDRESS}/24", "dev", "node")
    run("ip", "link", "set", "node", "up")
    run("ip", "route", "add", "default", "dev", "node")  # a kubelet looks for it; nothing is behind it
    run("ip", "link", "add", "cni0", "address", "02:42:0a:f4:01:01", "type", "bridge")
    run("ip", "addr", "add", f"{GATEWAY}/24", "dev", "cni0")
    run("ip", "link", "set", "cni0", "up")
    for name in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        path = Path("/proc/sys") / name
        if path.exists():
            path.write_text("1")


def join_groups(name: str) -> None:
    for group in Path("/sys/fs/cgroup").glob(f"*/{name}/cgroup.procs"):
        group.write_text("0")


def processes(name: str) -> list[dict[str, str]]:
    """/proc/PID/status of every process of that name (its first 15 letters)."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "status").read_text()
        except OSError:
            continue  # ended meanwhile
        status = {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
        if status.get("Name") == name[:15]:
            found.append(status)
    return found


def enter(work: Path, packages: Path) -> socket.socket:
    join_groups(work.name)
    mounts(work, packages)
    own_tunables(work)
    network()
    os.chdir("/")
    return bus()
