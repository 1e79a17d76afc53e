"""Installs Breakwater on a real kubelet, sees it work, upgrades it and removes it again: `make e2e-node`.

Needs root, and the images of `make images`. Exit status 0 only if everything was as it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from imagebuild import debian

from . import machine, standins
from .cluster import Cluster
from .jail import Jail
from .steps import ROOT, Failure, Steps

IMAGES = ROOT / "build/images"
REPORT = ROOT / "build/e2e-node.json"


def _tool(option: str) -> Path:
    done = subprocess.run([ROOT / "scripts/tools.sh", option], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"scripts/tools.sh {option} failed")
    return Path(done.stdout.strip())


def _versions() -> dict[str, str]:
    """{image: tag} of what was built."""
    file = IMAGES / "digests.txt"
    if not file.exists():
        raise SystemExit("node: no images: make images")
    references = [line.partition("@")[0].rsplit("/", 1)[1] for line in file.read_text().splitlines()]
    return dict(reference.split(":") for reference in references)


def inside(arguments: argparse.Namespace) -> int:
    """As the first program in the namespaces."""
    plan = json.loads(arguments.inside.read_text())
    work = Path(plan["work"])
    bus = machine.enter(work, Path(plan["packages"]))
    tools = work / "tools"
    cluster = Cluster(work, tools)
    steps = Steps(cluster, Path(plan["helm"]), plan["versions"])
    try:
        cluster.start_runtime()
        for archive in plan["archives"]:
            cluster.load(Path(archive))
        steps.done(f"containerd has {len(plan['archives'])} images")
        cluster.start()
        steps.done("a node is Ready: etcd, kube-apiserver, controller manager, scheduler, kube-proxy, kubelet")
        steps.all()
    except (Failure, AssertionError, RuntimeError) as error:
        print(f"\nnode: FAILED: {error}", flush=True)
        _explain(cluster)
        return 1
    finally:
        bus.close()
        steps.write(Path(plan["report"]))
    return 0


def _explain(cluster: Cluster) -> None:
    for what in (("get", "pods,linstorclusters,linstorsatellites", "-A", "-o", "wide"),
                 ("get", "events", "-A", "--sort-by=.lastTimestamp"),
                 ("-n", "piraeus-datastore", "logs", "-l", "app.kubernetes.io/component=piraeus-operator", "--tail=40")):
        print(f"--- kubectl {' '.join(what)}\n{cluster.kubectl(*what, check=False)[-6000:]}", flush=True)
    if dead := cluster.dead():
        print(f"--- ended: {', '.join(dead)}\n{cluster.tails()}", flush=True)


def _prepare(jail: Jail) -> Path:
    """Everything that needs the machine's network and disk; the file says the rest to `inside`."""
    tools, node = _tool("--print-dir"), _tool("--print-node")
    folder = jail.work / "tools"
    folder.mkdir()
    for source in (*(tools / name for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")),
                   node / "kubelet", node / "kube-proxy"):
        (folder / source.name).symlink_to(source.resolve())
    packages = standins.packages()
    binaries = Path(os.environ.get("BREAKWATER_BIN_DIR") or ROOT / "build/release/bin")
    archives = standins.build(jail.work / "standins", binaries, packages)
    versions = _versions()
    archives += [IMAGES / f"{name}.tar" for name in versions]
    plan = jail.work / "plan.json"
    plan.write_text(json.dumps({
        "work": str(jail.work), "packages": str(packages), "helm": str(_tool("--print-helm")), "versions": versions,
        "archives": [str(archive) for archive in archives], "report": str(REPORT)}))
    return plan


def outside(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    jail = Jail()
    try:
        plan = _prepare(jail)
        print(f"[prepared in {time.monotonic() - began:.1f} s] {jail.work}", flush=True)
        status = jail.run([sys.executable, "-u", "-m", "node", "--inside", str(plan)], arguments.timeout)
    except KeyboardInterrupt:
        print("\nnode: interrupted, cleaning up", file=sys.stderr)
        status = 130
    except debian.FetchError as error:
        print(f"node: {error}", file=sys.stderr)
        status = 1
    finally:
        left = jail.close(bool(os.environ.get("BREAKWATER_TESTBED_KEEP")))
    for trace in left:
        print(f"node: left behind: {trace}")
    status = status or int(bool(left))
    print(f"node: {'passed' if status == 0 else f'FAILED ({status})'} in {time.monotonic() - began:.1f} s"
          + ("" if left else ", the machine is as before") + f"; times in {REPORT.relative_to(ROOT)}")
    return status


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m node", description=__doc__)
    parser.add_argument("--timeout", type=float, default=600, help="seconds after which everything is ended")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    return inside(arguments) if arguments.inside else outside(arguments)


if __name__ == "__main__":
    sys.exit(main())
