"""What it costs to move volumes to TLS, and to keep them there.

    PYTHONPATH=tests/e2e python3 -m bench.migration --sizes 10,100,1000 --json build/bench-migration.json
    PYTHONPATH=tests/e2e python3 -m bench.migration --sizes 36x12        # volumes x nodes

For each size a test bed of its own: volumes with three replicas, each opened and written to, an agent on every node. Then
TLS is asked for, and counted what that takes until the last volume is encrypted; then a minute in which nothing happens;
with the most nodes also three minutes in which no exec works. Ends with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from pathlib import Path

from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML
from scenario.storage import CLUSTER

from . import tables
from .client import ApiClient
from .installation import Installation, Operator, make_bed
from .rollout import WRITES

NODES = {10: 3, 100: 20, 1000: 100}  # by volumes
LINSTORCLUSTER = "/apis/piraeus.io/v1/linstorclusters/linstorcluster"
UNREACHABLE = "testbed.breakwater/unreachable"
WRITES_PER_SECOND = 200  # of all volumes together: the machine is for the operator and the agents

FLAT = 1.3  # a volume of a thousand costs at most this many times as much as one of a hundred
IDLE_CORE, IDLE_MIB = 0.01, 100
UNREACHABLE_REQUESTS = 60  # a minute, less than this

# What is counted for the whole migration and shown per volume.
COSTS = [("requests", "API requests"), ("execs", "execs"), ("linstor_requests", "LINSTOR requests"),
         ("commands", "commands on nodes"), ("cpu_seconds", "operator CPU s"), ("agent_cpu_seconds", "agents' CPU s")]
MIGRATION_COLUMNS = [
    ("volumes", "volumes", "d"), ("nodes", "nodes", "d"), ("seconds", "s", ".1f"), ("requests", "API requests", "d"),
    ("execs", "execs", "d"), ("linstor_requests", "LINSTOR requests", "d"), ("commands", "commands", "d"),
    ("cpu_seconds", "operator CPU s", ".2f"), ("agent_cpu_seconds", "agents' CPU s", ".2f"),
    ("peak_rss_mib", "peak MiB", ".1f"), ("peak_kib_per_volume", "KiB/volume", ".0f"),
    ("agent_peak_mib", "agent peak MiB", ".1f")]
IDLE_COLUMNS = [
    ("volumes", "volumes", "d"), ("nodes", "nodes", "d"), ("execs", "execs", "d"), ("open_streams", "streams", "d"),
    ("writes", "writes", "d"), ("reads", "reads", "d"), ("linstor_requests", "LINSTOR requests", "d"),
    ("cores", "operator cores", ".4f"), ("agent_cores", "cores/agent", ".4f"), ("rss_mib", "operator MiB", ".1f"),
    ("agent_mib", "agent MiB", ".1f")]


class Bench:
    """One size on one bed. Numbers are differences between two looks at the same counters."""

    def __init__(self, bed, volumes: int):
        self.bed, self.count = bed, volumes
        self.storage = Installation(bed)
        self.client = ApiClient(bed.kubeconfig)
        self.operator: Operator

    def prepare(self) -> None:
        bed, storage = self.bed, self.storage
        storage.install()
        self.operator = storage.start(flags=["--leader-elect"])
        storage.apply(HANDSHAKE_DAEMON_YAML)  # before the satellites: each pod starts once
        storage.issue_certificates()
        storage.create_cluster(cluster=CLUSTER)
        limit = 120 + 3 * len(bed.nodes)
        bed.wait_for(lambda: len([a for a in bed.agents() if a["workers"]]) == len(bed.nodes), limit, "all agents",
                     interval=1)
        storage.create_group("three-copies", 3)
        self.client.parallel(self._create_volume, range(self.count))
        bed.wait_for(lambda: self._report_says(lambda row: row["connectedConnections"] == row["connections"] == 3), limit,
                     "all volumes connected", interval=1)
        for volume in storage.volumes:
            self._open(volume)
        bed.wait_for(lambda: self._status().get("connections", {}).get("plaintext", 0) == 3 * self.count, limit,
                     "the operator to know all connections", interval=1)
        # As many at once as the nodes allow: the default of four at once would measure that limit only.
        self.client.merge(LINSTORCLUSTER, {"spec": {"replicationTLS": {"migration": {
            "maxParallelResources": self.parallel}}}})
        self.settle()

    @property
    def parallel(self) -> int:
        return max(4, 2 * len(self.bed.nodes) // 3)

    def _create_volume(self, i: int) -> None:
        nodes = [self.bed.nodes[(i + k) % len(self.bed.nodes)] for k in range(3)]
        self.storage.create_volume(f"pvc-{i:04}", "three-copies", 3, primary=nodes[0], writer=False, nodes=nodes)

    def _open(self, volume) -> None:
        interval = max(20, 1000 * self.count // WRITES_PER_SECOND)
        request = {"op": "writer", "resource": volume.name, "node": volume.primary, "action": "start",
                   "interval_ms": interval}
        self.bed.wait_for(lambda: self.bed.drbd(request), 30, f"{volume.name} to be opened")

    def _report_says(self, what) -> bool:
        rows = self.storage.report().values()
        return len(rows) == self.count and all(what(row) for row in rows)

    def _status(self) -> dict:
        return self.client.request("GET", LINSTORCLUSTER).get("status", {}).get("replicationTLS", {})

    def complete(self) -> bool:
        status = self._status()
        return (status.get("phase") == "Complete" and not status.get("inFlight") and
                status["connections"]["encrypted"] == status["connections"]["total"] == 3 * self.count)

    def settle(self) -> None:
        """Waits until nothing was written for 35 s: the last note of a series of events comes up to 30 s late."""
        began = mark = time.time()
        while time.time() - mark < 35:
            assert time.time() - began < 300, f"still writes: {self.bed.audit_counts(mark)}"
            time.sleep(1)
            if writes(self.bed.audit_counts(mark)):
                mark = time.time()

    # ----- counters

    def look(self) -> dict:
        counters, agents = self.bed.exec_counters(), self.bed.agents()
        return {"time": time.time(), "cpu_seconds": self.operator.cpu_seconds(),
                "execs": counters["execs"] + counters["refused"], "connects": counters["connects"],
                "open_streams": counters["open"],
                "linstor_requests": self.storage.linstor("GET", "/sim/requests?since=1000000000000")["next"],
                "agent_cpu_seconds": sum(a["ownSeconds"] for a in agents),
                "agent_mib": max(a["rssKiB"] for a in agents) / 1024,
                "agent_peak_mib": max(a["peakKiB"] for a in agents) / 1024}

    @staticmethod
    def between(before: dict, after: dict) -> dict:
        return {key: after[key] - before[key] for key in
                ("cpu_seconds", "execs", "connects", "linstor_requests", "agent_cpu_seconds")}

    # ----- what is measured

    def migrate(self) -> dict:
        self.storage.trace(reset=True)
        before = self.look()
        self.storage.apply(CLUSTER_TLS_YAML)
        self.bed.wait_for(self.complete, 120 + 2 * self.count, "the migration to complete", interval=0.25)
        after = self.look()
        commands = sum(c["argv"][:2] != ["drbdsetup", "events2"] for c in self.storage.trace(reset=True))
        counts = self.bed.audit_counts(before["time"], after["time"])
        assert self.storage.encrypted(), "the operator says that it is done, and the sockets do not"
        harm = self.storage.harm()
        peak = self.operator.memory_mib("VmHWM")
        return {"volumes": self.count, "nodes": len(self.bed.nodes), "parallel": self.parallel,
                "seconds": after["time"] - before["time"], "requests": sum(counts.values()),
                "requests_by_kind": by_kind(counts), "commands": commands, **self.between(before, after),
                "peak_rss_mib": peak, "peak_kib_per_volume": 1024 * peak / self.count,
                "agent_peak_mib": after["agent_peak_mib"], "harm": harm}

    def idle(self, seconds: float) -> dict:
        self.settle()
        before = self.look()
        time.sleep(seconds)  # the measured time itself
        after = self.look()
        counts, used = self.bed.audit_counts(before["time"], after["time"]), self.between(before, after)
        elapsed = after["time"] - before["time"]
        return {"volumes": self.count, "nodes": len(self.bed.nodes), "seconds": elapsed, "execs": used["execs"],
                "open_streams": after["open_streams"], "writes": sum(writes(counts).values()),
                "reads": sum(counts.values()) - sum(writes(counts).values()), "requests_by_kind": by_kind(counts),
                "linstor_requests": used["linstor_requests"], "cores": used["cpu_seconds"] / elapsed,
                "agent_cores": used["agent_cpu_seconds"] / elapsed / len(self.bed.nodes),
                "rss_mib": self.operator.memory_mib(), "agent_mib": after["agent_mib"]}

    def unreachable(self, minutes: int) -> dict:
        """Requests of each minute in which no node answers an exec; the first has the first try of each node."""
        self.bed.kubectl("annotate", "nodes", "--all", "--overwrite", f"{UNREACHABLE}=true")
        self.bed.node("cut-streams")
        marks, execs = [time.time()], [self.look()["execs"]]
        for _ in range(minutes):
            time.sleep(60)  # the measured time itself
            marks.append(time.time())
            execs.append(self.look()["execs"])
        counts = [self.bed.audit_counts(*span) for span in zip(marks, marks[1:])]
        return {"nodes": len(self.bed.nodes), "volumes": self.count, "requests": [sum(c.values()) for c in counts],
                "execs": [b - a for a, b in zip(execs, execs[1:])], "requests_by_kind": [by_kind(c) for c in counts]}


def writes(counts: Counter) -> Counter:
    """Events too: each is a write to etcd. An exec is a "create", and counted with the execs."""
    return Counter({key: n for key, n in counts.items() if key[0] in WRITES and key[2] != "exec"})


def by_kind(counts: Counter) -> dict[str, int]:
    return {" ".join(filter(None, key)): n for key, n in counts.most_common()}


def ratios(rows: list[dict]) -> dict[str, float]:
    """Cost per volume at a thousand volumes, as a multiple of that at a hundred; {} without these two."""
    by_volumes = {row["volumes"]: row for row in rows}
    if not {100, 1000} <= by_volumes.keys():
        return {}
    few, many = by_volumes[100], by_volumes[1000]
    return {key: (many[key] / 1000) / max(few[key] / 100, 1e-9) for key, _ in COSTS}


def missed_goals(result: dict) -> list[str]:
    missed = [f"{row['volumes']} volumes: {sentence}" for row in result["migrations"] for sentence in row["harm"]]
    titles = dict(COSTS)
    missed += [f"{titles[key]} per volume: {ratio:.2f} times as much at 1000 as at 100 volumes, the goal is at most {FLAT}"
               for key, ratio in result["ratios"].items() if ratio > FLAT]
    for row in result["idle"]:
        who = f"idle with {row['volumes']} volumes"
        for key, limit, what in (("execs", 0, "execs besides the open streams"), ("writes", 0, "writes")):
            if row[key] > limit:
                missed.append(f"{who}: {row[key]} {what}, the goal is none")
        if row["cores"] >= IDLE_CORE:
            missed.append(f"{who}: {100 * row['cores']:.2f} % of a core, the goal is less than {100 * IDLE_CORE:g} %")
        if row["rss_mib"] >= IDLE_MIB:
            missed.append(f"{who}: {row['rss_mib']:.1f} MiB, the goal is less than {IDLE_MIB} MiB")
    for row in result["unreachable"]:
        late = max(row["requests"][1:], default=0)
        if late >= UNREACHABLE_REQUESTS:
            missed.append(f"{row['nodes']} nodes whose exec fails: {late} requests a minute, the goal is less than "
                          f"{UNREACHABLE_REQUESTS}")
    return missed


def parse_sizes(text: str) -> list[tuple[int, int]]:
    sizes = []
    for word in filter(None, text.split(",")):
        volumes, _, nodes = word.partition("x")
        count = int(volumes)
        sizes.append((count, int(nodes) if nodes else NODES.get(count, max(3, min(100, count // 5)))))
    return sizes


def print_result(result: dict) -> None:
    print("\nTo TLS, until every volume is encrypted:")
    print(tables.text(MIGRATION_COLUMNS, result["migrations"]))
    print("\nPer volume:")
    per_volume = [{"volumes": row["volumes"], **{key: row[key] / row["volumes"] for key, _ in COSTS}}
                  for row in result["migrations"]]
    print(tables.text([("volumes", "volumes", "d")] + [(key, title, ".3f") for key, title in COSTS], per_volume))
    if result["ratios"]:
        titles = dict(COSTS)
        print("1000 volumes against 100, per volume: " + ", ".join(f"{titles[key]} x{ratio:.2f}"
                                                                    for key, ratio in result["ratios"].items()))
    if result["idle"]:
        print("\nA minute in which nothing happens:")
        print(tables.text(IDLE_COLUMNS, result["idle"]))
    for row in result["unreachable"]:
        print(f"\n{row['nodes']} nodes whose exec always fails: API requests in each minute "
              f"{', '.join(map(str, row['requests']))}; of these execs {', '.join(map(str, row['execs']))}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.migration", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,100,1000", help="volumes, or volumes x nodes (default: %(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=60, help="0: not (default: %(default)s)")
    parser.add_argument("--unreachable-minutes", type=int, default=3, help="0: not (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes all numbers there")
    arguments = parser.parse_args()
    sizes = parse_sizes(arguments.sizes)
    result: dict = {"machine": {"processor": platform.processor() or platform.machine(), "kernel": platform.release()},
                    "migrations": [], "idle": [], "unreachable": [], "ratios": {}}

    def save() -> None:
        result["ratios"] = ratios(result["migrations"])
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(result, indent=2) + "\n")

    for volumes, nodes in sizes:
        with make_bed(nodes) as bed:
            bench = Bench(bed, volumes)
            bench.prepare()
            result["migrations"].append(bench.migrate())
            save()  # after each part: an interrupted run keeps what it has measured
            if arguments.idle_seconds:
                result["idle"].append(bench.idle(arguments.idle_seconds))
                save()
            if arguments.unreachable_minutes and nodes == max(n for _, n in sizes):
                result["unreachable"].append(bench.unreachable(arguments.unreachable_minutes))
                save()
    print_result(result)
    missed = missed_goals(result)
    for goal in missed:
        print(f"GOAL MISSED: {goal}", file=sys.stderr, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
