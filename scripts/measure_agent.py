#!/usr/bin/env python3
"""Measures breakwater-agent: size, memory, idle CPU, time of a full report.

    scripts/measure_agent.py [--agent build/release/bin/breakwater-agent] [--idle 65]

DRBD's tools are scripts that print a recorded resource as often as wanted, so what is measured is the
agent and not a simulator. CPU and memory are those of supervisor and worker together, in /proc; the
CPU of the tools that it starts is shown apart.
"""
import argparse
import copy
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "operator/core/replication/node/testdata/connected-tls-3diskful.node1"
RES = ROOT / "operator/core/replication/node/testdata/linstor-res/pinned.node1.res"
HELLO = b'{"hello":{"protocol":2,"oldest":1,"version":"measure","epoch":1}}\n'


def write_tools(folder, count):
    """A node with `count` resources with two peers each."""
    status, show, sockets = [], [], []
    (folder / "bin").mkdir()
    (folder / "res").mkdir()
    res = RES.read_text().split('resource "r2"')[0]
    for number in range(count):
        name = f"pvc-{number:08d}-1111-2222-3333-444444444444"
        for sample, items in (("status", status), ("show", show)):
            item = copy.deepcopy(json.loads((SAMPLE / f"{sample}.json").read_text())[0])
            item["name" if sample == "status" else "resource"] = name
            for connection in item["connections"]:
                for path in connection["paths"]:
                    path["this_host"]["port"] = path["remote_host"]["port"] = 7000 + number
            items.append(item)
        for peer in (2, 3):
            for local, remote in ((7000 + number, 40000 + number), (30000 + number, 7000 + number)):
                sockets.append(f"ESTAB 0 0 10.77.0.1:{local} 10.77.0.{peer}:{remote}\n\t cubic rto:204 "
                               "tcp-ulp-tls version: 1.3 cipher: aes-gcm-256 rxconf: sw txconf: sw")
        (folder / "res" / f"{name}.res").write_text(res.replace('"r1"', f'"{name}"'))
    (folder / "status.json").write_text(json.dumps(status, indent=2))
    (folder / "show.json").write_text(json.dumps(show, indent=2))
    (folder / "ss.txt").write_text("\n".join(sockets) + "\n")
    tools = {
        "drbdsetup": f'case "$1" in status) exec cat {folder}/status.json;; show) exec cat {folder}/show.json;; '
                     'events2) echo "exists -"; exec sleep 100000;; esac',
        "ss": f"exec cat {folder}/ss.txt",
        "drbdadm": 'echo DRBDADM_VERSION=9.34.0',
    }
    for name, body in tools.items():
        tool = folder / "bin" / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n{body}\n')
        tool.chmod(0o755)


def stat_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return {"own": (int(fields[11]) + int(fields[12])) / ticks, "tools": (int(fields[13]) + int(fields[14])) / ticks}


def memory_of(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def worker_of(supervisor):
    while True:
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parts = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
                except (OSError, IndexError):
                    continue
                if int(parts[1]) == supervisor:
                    return int(entry.name)
        time.sleep(0.005)


def full_report(agent, folder):
    """Seconds from the start of the bridge until the full report has come, resources, bytes."""
    begin = time.monotonic()
    bridge = subprocess.Popen([agent, "connect", "--run-dir", folder / "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    bridge.stdin.write(HELLO)
    bridge.stdin.flush()
    resources = size = 0
    for line in bridge.stdout:
        size += len(line)
        resources += line.startswith(b'{"resource"')
        if line.startswith(b'{"synced"'):
            break
    seconds = time.monotonic() - begin
    bridge.stdin.close()
    bridge.wait()
    return seconds, resources, size


def measure(agent, count, idle):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="breakwater-measure-"))
    try:
        write_tools(folder, count)
        environment = dict(os.environ, PATH=f"{folder}/bin:{os.environ['PATH']}")
        begin = time.monotonic()
        supervisor = subprocess.Popen([agent, "run", "--run-dir", folder / "run", "--res-dir", folder / "res", "--node", "node1"],
                                      env=environment, stderr=subprocess.DEVNULL)
        _, resources, _ = full_report(agent, folder)
        from_start = time.monotonic() - begin
        again, resources, size = full_report(agent, folder)
        assert resources == count, (resources, count)
        worker = worker_of(supervisor.pid)
        print(f"{count} resources: reported {from_start:.2f} s after the agent's start, {again:.2f} s after a new "
              f"connection ({size / 1024:.0f} KiB)")
        time.sleep(6)  # the check of the .res files comes 5 s after the start
        calls = (folder / "calls").read_text().count("\n")
        pids = (supervisor.pid, worker)
        before = [stat_of(pid) for pid in pids]
        time.sleep(idle)
        after = [stat_of(pid) for pid in pids]
        own = sum(b["own"] - a["own"] for a, b in zip(before, after))
        tools = sum(b["tools"] - a["tools"] for a, b in zip(before, after))
        calls = (folder / "calls").read_text().count("\n") - calls
        print(f"{count} resources: idle for {idle} s: {100 * own / idle:.3f} % of a core (tools {100 * tools / idle:.3f} %), "
              f"{calls} programs started")
        rss = [memory_of(pid, "VmRSS") for pid in pids]
        print(f"{count} resources: RSS {sum(rss):.1f} MiB (worker {rss[1]:.1f}, supervisor {rss[0]:.1f}), "
              f"peak of the worker {memory_of(worker, 'VmHWM'):.1f} MiB")
        supervisor.terminate()
        assert supervisor.wait(30) == 0
    finally:
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", default=str(ROOT / "build/release/bin/breakwater-agent"))
    parser.add_argument("--idle", type=int, default=65)
    parser.add_argument("--resources", type=int, nargs="+", default=[100, 1000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stripped = pathlib.Path(folder) / "stripped"
        subprocess.run(["strip", "-o", stripped, options.agent], check=True)
        print(f"size stripped: {stripped.stat().st_size / 1048576:.2f} MiB")
    linked = subprocess.run(["ldd", options.agent], capture_output=True, text=True, check=False)
    print("ldd:", (linked.stdout + linked.stderr).strip())
    for count in options.resources:
        measure(options.agent, count, options.idle)


if __name__ == "__main__":
    main()
