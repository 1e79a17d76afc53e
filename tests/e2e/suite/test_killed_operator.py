"""An operator that is killed in the middle of a migration: the agents bring what runs to its end, the next operator
goes on. All the ways to die: test_agent_kills."""
import json
import signal

import pytest

from conftest import assert_unharmed
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML

# The default of spec.replicationTLS.migration.suspendTimeout, and a second: it holds whoever is dead (REVIEW-1 C4, R4).
FREEZE_MS = 11_000
# Only a real freeze takes this long: a write takes 2 ms, and the simulator's time does not stand still when the
# machine is busy.
NO_FREEZE_MS = 1000


@pytest.mark.parametrize("value,strategy", [("yes", "PairByPair"), ("no", "PairByPair"), ("yes", "SuspendIO")])
def test_kill_in_the_middle(volumes, value, strategy):
    # Nodes are drained and pods evicted at the worst moment; a volume must not stay frozen or half switched.
    bed = volumes.bed
    volumes.apply(HANDSHAKE_DAEMON_YAML)
    begin_with(volumes, "no" if value == "yes" else "yes")
    migrate(volumes, value, strategy)
    journals = [kill_at_work(volumes, value, strategy) for _ in range(2)]
    assert journals[0], "the first kill met no run in flight"
    assert all(entry["strategy"] == strategy for journal in journals for entry in journal), journals
    bed.wait_for(lambda: done(volumes, value), 180, f"every connection to have tls {value}")
    bed.wait_for(volumes.all_connected, 60, "all volumes connected")
    assert_unharmed(volumes)
    limit = NO_FREEZE_MS if strategy == "PairByPair" else FREEZE_MS
    stalls = {name: row["longestStallMs"] for name, row in volumes.report().items()}
    print(strategy, value, "longest stalls:", stalls)
    assert max(stalls.values()) < limit, stalls


def begin_with(storage, value):
    """Brings every connection to the value that the test does not want, however far an earlier test came."""
    migrate(storage, value, "Auto")
    storage.bed.wait_for(lambda: done(storage, value), 180, f"every connection to start with tls {value}")
    storage.bed.wait_for(storage.all_connected, 60, "all volumes connected")
    storage.bed.drbd({"op": "report", "reset": True})


def migrate(storage, value, strategy):
    storage.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p", json.dumps(
        {"spec": {"replicationTLS": {"migration": {
            # Volumes with two replicas have no other copy while one connection is switched.
            "strategy": strategy, "allowSingleCopy": strategy == "PairByPair"}}}}))
    storage.trace(reset=True)
    storage.apply(CLUSTER_TLS_YAML.replace('"yes"', f'"{value}"'))


def kill_at_work(storage, value, strategy):
    """Kills the operator between two steps of its own; returns the journal that it leaves. Starts the next one."""
    storage.trace(reset=True)  # commands of the last operator do not count
    storage.bed.wait_for(lambda: halfway(storage, strategy) or done(storage, value), 120, "a step of a migration",
                         interval=0.01)
    storage.bed.kill_operator(signal.SIGKILL)
    journal = storage.tls_status().get("inFlight", [])
    storage.start_operator()
    return journal


def halfway(storage, strategy):
    """This operator has changed something on a node, and a volume is in the state that a kill could leave behind."""
    if not any(set(c["argv"]) & {"suspend-io", "disconnect", "net-options", "connect"} for _, c in storage.acts()):
        return False
    rows = storage.report().values()
    if strategy == "SuspendIO":
        return any(row["suspendedUser"] for row in rows)
    return any(row["connectedConnections"] < row["connections"] for row in rows)


def done(storage, value):
    status = storage.tls_status()
    if status.get("inFlight"):
        return False
    if value == "yes":
        return storage.encrypted() and status.get("phase") == "Complete"
    return storage.plaintext() and status.get("phase") in ("Idle", "Complete")
