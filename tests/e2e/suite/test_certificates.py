"""Certificates for replication of their own: every mode after the other, rotations and new keys, under load.

T3 of the acceptance, in order: a clock that is off, new leaves, a new authority with operators killed at each step, new
session keys, a certificate that expired. The tests of this module run in order and build on each other.
"""
import base64
import datetime
import itertools
import json

from conftest import NODES, assert_unharmed
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML, NAMESPACE
from testbed.pki import BOTH_USAGES, cert_pem, key_pem, new_key

CONDITION = "ReplicationCertificates"
AUTHORITY = "breakwater-replication-ca"
FREEZE_MS = 1000  # of a machine that does other things too; a connection that is cut and given up would cost above 5000
LATE = NODES[2]  # its clock is ten minutes behind
OLD_KEYS = ["pvc-d", "pvc-e"]  # volumes of three copies whose sessions have carried much


def set_mode(volumes, **certificates):
    volumes.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p",
                    json.dumps({"spec": {"replicationTLS": {"certificates": certificates}}}))


def wait_for_condition(volumes, reason, seconds=150):
    def there():
        condition = volumes.condition(volumes.cluster(), CONDITION)
        return condition.get("status") == "True" and condition.get("reason") == reason
    volumes.bed.wait_for(there, seconds, f"{CONDITION} to say {reason}")


def files(volumes, node, name):
    """A certificate file as tlshd of the node has it."""
    return volumes.kubectl("-n", NAMESPACE, "exec", volumes.satellite_pod(node), "-c", "ktls-utils", "--",
                           "cat", f"/etc/tlshd.d/{name}")


def secret(volumes, name):
    return volumes.get("-n", NAMESPACE, "secret", name)["data"]


def reconnect(volumes, resource, node=NODES[0], peer=NODES[1]):
    """Real handshakes with what the nodes have now: sessions that are up keep their old keys."""
    volumes.exec(node, "drbdadm", "disconnect", f"{resource}:{peer}")
    volumes.exec(node, "drbdadm", "connect", f"{resource}:{peer}")
    volumes.bed.wait_for(volumes.encrypted, 60, "all connections encrypted after a new handshake")


def test_managed_from_the_start(volumes):
    # What the guide recommends: nobody makes a certificate by hand, and the satellites' keys stay with LINSTOR.
    set_mode(volumes, mode="Managed")
    volumes.apply(HANDSHAKE_DAEMON_YAML)
    volumes.apply(CLUSTER_TLS_YAML)
    volumes.bed.wait_for(lambda: volumes.encrypted() and volumes.migration_complete(), 180,
                         "every connection to be encrypted")
    wait_for_condition(volumes, "Managed")
    for node in NODES:
        pod = volumes.get("-n", NAMESPACE, "pod", volumes.satellite_pod(node))
        mounts = {c["name"]: [m["name"] for m in c.get("volumeMounts", [])] for c in pod["spec"]["containers"]}
        assert [name for name, list_ in mounts.items() if "replication-tls" in list_] == ["ktls-utils"]
        assert "internal-tls" not in mounts["ktls-utils"]
    assert_unharmed(volumes)


def begin(volumes):
    """From here on counts what `assert_uncut` looks at."""
    volumes.trace(reset=True)
    volumes.bed.drbd({"op": "report", "reset": True})
    return [volumes.satellite_pod(node) for node in NODES]


def cuts(volumes):
    """Every time that two copies were not connected: [(from, to, volume, node, node)], by time."""
    return sorted((start, end, name, a, b) for name, row in volumes.report().items() for a, b, start, end in row["cuts"])


def assert_uncut(volumes, pods):
    """No connection was down for a moment, no write waited for longer than the machine explains, no pod restarted."""
    assert len(volumes.report()) == 12
    assert cuts(volumes) == []
    assert not [c for c in volumes.trace() if "disconnect" in c["argv"]]
    assert volumes.encrypted()
    assert_no_stall(volumes)
    assert [volumes.satellite_pod(node) for node in NODES] == pods


def assert_no_stall(volumes):
    stalls = {name: row["longestStallMs"] for name, row in volumes.report().items()}
    print("longest stalls:", stalls)
    assert max(stalls.values()) < FREEZE_MS, stalls
    assert_unharmed(volumes)


def kill_and_succeed(volumes):
    volumes.bed.kill_operator()
    succeed(volumes)


def succeed(volumes):
    """The next operator, at once: that the one before is dead the test knows, its Lease would say so after 15 s only."""
    for lease in volumes.get("-n", NAMESPACE, "leases")["items"]:
        if lease["metadata"]["name"] != "linstor-controller":
            volumes.kubectl("-n", NAMESPACE, "patch", "lease", lease["metadata"]["name"], "--type=merge", "-p",
                            json.dumps({"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}}))
    volumes.start_operator()


def leaf(volumes, node):
    return x509.load_pem_x509_certificate(files(volumes, node, "tls.crt").encode())


def readiness(volumes, node):
    return volumes.condition(volumes.get("linstorsatellite", node), "ReplicationTLSReady")


def test_new_leaves_under_load_with_a_clock_that_is_off(volumes):
    # T3: twelve volumes, every node gets a new certificate, one node's clock is ten minutes behind: all of it said, nothing
    # cut. A shorter life is what makes all leaves too old at once.
    for letter in "defghijkl":
        replicas = 2 if letter in "il" else 3
        volumes.create_volume(f"pvc-{letter}", "three-copies" if replicas == 3 else "two-copies", replicas)
    volumes.bed.wait_for(lambda: volumes.all_connected() and volumes.encrypted(), 60, "twelve encrypted volumes")
    volumes.bed.drbd({"op": "node", "node": LATE, "clock_ahead_s": -600})
    pods = begin(volumes)
    before = {node: leaf(volumes, node).serial_number for node in NODES}
    set_mode(volumes, mode="Managed", duration="360h")
    for node in NODES:
        volumes.bed.wait_for(lambda: leaf(volumes, node).serial_number != before[node], 60, f"{node} to have a new leaf")
    volumes.bed.wait_for(lambda: f"ClockDiffers: the clock of node {LATE} is 10 minutes behind" in
                         readiness(volumes, LATE)["message"], 90, "the clock to be said")
    assert readiness(volumes, LATE)["status"] == "True"
    assert [e for e in volumes.get("events.events.k8s.io", "-n", "default")["items"]
            if e["reason"] == "ClockDiffers" and e["type"] == "Warning" and e["regarding"]["name"] == LATE]
    wait_for_condition(volumes, "Managed")
    assert_uncut(volumes, pods)
    for peer in NODES[:2]:  # certificates of this minute, and a clock that has not come to it
        reconnect(volumes, "pvc-a", LATE, peer)
    assert_unharmed(volumes)


def test_new_authority_with_operators_killed_at_each_step(volumes):
    # T3: no connection is cut, no pod restarts, and the next operator goes on with what the dead one began.
    before = secret(volumes, AUTHORITY)["tls.crt"]
    for name in OLD_KEYS:  # for the next test: the agents look at it twice a minute
        volumes.bed.drbd({"op": "traffic", "resource": name, "gib": 100})
    pods = begin(volumes)
    volumes.kubectl("annotate", "linstorcluster", "linstorcluster", "breakwater.io/rotate-replication-ca=1")
    volumes.bed.wait_for(lambda: "previous.crt" in secret(volumes, AUTHORITY), 60, "the rotation to begin", interval=0.02)
    kill_and_succeed(volumes)
    for step in ["Distributing", "Switching", "Withdrawing"]:
        volumes.bed.wait_for(lambda: volumes.condition(volumes.cluster(), CONDITION).get("reason") == step, 150,
                             f"the rotation to come to {step}", interval=0.02)
        kill_and_succeed(volumes)
    volumes.bed.wait_for(lambda: "previous.crt" not in secret(volumes, AUTHORITY), 150, "the rotation to be complete")
    wait_for_condition(volumes, "Managed")
    assert secret(volumes, AUTHORITY)["tls.crt"] != before
    for node in NODES:
        assert files(volumes, node, "ca.crt").count("BEGIN CERTIFICATE") == 1
    assert_uncut(volumes, pods)
    reconnect(volumes, "pvc-a", LATE, NODES[0])
    volumes.bed.drbd({"op": "node", "node": LATE, "clock_ahead_s": 0})
    assert_unharmed(volumes)


def test_new_session_keys_one_pair_at_a_time(volumes):
    # T3: whoever rotates because a key may be known wants the sessions renewed too, and never two connections down.
    pods = begin(volumes)
    rekey(volumes, {"maxBytes": "64Gi"})
    volumes.bed.wait_for(lambda: len(cuts(volumes)) >= 6 and volumes.all_connected() and volumes.encrypted(), 150,
                         "new keys for all connections of two volumes")
    found = cuts(volumes)
    print("cuts of the re-key:", found)
    assert sorted((name, *sorted(pair)) for _, _, name, *pair in found) == [
        (name, *pair) for name in OLD_KEYS for pair in itertools.combinations(NODES, 2)], "each once, and no other"
    assert all(end <= start for (_, end, *_), (start, *_) in zip(found, found[1:])), found
    rekey(volumes, None)
    assert [volumes.satellite_pod(node) for node in NODES] == pods
    assert_no_stall(volumes)


def rekey(volumes, rules):
    volumes.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p",
                    json.dumps({"spec": {"replicationTLS": {"rekey": rules}}}))


def test_expired_certificate_heals_by_itself(volumes):
    # T3: the operator was away until a certificate had expired, and a connection of the node was lost meanwhile: DRBD gives
    # up on it for good (F6). The next operator renews, and reconnects it without a hand on it.
    volumes.bed.kill_operator()
    certificate, key = expired_leaf(volumes, NODES[1])
    volumes.kubectl("-n", NAMESPACE, "patch", "secret", f"{NODES[1]}-replication-tls", "--type=merge", "-p",
                    json.dumps({"stringData": {"tls.crt": certificate, "tls.key": key}}))
    volumes.bed.wait_for(lambda: files(volumes, NODES[1], "tls.crt").strip() == certificate.strip(), 30,
                         "the node to have the expired certificate")
    volumes.bed.drbd({"op": "inject", "kind": "network-cut", "a": NODES[0], "b": NODES[1], "on": True})
    volumes.bed.wait_for(lambda: lost(volumes) > 0, 60, "the network cut to be noticed")
    volumes.bed.drbd({"op": "inject", "kind": "network-cut", "a": NODES[0], "b": NODES[1], "on": False})
    volumes.bed.wait_for(lambda: alone(volumes, "pvc-a"), 30, "DRBD to give up")
    succeed(volumes)
    volumes.bed.wait_for(lambda: volumes.encrypted() and volumes.all_connected(), 120, "all connections without a hand on it")
    assert leaf(volumes, NODES[1]).not_valid_after > datetime.datetime.utcnow()
    volumes.bed.wait_for(volumes.migration_complete, 60, "the proof for every connection")
    assert_unharmed(volumes)


def expired_leaf(volumes, node):
    """A certificate of the operator's own authority that ended a minute ago, as PEM with its key."""
    data = {name: base64.b64decode(text) for name, text in secret(volumes, AUTHORITY).items()}
    authority = x509.load_pem_x509_certificate(data["tls.crt"])
    signer = serialization.load_pem_private_key(data["tls.key"], None)
    key, now = new_key(), datetime.datetime.utcnow()
    certificate = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(authority.subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(minutes=20))
                   .not_valid_after(now - datetime.timedelta(minutes=1))
                   .add_extension(x509.SubjectAlternativeName([x509.DNSName(node)]), critical=False)
                   .add_extension(x509.ExtendedKeyUsage(list(BOTH_USAGES)), critical=False)
                   .sign(signer, hashes.SHA256()))
    return cert_pem(certificate), key_pem(key)


def lost(volumes):
    return sum(row["connections"] - row["connectedConnections"] for row in volumes.report().values())


def alone(volumes, name):
    """An end of a connection of the volume is StandAlone."""
    return any("StandAlone" in volumes.exec(node, "drbdadm", "cstate", name) for node in NODES[:2])


def test_from_mode_to_mode(volumes):
    # T5: to Secrets that somebody else keeps without a restart, and back to the seeds' way with one per node.
    pods = [volumes.satellite_pod(node) for node in NODES]
    volumes.trace(reset=True)
    set_mode(volumes, mode="Secret", secretName="{node}-tls")
    wait_for_condition(volumes, "Secret")
    assert [volumes.satellite_pod(node) for node in NODES] == pods
    reconnect(volumes, "pvc-b")
    set_mode(volumes, mode="InternalTLS", secretName=None)
    wait_for_condition(volumes, "SharedWithLINSTOR", 240)
    for node in NODES:
        assert "# breakwater" not in files(volumes, node, "ca.crt")
        volumes.bed.wait_for(lambda: "tls.key" not in volumes.get("-n", NAMESPACE, "secret", f"{node}-replication-tls")
                             .get("data", {}), 30, "the key that nobody uses to be gone")
    reconnect(volumes, "pvc-a")
    volumes.bed.wait_for(volumes.migration_complete, 60, "the proof for every connection")
    assert_unharmed(volumes)
