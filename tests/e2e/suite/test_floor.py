"""Nobody decrypts by a request to LINSTOR (REVIEW-2 S1): its REST API is open to whoever reaches it, here without apiTLS."""
import json

import pytest

from conftest import assert_unharmed
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML
from scenario.storage import TLS, LinstorError

NODE_CONNECTION = "/v1/node-connections/node1.example.com/node2.example.com"
RESOURCE_CONNECTION = "/v1/resource-definitions/pvc-a/resource-connections/node1.example.com/node2.example.com"
DOORS = ["/v1/resource-definitions/pvc-a", "/v1/resource-groups/three-copies", "/v1/controller/properties",
         RESOURCE_CONNECTION, NODE_CONNECTION]


@pytest.fixture(scope="module")
def encrypted(volumes):
    volumes.apply(HANDSHAKE_DAEMON_YAML)
    volumes.apply(CLUSTER_TLS_YAML)
    volumes.bed.wait_for(lambda: volumes.encrypted() and volumes.migration_complete(), 150, "everything to be encrypted")
    return volumes


def say_no(storage, path):
    """As curl does it. LINSTOR may answer 500, because DRBD refuses to change a connection that is up: the value stays."""
    controller = path == "/v1/controller/properties"
    try:
        storage.linstor("POST" if controller else "PUT", path, {"override_props": {TLS: "no"}})
    except LinstorError as error:
        assert error.status == 500, error


def says_no(storage, path):
    """Whether the value is still there."""
    if path == "/v1/controller/properties":
        return storage.linstor("GET", path).get(TLS) == "no"
    if "definitions/pvc-a/" in path:
        found = [c for c in storage.linstor("GET", "/v1/resource-definitions/pvc-a/resource-connections")
                 if {c["node_a"], c["node_b"]} == {"node1.example.com", "node2.example.com"}]
        return any(c.get("props", {}).get(TLS) == "no" for c in found)
    if "connections" in path:
        found = storage.linstor("GET", "/v1/node-connections")
        return any(c.get("props", {}).get(TLS) == "no" for c in found)
    name = path.rsplit("/", 1)[1]
    collection = path.rsplit("/", 1)[0]
    (found,) = [x for x in storage.linstor("GET", collection) if x["name"] == name]
    return found.get("props", {}).get(TLS) == "no"


def refusals(storage):
    return [e for e in storage.get("events.events.k8s.io", "-n", "default")["items"] if e["reason"] == "DowngradeRefused"]


@pytest.mark.parametrize("path", DOORS)
def test_an_anonymous_no_decrypts_nothing(encrypted, path):
    # Seventeen seconds after one such request the operator of the review had decrypted every pair of the volume.
    storage = encrypted
    acts = len(storage.acts())
    told = sum(e.get("series", {}).get("count", 1) for e in refusals(storage))
    say_no(storage, path)
    assert says_no(storage, path), "the attack of this test does not reach LINSTOR"
    storage.bed.wait_for(lambda: sum(e.get("series", {}).get("count", 1) for e in refusals(storage)) > told, 60,
                         "a Warning that names it")
    if path in DOORS[:3]:
        storage.bed.wait_for(lambda: not says_no(storage, path) or pinned(storage), 60, "the value to be pinned back")
    assert storage.encrypted()
    assert [act for act in storage.acts()[acts:] if "disconnect" in act[1]["argv"]] == []
    # While LINSTOR's own value is "no", new volumes are not encrypted, and the condition says so.
    storage.bed.wait_for(lambda: storage.condition(storage.cluster(), "ReplicationEncrypted").get("status") == "True", 60,
                         "the condition to be True")
    take_back(storage, path)
    assert_unharmed(storage)


def pinned(storage):
    """The volume, or each of its connections, has our own value, nearer than the one that was lowered."""
    (volume,) = [d for d in storage.linstor("GET", "/v1/resource-definitions") if d["name"] == "pvc-a"]
    connections = storage.linstor("GET", "/v1/resource-definitions/pvc-a/resource-connections")
    return volume.get("props", {}).get(TLS) == "yes" or (
        bool(connections) and all(c.get("props", {}).get(TLS) == "yes" for c in connections))


def take_back(storage, path):
    try:
        storage.linstor("POST" if path == "/v1/controller/properties" else "PUT", path, {"override_props": {TLS: "yes"}}
                        if path == "/v1/controller/properties" else {"delete_props": [TLS]})
    except LinstorError as error:
        assert error.status == 500, error


def test_the_admins_own_no_works(encrypted):
    # Whoever may change the LinstorCluster decides; that is the way back that the guide describes.
    storage = encrypted
    document = {"apiVersion": "piraeus.io/v1", "kind": "LinstorCluster", "metadata": {"name": "linstorcluster"},
                "spec": {"properties": [{"name": TLS, "value": "no"}]}}
    storage.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=kubectl-client-side-apply", "-f", "-",
                    input=json.dumps(document))
    storage.bed.wait_for(storage.plaintext, 150, "everything to be plaintext again")
    storage.bed.wait_for(storage.all_connected, 60, "all volumes connected")
    assert_unharmed(storage)
