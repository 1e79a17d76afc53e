"""Certificates for replication of their own: every mode after the other, and a rotation, under load.

The tests of this module run in order and build on each other.
"""
import json

from conftest import NODES, assert_unharmed
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML, NAMESPACE

CONDITION = "ReplicationCertificates"


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


def reconnect(volumes, resource):
    """Real handshakes with what the nodes have now: sessions that are up keep their old keys."""
    volumes.exec(NODES[0], "drbdadm", "disconnect", f"{resource}:{NODES[1]}")
    volumes.exec(NODES[0], "drbdadm", "connect", f"{resource}:{NODES[1]}")
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


def test_rotation_with_a_killed_operator(volumes):
    # T3: no connection is cut, no pod restarts, and the next operator finishes what the dead one began.
    before = secret(volumes, "breakwater-replication-ca")["tls.crt"]
    pods = [volumes.satellite_pod(node) for node in NODES]
    volumes.trace(reset=True)
    volumes.kubectl("annotate", "linstorcluster", "linstorcluster", "breakwater.io/rotate-replication-ca=1")
    volumes.bed.wait_for(lambda: "previous.crt" in secret(volumes, "breakwater-replication-ca"), 60,
                         "the rotation to begin")
    volumes.bed.kill_operator()
    volumes.start_operator()
    volumes.bed.wait_for(lambda: "previous.crt" not in secret(volumes, "breakwater-replication-ca"), 150,
                         "the rotation to be complete")
    wait_for_condition(volumes, "Managed")
    assert secret(volumes, "breakwater-replication-ca")["tls.crt"] != before
    for node in NODES:
        assert files(volumes, node, "ca.crt").count("BEGIN CERTIFICATE") == 1
    assert [volumes.satellite_pod(node) for node in NODES] == pods
    assert not [c for c in volumes.trace() if "disconnect" in c["argv"]]
    assert volumes.encrypted()
    reconnect(volumes, "pvc-a")
    assert_unharmed(volumes)


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
