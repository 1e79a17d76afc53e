"""What becomes of copies when a node leaves (docs/how-to/remove-a-node.md), all volumes encrypted.

At each look of each wait every volume has at least the up-to-date copies that it had before.
"""
import json

import pytest

from conftest import assert_unharmed
from scenario.claims import PROVISIONER
from scenario.storage import POOL_CONFIGURATION, TLS

# The simulator places by name: the spare node is the first.
NODE_NAMES = [f"node{i}.example.com" for i in (1, 2, 3, 0)]
NODE1, NODE2, NODE3, NODE4 = NODE_NAMES
OPERATOR_FLAGS = ("--observe-interval=5s",)
LEAVES = "breakwater.test/leaves"  # nodes with this label are not chosen by the cluster
CLUSTER = {
    "apiVersion": "piraeus.io/v1",
    "kind": "LinstorCluster",
    "metadata": {"name": "linstorcluster"},
    "spec": {
        "internalTLS": {},
        "properties": [{"name": TLS, "value": "yes"}],
        "nodeAffinity": {"nodeSelectorTerms": [{"matchExpressions": [{"key": LEAVES, "operator": "DoesNotExist"}]}]},
    },
}
CONFIGURATION = {
    "apiVersion": "piraeus.io/v1",
    "kind": "LinstorSatelliteConfiguration",
    "metadata": {"name": "life"},
    "spec": {**POOL_CONFIGURATION["spec"], "internalTLS": {"tlsHandshakeDaemon": True}},
}
# Where the copies are at the beginning, and the writer.
VOLUMES = {"pvc-a": ([NODE1, NODE2, NODE3], NODE1), "pvc-b": ([NODE2, NODE3], NODE3), "pvc-c": ([NODE1, NODE3], None)}


class Life:
    """Volumes, and how many up-to-date copies each of them has at least at every look."""

    def __init__(self, storage):
        self.storage, self.bed = storage, storage.bed
        self.least = {name: len(nodes) for name, (nodes, _) in VOLUMES.items()}

    def copies(self, name=""):
        """{volume: {node: state of its disk}}, without those that have no disk; of one volume its nodes."""
        found = {}
        for resource in self.storage.linstor("GET", "/v1/view/resources"):
            if "DISKLESS" not in resource.get("flags", []):
                state = resource["volumes"][0].get("state", {}).get("disk_state", "unknown")
                found.setdefault(resource["name"], {})[resource["node_name"]] = state
        return found.get(name, {}) if name else found

    def good(self, name):
        return {node for node, state in self.copies(name).items() if state == "UpToDate"}

    def wait(self, condition, timeout, what):
        """Waits, and fails at once when a volume has too few good copies."""
        def look():
            copies = self.copies()
            for name, least in self.least.items():
                there = sum(state == "UpToDate" for state in copies.get(name, {}).values())
                if there < least:
                    pytest.fail(f"while waiting for {what}: {name} has {there} good copies of {least}: {copies.get(name)}")
            return condition()
        return self.bed.wait_for(look, timeout, what, interval=0.3)

    def in_linstor(self, node):
        """LINSTOR's connection status of the node; "" when LINSTOR does not know it."""
        return {n["name"]: n["connection_status"] for n in self.storage.linstor("GET", "/v1/nodes")}.get(node, "")

    def satellite(self, node):
        done = self.bed.kubectl("get", "linstorsatellite", node, "-o", "json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def condition(self, node, kind):
        """(reason, message) of a condition of the LinstorSatellite."""
        found = self.storage.condition(self.satellite(node) or {}, kind)
        return found.get("reason", ""), found.get("message", "")

    def pod_runs(self, node):
        try:
            return bool(self.storage.satellite_pod(node))
        except LookupError:
            return False

    def policy(self, policy):
        self.storage.kubectl("patch", "linstorsatelliteconfiguration", "life", "--type=merge", "-p",
                             json.dumps({"spec": {"deletionPolicy": policy}}))
        self.bed.wait_for(lambda: {s["spec"]["deletionPolicy"] for s in self.storage.get("linstorsatellites")["items"]} == {policy},
                          20, f"every satellite to have the policy {policy}")

    def leave(self, node):
        self.storage.kubectl("label", "node", node, f"{LEAVES}=true")
        self.bed.wait_for(lambda: (self.satellite(node) or {"metadata": {"deletionTimestamp": 1}})["metadata"].get("deletionTimestamp"),
                          20, f"the satellite of {node} to be deleted")

    def move_writer(self, name, node):
        """As Kubernetes moves a pod; its node may have stopped already."""
        volume = next(v for v in self.storage.volumes if v.name == name)
        if volume.writer and self.pod_runs(volume.primary):
            self.storage.stop_writer(name, volume.primary)
        volume.primary = node
        self.storage.start_writer(name, node)


@pytest.fixture(scope="module")
def life(storage):
    storage.issue_certificates()
    storage.create(CONFIGURATION)
    storage.create_cluster(CLUSTER, pools=False)
    storage.bed.wait_for(storage.all_pools, 60, "the storage pool on every node")
    for number in (1, 2, 3):
        storage.create_group(f"copies-{number}", number)
    for name, (nodes, writer) in VOLUMES.items():
        storage.create_volume(name, f"copies-{len(nodes)}", len(nodes), writer or nodes[0], bool(writer), nodes)
    storage.create_volume("pvc-one", "copies-1", 1, NODE1, False, [NODE1])
    storage.bed.wait_for(lambda: storage.encrypted(VOLUMES) and all(storage.connected(name) for name in VOLUMES), 90,
                         "the volumes to be encrypted and in sync")
    storage.volumes.pop()  # a volume of one copy has no connection to look at
    storage.bed.drbd({"op": "report", "reset": True})
    return Life(storage)


def test_evacuate_makes_copies_before_it_takes_any_away(life):
    # A node is retired. Who removes first and copies then runs on fewer copies for hours; the next disk that dies takes
    # the data along. The copy of a volume that a pod uses is made when the pod has moved, not before.
    storage = life.storage
    life.policy("Evacuate")
    storage.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pvc-b"}, "spec": {
        "capacity": {"storage": "64Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "none",
        "csi": {"driver": PROVISIONER, "volumeHandle": "pvc-b"}}})
    life.leave(NODE3)
    life.wait(lambda: life.condition(NODE3, "SatelliteEvacuated")[0] == "Waiting" and
              "pvc-b" in life.condition(NODE3, "SatelliteEvacuated")[1], 30, "the condition to name the volume that is in use")
    assert NODE4 not in life.copies("pvc-a"), "asked of LINSTOR before the pod has moved"
    life.move_writer("pvc-b", NODE2)
    life.wait(lambda: life.satellite(NODE3) is None, 90, "the evacuation to end")
    assert life.in_linstor(NODE3) == ""
    assert {name: life.good(name) for name in VOLUMES} == {
        "pvc-a": {NODE1, NODE2, NODE4}, "pvc-b": {NODE2, NODE4}, "pvc-c": {NODE1, NODE4}}
    assert_unharmed(storage)
