"""What a user switches on is there, what is switched off goes away, and nothing else does."""
import json

from scenario import NAMESPACE
from scenario.storage import CLUSTER

PARTS = ["csiController", "csiNode", "highAvailabilityController", "affinityController", "nfsServer"]
KINDS = "deployments,daemonsets,services,serviceaccounts,configmaps,roles,rolebindings"
CLUSTER_KINDS = "clusterroles,clusterrolebindings,csidrivers"
LABEL = "app.kubernetes.io/managed-by=piraeus-operator"
TOPOLOGY = {"apiVersion": "piraeus.io/v1", "kind": "LinstorSatelliteConfiguration", "metadata": {"name": "topology"},
            "spec": {"properties": [{"name": "Aux/topology/example.com/rack", "value": "7"}]}}
CONNECTION = {"apiVersion": "piraeus.io/v1", "kind": "LinstorNodeConnection", "metadata": {"name": "all"},
              "spec": {"properties": [{"name": "DrbdOptions/Net/max-buffers", "value": "8000"}]}}


def components(storage):
    """{component: its objects} as the API server has them."""
    found = {}
    for item in storage.get("-n", NAMESPACE, KINDS, "-l", LABEL)["items"] + storage.get(CLUSTER_KINDS, "-l", LABEL)["items"]:
        name = item["metadata"]["labels"].get("app.kubernetes.io/component", "?")
        found.setdefault(name, set()).add(f"{item['kind']}/{item['metadata']['name']}")
    return found


def patch(storage, spec):
    storage.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p", json.dumps({"spec": spec}))


def topology_keys(storage, node):
    drivers = storage.get("csinode", node)["spec"]["drivers"] or []  # none while it registers again
    return next((d["topologyKeys"] for d in drivers if d["name"] == "linstor.csi.linbit.com"), [])


def test_a_claim_would_find_its_driver(storage):
    # Without a registered driver on every node no claim is ever served, and the cluster must not say that all is well.
    storage.create_cluster(CLUSTER)
    bed = storage.bed
    bed.wait_for(lambda: storage.condition(storage.cluster(), "Configured").get("status") == "True", 90,
                 "the driver registered on all nodes")
    for node in bed.nodes:
        assert "linbit.com/hostname" in topology_keys(storage, node)
    names = set(components(storage))
    assert names >= {"linstor-controller", "linstor-csi-controller", "linstor-csi-node", "ha-controller",
                     "linstor-affinity-controller", "linstor-csi-nfs-server", "linstor-satellite"}, names


def test_a_new_topology_reaches_the_driver(storage):
    # A StorageClass that asks for racks would find no node: the driver says its topology once, when it registers.
    storage.create(TOPOLOGY)
    storage.bed.wait_for(lambda: all("example.com/rack" in topology_keys(storage, node) for node in storage.bed.nodes), 120,
                         "the new key on all nodes")


def test_a_connection_is_configured(storage):
    storage.create(CONNECTION)
    storage.bed.wait_for(lambda: storage.condition(storage.get("linstornodeconnection", "all"), "Configured").get("status")
                         == "True", 60, "its properties in LINSTOR")


def test_what_is_switched_off_goes_and_nothing_else(storage):
    before = components(storage)
    patch(storage, {part: {"enabled": False} for part in PARTS})
    gone = {"linstor-csi-controller", "linstor-csi-node", "ha-controller", "linstor-affinity-controller",
            "linstor-csi-nfs-server", "linstor-csi-nfs"}
    storage.bed.wait_for(lambda: not gone & set(components(storage)), 60, "their objects to be removed")
    assert {name: objects for name, objects in before.items() if name not in gone} == components(storage)


def test_a_node_that_leaves_takes_its_satellite_along(storage):
    bed, node = storage.bed, storage.bed.nodes[-1]
    bed.kubectl("delete", "node", node)
    bed.wait_for(lambda: node not in {s["metadata"]["name"] for s in storage.get("linstorsatellites")["items"]}, 90,
                 "its LinstorSatellite to go")
    bed.wait_for(lambda: f"DaemonSet/linstor-satellite.{node}" not in components(storage)["linstor-satellite"], 60,
                 "its DaemonSet to go")


def test_linstors_controller_can_be_elsewhere(storage):
    patch(storage, {"controller": {"enabled": False}})
    storage.bed.wait_for(lambda: "linstor-controller" not in components(storage), 60, "the controller's objects to be removed")
    assert "linstor-satellite" in components(storage)
