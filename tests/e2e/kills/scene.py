"""A cluster in which each case has a volume of its own, switched when it is its turn."""

from __future__ import annotations

import time
from typing import Any, Optional

from bench.client import ApiClient
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML
from testbed import WaitTimeout

from .cases import CUT_MS, FAR_AGENT, LATE, LATE_SECONDS, NEVER, Case, Row
from .faults import Faults
from .trigger import Trigger

CLUSTER = "/apis/piraeus.io/v1/linstorclusters/linstorcluster"
RELEASED = "breakwater.io/migrate"
TRIGGER_SECONDS = 120  # until a released volume is at the step
SETTLE_SECONDS = 90  # until all is well when everything is back
FINISH_SECONDS = 400  # until every volume is encrypted: a failed switch is tried again, each time later
LINGER_SECONDS = 2  # what comes late should still be seen


class Scene:
    """`storage`: installed, without volumes, on a bed of 3, 6, 9, … nodes. Not thread-safe.

    Each volume is on three nodes that are not those of the volume before it: after a switch that failed nothing is
    switched between the same nodes for about a minute.
    """

    def __init__(self, storage, cases: list[Case], never_seconds: float = 45):
        self.storage, self.bed = storage, storage.bed
        self.never_seconds = never_seconds
        self.client = ApiClient(self.bed.kubeconfig)
        self.faults = Faults(storage, self.client)
        self.volumes: dict[Case, Any] = {}
        self.cases = cases
        self.released: list[str] = []
        self.unbounded: set[str] = set()

    def prepare(self) -> None:
        """All volumes in plaintext and unopened, with TLS wanted, and none of them released."""
        storage, bed = self.storage, self.bed
        storage.issue_certificates()
        storage.apply(HANDSHAKE_DAEMON_YAML)
        storage.create_cluster()
        bed.wait_for(self.faults.all_back, 60, "an agent on every node")
        storage.create_group("three-copies", 3)
        # What the simulator says about too long a suspension is what is promised.
        bed.drbd({"op": "config", "suspend_limit_ms": 11_000})
        for i, case in enumerate(self.cases):
            first = i * 3 % len(bed.nodes)
            nodes = bed.nodes[first:first + 3]
            storage.create_volume(f"kill-{i:03}", "three-copies", 3, primary=nodes[i * 3 // len(bed.nodes) % 3],
                                  writer=False, nodes=nodes)
            self.volumes[case] = storage.volumes[-1]
        bed.wait_for(lambda: all(row["connectedConnections"] == row["connections"] == 3
                                 for row in storage.report().values()), 120, "all volumes connected")
        self.client.merge(CLUSTER, {"spec": {"replicationTLS": {"migration": {
            "policy": "Manual", "maxParallelResources": 8, "maxParallelPerNode": 8}}}})
        storage.apply(CLUSTER_TLS_YAML)
        bed.wait_for(lambda: storage.tls_status()["resources"]["pending"] == len(self.cases), 120,
                     "all volumes to wait for their release")

    def play(self, case: Case) -> Row:
        volume, began = self.volumes[case], time.monotonic()
        row = Row(str(case), case.bounded)
        if not case.bounded:
            self.unbounded.add(volume.name)
        self.bed.wait_for(self.faults.all_back, 120, "everything back after the last case")
        self._open(volume)
        start = self.faults.now()
        pods = {node: self.faults.pod_of(node) for node in self._nodes(volume)}
        with self._trigger(case, volume) as trigger:
            self._release(volume, case.strategy)
            command = trigger.wait(TRIGGER_SECONDS)
            if command is None:
                row.judge([], f"never came to {case.step}: {self.storage.tls_status()}")
                return row
            node = self._victim(case, volume, command)
            self.faults.strike(case, node, pods[node])
        self._stay_away(case, volume)
        self.faults.undo(case, node)
        trouble = self._settle(volume)
        self.faults.came_back()
        self._measure(case, volume, node, start, trouble, row)
        row.seconds = time.monotonic() - began
        return row

    def finish(self) -> list[str]:
        """After the last case: everything that was begun comes to its end. What did not, one sentence each."""
        played = [volume.name for volume in self.volumes.values() if volume.writer]
        missed = []
        try:
            self.bed.wait_for(lambda: self.storage.encrypted(played), FINISH_SECONDS, "all volumes encrypted",
                              interval=1)
        except WaitTimeout as error:
            missed.append(f"{error}: {self.storage.tls_status()}")
        for name, row in self.storage.report().items():
            for a, b, begin, end in row["cuts"]:
                limit = CUT_MS + self.faults.away_ms((a, b), begin, end)
                if end - begin > limit:
                    missed.append(f"{name}: {a} and {b} not connected for {end - begin} ms, at most {limit} are promised")
        return missed + [sentence for sentence in self.storage.harm()
                         if not ("suspended-too-long" in sentence and sentence.split(":")[0] in self.unbounded)]

    # ----- the parts of a case

    def _open(self, volume) -> None:
        self.storage.start_writer(volume.name, volume.primary)
        volume.writer = True
        self.bed.wait_for(lambda: self._row(volume)["writes"] > 50 and self.storage.connected(volume.name), 30,
                          f"{volume.name} to be written to")

    def _trigger(self, case: Case, volume) -> Trigger:
        minor = next(minor for minor, name in self.storage.minors().items() if name == volume.name)
        target = minor if case.step in ("suspend-io", "resume-io") else volume.name
        nodes = [volume.primary]
        if case.victim == FAR_AGENT and case.step != "disconnect":
            nodes = [node for node in self._nodes(volume) if node != volume.primary]
        return Trigger(self.bed, nodes, f" {case.step} {target} ")

    def _nodes(self, volume) -> list[str]:
        first = self.bed.nodes.index(volume.primary) // 3 * 3
        return self.bed.nodes[first:first + 3]

    def _release(self, volume, strategy: str) -> None:
        self.released.append(volume.name)
        self.client.merge(CLUSTER, {"metadata": {"annotations": {RELEASED: ",".join(self.released)}},
                                    "spec": {"replicationTLS": {"migration": {
                                        "strategy": strategy,
                                        "allowSingleCopy": strategy == "PairByPair"}}}})

    def _victim(self, case: Case, volume, command) -> str:
        if case.victim != FAR_AGENT or command["node"] != volume.primary:
            return command["node"]
        peer_id = int(command["argv"][-1])  # drbdsetup disconnect <resource> <node id>
        resources = self.storage.linstor("GET", f"/v1/view/resources?resources={volume.name}")
        return next(r["node_name"] for r in resources if r["layer_object"]["drbd"]["node_id"] == peer_id)

    def _stay_away(self, case: Case, volume) -> None:
        if case.back == LATE:
            time.sleep(LATE_SECONDS)  # the outage itself, not a wait for something
        elif case.back == NEVER:
            deadline = time.monotonic() + self.never_seconds
            while time.monotonic() < deadline and not self._well(volume):
                time.sleep(0.2)
            time.sleep(LINGER_SECONDS)

    def _settle(self, volume) -> Optional[str]:
        try:
            self.bed.wait_for(lambda: self._well(volume), SETTLE_SECONDS, f"{volume.name} to be well again")
            return None
        except WaitTimeout as error:
            return str(error)

    def _well(self, volume) -> bool:
        row = self._row(volume)
        return (not row["suspendedUser"] and row["connectedConnections"] == row["connections"] and
                not row["stalePeers"] and self.storage.connected(volume.name))

    def _row(self, volume) -> dict[str, Any]:
        (row,) = self.bed.drbd({"op": "report", "resource": volume.name})["resources"]
        return row

    def _measure(self, case: Case, volume, node: str, start: int, trouble: Optional[str], row: Row) -> None:
        seen = self._row(volume)
        row.freeze_ms, row.stall_ms, row.cut_ms = (seen["longestFreezeMs"], seen["longestStallMs"],
                                                   seen["longestCutMs"])
        row.errors, row.differing = seen["errors"], seen["divergedBlocks"] + seen["lostWrites"]
        row.encrypted = f"{seen['encryptedConnections']}/{seen['connections']}"
        if case.near_agent_is_away:
            row.cut_limit_ms += self.faults.away_ms([node], start, self.faults.now())
        violations = [f"{v['kind']} on {v['node']} {v['detail']}" for v in self.bed.drbd({"op": "check"})["violations"]
                      if v["resource"] == volume.name and (case.bounded or v["kind"] != "suspended-too-long")]
        row.judge(violations, trouble)
