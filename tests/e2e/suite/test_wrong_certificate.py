"""One node has a certificate of a foreign CA: it must not take any volume down."""
from conftest import assert_unharmed
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML

NODE_NAMES = [f"node{i}.example.com" for i in range(1, 5)]
BAD = NODE_NAMES[3]


def test_bad_node_is_held_back_and_migrates_after_the_fix(storage):
    # A typo in one secret is the most likely mistake; the volumes of that node must keep replicating in
    # plaintext, the report must name node, reason and next step, and all others must not wait for it.
    bed = storage.bed
    storage.create_cluster()
    storage.issue_certificates(NODE_NAMES[:3])
    storage.issue_certificates([BAD], broken={BAD: {"wrong_ca": True}})
    storage.create_group("group", 3)
    storage.create_volume("pvc-good", "group", 3, nodes=NODE_NAMES[:3])
    storage.create_volume("pvc-touched", "group", 3, nodes=[NODE_NAMES[0], NODE_NAMES[1], BAD])
    bed.wait_for(storage.all_connected, 60, "all volumes connected")
    storage.apply(HANDSHAKE_DAEMON_YAML)
    storage.apply(CLUSTER_TLS_YAML)
    bed.wait_for(lambda: storage.encrypted(["pvc-good"]), 120, "the volume of healthy nodes to be encrypted")
    bed.wait_for(lambda: named(storage, BAD), 60, "the bad node in status.replicationTLS.failures")
    bed.wait_for(lambda: storage.connected("pvc-touched"), 60, "the held volume to replicate")
    assert storage.plaintext(["pvc-touched"])
    # The DaemonSet of the bad node may be rolled last; until then the missing sidecar is the reason.
    bed.wait_for(lambda: held_for_its_certificate(storage), 60, "a condition that names the secret to mend")
    for node in NODE_NAMES[:3]:
        bed.wait_for(lambda: readiness(storage, node).get("status") == "True", 60, f"{node} to be ready")
    assert_unharmed(storage)
    # The fix: no restart, no command; the next look finds the certificate good.
    storage.issue_certificates([BAD])
    bed.wait_for(lambda: storage.encrypted() and storage.migration_complete(), 150, "everything to be encrypted")
    bed.wait_for(lambda: not storage.tls_status().get("failures"), 30, "the failures to be forgotten")
    assert_unharmed(storage)


def named(storage, node):
    """The failure of this node has a reason and a sentence for people."""
    return [f for f in storage.tls_status().get("failures", [])
            if f.get("node") == node and f.get("reason") and f.get("message")]


def held_for_its_certificate(storage):
    condition = readiness(storage, BAD)
    return (condition.get("status") == "False" and condition.get("reason") != "HandshakeDaemonMissing" and
            f"{BAD}-tls" in condition.get("message", ""))


def readiness(storage, node):
    return storage.condition(storage.get("linstorsatellite", node), "ReplicationTLSReady")
