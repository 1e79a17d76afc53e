"""An operator that is killed in the middle of a migration: the next one finishes it."""
import signal

import pytest

from conftest import assert_unharmed
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML


def started_step(storage, wanted):
    return any(entry.get("step") in wanted or not wanted for entry in storage.tls_status().get("inFlight", []))


@pytest.mark.parametrize("value,strategy", [("yes", "PairByPair"), ("no", "PairByPair"), ("yes", "SuspendIO")])
def test_kill_in_the_middle(volumes, value, strategy):
    # Nodes are drained and pods evicted at the worst moment; a volume must not stay frozen or half switched.
    bed = volumes.bed
    volumes.apply(HANDSHAKE_DAEMON_YAML)
    volumes.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p",
                '{"spec":{"replicationTLS":{"migration":{"strategy":"%s"}}}}' % strategy)
    volumes.apply(CLUSTER_TLS_YAML.replace('"yes"', f'"{value}"'))
    for _ in range(3):
        bed.wait_for(lambda: volumes.tls_status().get("inFlight") or done(volumes, value), 60, "a migration in flight")
        bed.kill_operator(signal.SIGKILL)
        volumes.start_operator()
    bed.wait_for(lambda: done(volumes, value), 150, f"every connection to have tls {value}")
    bed.wait_for(volumes.all_connected, 60, "all volumes connected")
    assert_unharmed(volumes)


def done(storage, value):
    status = storage.tls_status()
    if status.get("inFlight"):
        return False
    if value == "yes":
        return storage.encrypted() and status.get("phase") == "Complete"
    return all(r["encryptedConnections"] == 0 for r in storage.report().values())
