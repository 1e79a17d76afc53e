"""What becomes of copies when nodes leave, are lost and come back (docs/how-to/remove-a-node.md), all volumes encrypted.

The tests of this module run in order and build on each other. At each look of each wait every volume has at least the
up-to-date copies that it had before, or one less where the node with it is gone.
"""
import json

import pytest

from conftest import assert_unharmed
from scenario import NAMESPACE
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
                    raise AssertionError(f"while waiting for {what}: {name} has {there} good copies of {least}: {copies.get(name)}")
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

    def come_back(self, node):
        self.storage.kubectl("label", "node", node, f"{LEAVES}-")
        self.wait(lambda: self.in_linstor(node) == "ONLINE" and self.has_pool(node), 60, f"{node} to be back, with its pool")

    def has_pool(self, node):
        return any(p["node_name"] == node and p["storage_pool_name"] == "pool1"
                   for p in self.storage.linstor("GET", "/v1/view/storage-pools"))

    def add_copy(self, name, node):
        """`linstor resource create <node> <volume>`"""
        self.storage.linstor("POST", f"/v1/resource-definitions/{name}/resources", [
            {"resource": {"name": name, "node_name": node, "props": {"StorPoolName": "pool1"}}}])

    def move_writer(self, name, node):
        """As Kubernetes moves a pod; its node may have stopped already."""
        volume = next(v for v in self.storage.volumes if v.name == name)
        if volume.writer and self.pod_runs(volume.primary):
            self.storage.stop_writer(name, volume.primary)
        volume.primary = node
        self.storage.start_writer(name, node)

    def all_well(self):
        self.wait(lambda: self.storage.all_connected() and self.storage.encrypted(), 60, "every connection to be up and encrypted")
        assert_unharmed(self.storage)


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
    life.all_well()


def test_retain_keeps_node_and_copies_in_linstor(life):
    # Taken out for a while, by mistake too: nothing may be forgotten or copied. And while its volumes are encrypted the
    # handshake daemon stays, or the first network cut ends without them.
    storage = life.storage
    life.policy("Retain")
    before = life.copies()
    life.leave(NODE4)
    life.wait(lambda: life.condition(NODE4, "SatelliteDeleted")[0] == "HandshakeDaemonKept", 30, "the daemon to be kept")
    assert life.pod_runs(NODE4) and life.in_linstor(NODE4) == "ONLINE"
    insist(storage, True)
    storage.bed.wait_for(lambda: life.satellite(NODE4) is None and life.in_linstor(NODE4) == "OFFLINE", 60,
                         "the satellite to go all the same")
    assert {name: set(nodes) for name, nodes in life.copies().items()} == {name: set(nodes) for name, nodes in before.items()}
    assert all(storage.connected(volume.name) for volume in storage.volumes) and storage.encrypted(VOLUMES)
    insist(storage, False)
    least, life.least = life.least, {}  # of a node that is not connected LINSTOR knows no state
    life.come_back(NODE4)
    life.bed.wait_for(lambda: life.copies() == before, 60, "every copy to be as it was")
    life.least = least
    life.all_well()


def insist(storage, value):
    storage.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p",
                    json.dumps({"spec": {"replicationTLS": {"allowHandshakeDaemonRemoval": value}}}))


def test_delete_keeps_the_last_good_copy(life):
    # "There are no checks": whoever deletes the wrong node of another operator has lost the volume.
    life.come_back(NODE3)
    life.least["pvc-one"] = 1
    life.policy("Delete")
    life.move_writer("pvc-a", NODE2)
    life.leave(NODE1)
    life.wait(lambda: life.condition(NODE1, "SatelliteDeleted")[0] == "LastCopy", 30, "the deletion to be refused")
    assert "pvc-one" in life.condition(NODE1, "SatelliteDeleted")[1] and "pvc-a" not in life.condition(NODE1, "SatelliteDeleted")[1]
    assert life.pod_runs(NODE1) and life.good("pvc-one") == {NODE1}
    life.add_copy("pvc-one", NODE3)
    life.least.update({"pvc-a": 2, "pvc-c": 1})  # these lose a copy: that is what Delete means
    life.wait(lambda: life.satellite(NODE1) is None, 60, "the deletion to end")
    assert life.in_linstor(NODE1) == "" and not life.pod_runs(NODE1)
    assert {name: life.good(name) for name in life.least} == {
        "pvc-a": {NODE2, NODE4}, "pvc-b": {NODE2, NODE4}, "pvc-c": {NODE4}, "pvc-one": {NODE3}}
    assert_unharmed(life.storage)


def test_a_node_is_lost_and_its_copies_with_it(life):
    # A machine burns. LINSTOR forgets it, the copies elsewhere are what they were, and the pods go on there.
    life.storage.bed.drbd({"op": "inject", "kind": "node-crash", "node": NODE2})
    life.least.update({"pvc-a": 1, "pvc-b": 1})
    life.storage.kubectl("delete", "node", NODE2)
    end_pods_of(life, NODE2)
    life.wait(lambda: life.satellite(NODE2) is None, 60, "the satellite to be gone")
    assert life.in_linstor(NODE2) == ""
    for name in ("pvc-a", "pvc-b"):
        life.move_writer(name, NODE4)
    assert {name: life.good(name) for name in life.least} == {
        "pvc-a": {NODE4}, "pvc-b": {NODE4}, "pvc-c": {NODE4}, "pvc-one": {NODE3}}
    assert_unharmed(life.storage)


def end_pods_of(life, node):
    """What Kubernetes does by itself a minute after a Node is gone."""
    for pod in life.storage.get("-n", NAMESPACE, "pods")["items"]:
        if pod["spec"].get("nodeName") == node:
            life.storage.kubectl("-n", NAMESPACE, "delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0",
                                 "--ignore-not-found")


def test_a_machine_of_the_same_name_with_empty_disks(life):
    # The new machine must not pass for the old one: its empty disks would be the data. It gets copies when somebody says
    # so, from the good ones, and encrypted.
    bed = life.bed
    for name in [*VOLUMES, "pvc-one"]:
        bed.drbd({"op": "remove-disks", "node": NODE2, "resource": name})
    bed.drbd({"op": "inject", "kind": "node-boot", "node": NODE2})
    bed.nodes.remove(NODE2)
    bed.add_nodes(NODE2)
    life.wait(lambda: life.in_linstor(NODE2) == "ONLINE" and life.has_pool(NODE2), 60, "the new machine in LINSTOR, with its pool")
    assert NODE2 not in {node for nodes in life.copies().values() for node in nodes}
    life.storage.bed.drbd({"op": "report", "reset": True})
    for name in ("pvc-a", "pvc-b"):
        life.add_copy(name, NODE2)
        life.wait(lambda: life.good(name) == {NODE2, NODE4}, 60, f"{name} to have a second copy")
        life.least[name] = 2
    rows = life.storage.report()
    assert all(rows[name]["resyncKiB"] > 0 for name in ("pvc-a", "pvc-b")), "nothing was copied"
    life.storage.volumes = [v for v in life.storage.volumes if v.name in ("pvc-a", "pvc-b")]
    life.wait(lambda: life.storage.encrypted(["pvc-a", "pvc-b"]) and life.storage.all_connected(), 60, "the new copies, encrypted")
    assert_unharmed(life.storage)
