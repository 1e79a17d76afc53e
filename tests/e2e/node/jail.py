"""The namespaces that the node lives in, as seen from outside: made, watched and taken away again.

Everything of the node runs below one process that is number 1 of its own PID namespace, with mounts, network, hostname and
IPC of its own. When that process ends, or we do, the kernel ends all the others, and network devices and mounts go with
them. What is left then are two things on the machine: a directory for temporary files and a group per cgroup hierarchy.
Both have our name in them and are removed here, also after a run that was killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Optional, Sequence

from .machine import TUNABLES

PREFIX = "breakwater-node-"
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CGROUPS = Path("/sys/fs/cgroup")
FOLDERS = ("/var/lib/kubelet", "/var/lib/cni", "/var/lib/linstor.d", "/var/lib/drbd", "/etc/cni", "/etc/lvm/archive",
           "/run/containerd", "/run/drbd-shutdown-guard", "/var/log/pods", "/var/log/linstor-satellite", "/usr/lib/modules")


class Jail:
    def __init__(self) -> None:
        for program in ("unshare", "setpriv", "ip", "mount"):
            if not shutil.which(program):
                raise SystemExit(f"node: {program} is missing: apt-get install util-linux iproute2")
        if os.geteuid() != 0:
            raise SystemExit("node: a kubelet needs root; run this as root, or with sudo")
        if (CGROUPS / "cgroup.controllers").exists():
            raise SystemExit("node: this machine has cgroup v2 only, which nobody has tried here yet")
        for number in INTERRUPTS:
            signal.signal(number, _interrupt)
        _sweep()
        self.work = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.lock = _lock(self.work)
        self.name = self.work.name
        self.process: Optional[subprocess.Popen] = None
        self.before = traces()
        _make_groups(self.name)

    def run(self, argv: Sequence[str], timeout: float) -> int:
        """Runs a program as what everything else of the node descends from; its exit status, 124 after the timeout."""
        # The shell is process 1: it collects the children of others, which a Python program would not.
        command = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child",
                   "--mount-proc", "--propagation=private", "/bin/bash", "-c", '"$@"; exit $?', "node", *argv]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            print(f"node: not done after {timeout:.0f} s, ended", file=sys.stderr)
            return 124

    def close(self, keep: bool) -> list[str]:
        """Takes everything away; says what is not as it was before."""
        for number in INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)  # what is half removed is worse
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        left = [f"{group} cannot be removed" for group in _remove_groups(self.name)]
        left += [f"{what} was {self.before.get(what)} and is {now}" for what, now in traces().items() if now != self.before.get(what)]
        if keep:
            (self.work / "keep").touch()
            print(f"node: kept {self.work}")
        else:
            shutil.rmtree(self.work, ignore_errors=True)
        os.close(self.lock)
        return left


def traces() -> dict[str, str]:
    """What a kubelet or a container runtime would change on a machine that is not in namespaces."""
    found = {str(path): path.read_text().strip() for path in sorted(
        Path("/proc/sys") / name for name in [*TUNABLES, "net/ipv4/ip_forward"]) if path.exists()}
    found |= {folder: str(Path(folder).exists()) for folder in FOLDERS}
    found["network devices"] = " ".join(sorted(os.listdir("/sys/class/net")))
    return found


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _lock(work: Path) -> int:
    lock = os.open(work / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def _hierarchies() -> list[Path]:
    return sorted(path for path in CGROUPS.iterdir() if (path / "tasks").exists() and not path.is_symlink())


def _make_groups(name: str) -> None:
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        if hierarchy.name.startswith("cpuset"):
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((hierarchy / file).read_text())


def _remove_groups(name: str) -> list[Path]:
    """Groups go when their last process has; those of containers are below ours."""
    deadline = time.monotonic() + 10
    while True:
        left = []
        for group in CGROUPS.glob(f"*/{name}"):  # of all hierarchies: runc makes some that we did not
            folders = [path for path in [group, *group.rglob("*")] if path.is_dir()]
            for folder in sorted(folders, reverse=True):
                try:
                    folder.rmdir()
                except OSError:
                    left.append(folder)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _sweep() -> None:
    """Removes what a run that was killed has left: nobody holds its lock, and nobody asked to keep it."""
    for work in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            lock = _lock(work)
        except OSError:
            continue
        if not (work / "keep").exists():
            _remove_groups(work.name)
            shutil.rmtree(work, ignore_errors=True)
        os.close(lock)
