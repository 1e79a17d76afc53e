"""A peer disk that the Primary takes for Outdated although the connection is up (silent divergence later)."""
import json

from conftest import assert_unharmed
from scenario import NAMESPACE

OPERATOR_FLAGS = ("--observe-interval=5s",)


def inject(storage, volume):
    peer = next(n for n in storage.bed.nodes if n != volume.primary)
    storage.bed.drbd({"op": "inject", "kind": "stale-outdated", "resource": volume.name, "primary": volume.primary,
                      "peer": peer})
    assert storage.report()[volume.name]["stalePeers"] == 1


def test_seen_and_healed_on_a_volume_that_nobody_migrates(volumes):
    # Writes to such a peer are only recorded; the next reconnect erases the record and the copies differ.
    volume = volumes.volumes[0]
    inject(volumes, volume)
    volumes.bed.wait_for(lambda: event(volumes, volume.name), 40, "an event that names the volume")
    volumes.bed.wait_for(lambda: volumes.connected(volume.name), 40, "the peer disk to be UpToDate again")
    volumes.bed.wait_for(lambda: volumes.report()[volume.name]["divergedBlocks"] == 0, 10, "equal blocks")
    commands = [c["argv"] for c in volumes.trace()]
    assert [c for c in commands if "invalidate-remote" in c and "--reset-bitmap=no" in c], commands[-20:]
    assert_unharmed(volumes)


def test_held_when_healing_is_switched_off(volumes):
    # With healing off nothing may cut the connection: that would make the damage permanent.
    volumes.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p", json.dumps(
        {"spec": {"replicationTLS": {"migration": {"healStale": False}}}}))
    volume = volumes.volumes[1]
    volumes.bed.wait_for(lambda: stale_peers(volumes) == 0, 30, "the metric to forget the healed volume")
    inject(volumes, volume)
    volumes.bed.wait_for(lambda: [f for f in volumes.tls_status().get("failures", [])
                                  if f["resource"] == volume.name], 40, "the volume in status.failures")
    volumes.bed.wait_for(lambda: stale_peers(volumes) == 1, 20, "the metric that alerts are made of")
    volumes.bed.wait_for(lambda: (condition := volumes.condition(volumes.cluster(), "ReplicationEncrypted")) and
                         (condition["status"], condition["reason"]) == ("False", "StalePeer"), 20, "the condition")
    assert volumes.report()[volume.name]["stalePeers"] == 1
    commands = [c["argv"] for c in volumes.trace()]
    assert not [c for c in commands if "disconnect" in c and volume.name in " ".join(c)], commands[-20:]
    volumes.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p", json.dumps(
        {"spec": {"replicationTLS": {"migration": {"healStale": True}}}}))
    volumes.bed.wait_for(lambda: volumes.connected(volume.name), 60, "the peer disk to be UpToDate again")
    assert_unharmed(volumes)


def stale_peers(storage):
    (value,) = [line.split()[-1] for line in storage.operator_metrics().splitlines()
                if line.startswith("breakwater_drbd_stale_peers")]
    return float(value)


def event(storage, name):
    events = storage.get("-A", "events.events.k8s.io")["items"] + storage.get("-n", NAMESPACE, "events")["items"]
    return [e for e in events if name in (e.get("note") or e.get("message") or "")]
