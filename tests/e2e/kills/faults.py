"""Kills, and lets come back what was killed. Remembers when the agent of a node was away."""

from __future__ import annotations

import contextlib
import signal
from typing import Optional

from scenario import NAMESPACE
from testbed import Refused

from .cases import AGENT, AT_ONCE, BOTH, CONTAINER, FAR_AGENT, OPERATOR, POD, Case

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/piraeus-operator"
NEW_PODS = "kube-controller-manager"  # makes the DaemonSet's next pod


class Faults:
    def __init__(self, storage, client):
        self.storage, self.bed, self.client = storage, storage.bed, client
        self.away: list[list] = []  # [node, from, to] in the simulator's ms; to is None while it is away

    def strike(self, case: Case, node: str, pod: str) -> None:
        """`node`: of the agent or satellite that is hit; `pod`: its satellite."""
        at_once = case.back == AT_ONCE
        if case.victim in (OPERATOR, BOTH):
            self.bed.kill_operator(signal.SIGKILL)
        if case.victim in (AGENT, BOTH, FAR_AGENT):
            if at_once:
                self.bed.signal_agent(node, "worker", "KILL")
            else:
                self.bed.hold_worker(node)
        if case.victim == POD:
            if not at_once:
                self.bed.kill(NEW_PODS)
            self.client.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}")
        if case.victim == CONTAINER:
            self.bed.agent_restarts(node, 0 if at_once else -1)
            self.bed.signal_agent(node, "supervisor", "KILL")
        if not at_once and case.victim != OPERATOR:
            self.away.append([node, self.now(), None])

    def undo(self, case: Case, node: str) -> None:
        at_once = case.back == AT_ONCE
        if case.victim in (AGENT, BOTH, FAR_AGENT) and not at_once:
            self.bed.release_worker(node)
        if case.victim == POD and not at_once:
            self.bed.start_component(NEW_PODS)
        if case.victim == CONTAINER:
            self.bed.agent_restarts(node, 0)
        if case.victim in (OPERATOR, BOTH):
            # Else the next one waits for the end of the lease of the dead: "back" is when it works again.
            self.client.merge(LEASE, {"spec": {"holderIdentity": ""}})
            self.storage.start_operator(wait=False)

    def came_back(self) -> None:
        for entry in self.away:
            entry[2] = entry[2] or self.now()

    def now(self) -> int:
        return self.bed.drbd({"op": "ping"})["nowMs"]

    def away_ms(self, nodes, begin: int, end: int) -> int:
        """For how long between the two the agent of one of the nodes was away."""
        total = 0
        for node, since, until in self.away:
            if node in nodes:
                total += max(0, min(end, until or end) - max(begin, since))
        return total

    def all_back(self) -> bool:
        """Everything is there for the next case."""
        running = {agent["node"] for agent in self.bed.agents() if agent["supervisor"] and agent["workers"]}
        return running >= set(self.bed.nodes) and self.storage.operator_ready()

    def pod_of(self, node: str) -> Optional[str]:
        with contextlib.suppress(LookupError, Refused):
            return self.storage.satellite_pod(node)
        return None
