"""An operator that is killed in the middle of a migration: the next one finishes it."""
import signal

import pytest

from conftest import assert_unharmed
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML


def moved(storage, journal):
    """Something is in flight that was not when the last operator died: this one is at work."""
    now = storage.tls_status().get("inFlight", [])
    return bool(now) and now != journal


@pytest.mark.parametrize("value,strategy", [("yes", "PairByPair"), ("no", "PairByPair"), ("yes", "SuspendIO")])
def test_kill_in_the_middle(volumes, value, strategy):
    # Nodes are drained and pods evicted at the worst moment; a volume must not stay frozen or half switched.
    bed = volumes.bed
    volumes.apply(HANDSHAKE_DAEMON_YAML)
    volumes.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p",
                '{"spec":{"replicationTLS":{"migration":{"strategy":"%s"}}}}' % strategy)
    volumes.apply(CLUSTER_TLS_YAML.replace('"yes"', f'"{value}"'))
    journal = []
    for _ in range(2):
        bed.wait_for(lambda: moved(volumes, journal) or done(volumes, value), 90, "a step of a migration")
        bed.kill_operator(signal.SIGKILL)
        journal = volumes.tls_status().get("inFlight", [])
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
