"""Certificates for replication of their own, which tlshd alone has."""
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
