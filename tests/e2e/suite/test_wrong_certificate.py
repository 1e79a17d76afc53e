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
    bed.wait_for(lambda: failures(storage), 60, "the bad node in status.replicationTLS.failures")
    bed.wait_for(lambda: storage.connected("pvc-touched"), 60, "the held volume to replicate")
    assert storage.report()["pvc-touched"]["encryptedConnections"] == 0
    (failure,) = [f for f in failures(storage) if f.get("node") == BAD][:1]
    assert failure["reason"] and failure["message"]
    # The DaemonSet of the bad node may be rolled last; until then the missing sidecar is the reason.
    bed.wait_for(lambda: f"{BAD}-tls" in readiness(storage, BAD)["message"], 60, "a message that names the secret to mend")
    assert readiness(storage, BAD)["status"] == "False" and readiness(storage, BAD)["reason"] != "HandshakeDaemonMissing"
    for node in NODE_NAMES[:3]:
        assert readiness(storage, node)["status"] == "True", (node, readiness(storage, node))
    assert_unharmed(storage)
    # The fix: no restart, no command; the next look finds the certificate good.
    storage.issue_certificates([BAD])
    bed.wait_for(lambda: storage.encrypted() and storage.migration_complete(), 150, "everything to be encrypted")
    assert not failures(storage)
    assert_unharmed(storage)


def failures(storage):
    return storage.tls_status().get("failures", [])


def readiness(storage, node):
    return storage.condition(storage.get("linstorsatellite", node), "ReplicationTLSReady")
