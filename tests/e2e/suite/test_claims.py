"""From a claim to an encrypted volume and to its end, with kubectl only, as a user of StorageClasses does it.

The tests of this module run in order and build on each other.
"""
import json

import yaml

from conftest import assert_unharmed
from scenario import HANDSHAKE_DAEMON_YAML, STORAGE_CLASS_YAML, claim, leaks, pod, storage_class
from scenario.claims import PROPERTY, PROVISIONER
from scenario.storage import TLS, LinstorError

ENCRYPTED = {PROPERTY + TLS: "yes"}
GROUP = {"linstor.csi.linbit.com/resourceGroup": "shared"}


def test_a_claim_becomes_a_volume(storage):
    # Without this a user has LINSTOR and satellites, but no pod gets a volume.
    storage.create_cluster()
    storage.issue_certificates()
    storage.apply(storage_class("open", 3, parameters=GROUP) + claim("default/plain", "open") + pod("default/plain"))
    (volume,) = storage.wait_pods("default/plain")
    storage.bed.wait_for(storage.all_connected, 60, "its replicas to be connected and in sync")
    assert storage.plaintext([volume])
    nodes = {r["node_name"] for r in storage.linstor("GET", f"/v1/view/resources?resources={volume}")
             if "DISKLESS" not in r.get("flags", [])}
    assert len(nodes) == 3
    attachment = [a for a in storage.get("volumeattachments")["items"] if a["spec"]["source"]["persistentVolumeName"] == volume]
    assert [a["spec"]["nodeName"] for a in attachment] == [storage.claim_pod("default/plain")["spec"]["nodeName"]]


def test_linstor_knows_the_claim(storage):
    # K6: names like pvc-<uid> tell an on-call person nothing; this is where the operator reads the claim's name.
    definition = storage.linstor("GET", f"/v1/resource-definitions/{storage.volume_of('default/plain')}")
    assert definition["props"]["Aux/csi.storage.k8s.io/pvc/name"] == "plain"
    assert definition["props"]["Aux/csi.storage.k8s.io/pvc/namespace"] == "default"


def test_two_copies_are_where_the_pod_is(storage):
    # K8: the first replica belongs on the node of the pod, or every read goes over the network.
    storage.apply(storage_class("local", 2) + claim("default/local", "local") + pod("default/local"))
    (volume,) = storage.wait_pods("default/local")
    diskful = {r["node_name"] for r in storage.linstor("GET", f"/v1/view/resources?resources={volume}")
               if "DISKLESS" not in r.get("flags", [])}
    assert len(diskful) == 2 and storage.claim_pod("default/local")["spec"]["nodeName"] in diskful


def test_a_class_that_is_earlier_than_the_daemon(storage):
    # K10: its volumes are made, cannot connect, and are encrypted by themselves when the daemon comes.
    bed = storage.bed
    assert yaml_parameters(STORAGE_CLASS_YAML) == ENCRYPTED  # what the guide tells a user to write
    storage.apply(storage_class("secret", 3, "Immediate", ENCRYPTED) + claim("default/early", "secret"))
    (early,) = storage.wait_bound("default/early")
    row = bed.drbd({"op": "report", "resource": early})["resources"][0]
    assert row["connections"] > 0 and row["connectedConnections"] == 0, row
    storage.apply(HANDSHAKE_DAEMON_YAML)
    bed.wait_for(lambda: storage.encrypted([early]), 150, "the early volume to be encrypted")
    assert storage.plaintext([storage.volume_of("default/plain"), storage.volume_of("default/local")])


def test_what_was_shown_as_failed_is_taken_back(storage):
    # K12: a volume that has healed by itself must not look failed for ever, nor wake anybody up.
    early = storage.volume_of("default/early")

    def nothing_failed():
        status = storage.tls_status()
        assert early not in json.dumps(status.get("failures", [])), status
        assert status.get("resources", {}).get("failed", 0) == 0, status
        return True

    storage.bed.wait_for(nothing_failed, 60, "the status to have no failure of the volume")


def test_the_class_encrypts_its_volumes_and_no_others(storage):
    # C1. Encryption per workload: the property of one class must not spill over to volumes of another.
    storage.bed.wait_for(lambda: ready_for_tls(storage) and storage.all_online(), 150, "tlshd on every node")
    storage.apply(claim("default/secret", "secret") + pod("default/secret") + claim("default/plain2", "open") +
                  pod("default/plain2"))
    secret, plain = storage.wait_pods("default/secret", "default/plain2")
    storage.bed.wait_for(lambda: storage.encrypted([secret]), 60, "the volume of the class to be encrypted")
    storage.bed.wait_for(storage.all_connected, 60, "all volumes connected")
    assert storage.plaintext([plain])
    assert not [c for volume, c in storage.acts() if volume == secret and "disconnect" in c["argv"]]
    assert_unharmed(storage)


def test_a_claim_grows(storage):
    # A full volume at night: kubectl patch has to be enough, without a pause for the pod.
    volume = storage.volume_of("default/secret")
    storage.kubectl("patch", "pvc", "secret", "--type=merge", "-p",
                    json.dumps({"spec": {"resources": {"requests": {"storage": "128Mi"}}}}))
    storage.bed.wait_for(lambda: storage.claim("default/secret")["status"]["capacity"]["storage"] == "128Mi", 60,
                         "the claim to be larger")
    (definition,) = storage.linstor("GET", f"/v1/resource-definitions/{volume}/volume-definitions")
    assert definition["size_kib"] == 128 * 1024
    assert storage.get("pv", volume)["spec"]["capacity"]["storage"] == "128Mi"
    storage.bed.wait_for(lambda: storage.encrypted([volume]), 60, "the larger volume to be encrypted as before")
    assert_unharmed(storage)


def migration(storage, policy):
    storage.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p",
                    json.dumps({"spec": {"replicationTLS": {"migration": {"policy": policy}}}}))


def test_a_class_that_gets_the_parameter_moves_its_old_volumes(storage):
    # K11: the driver writes the value of the class to the group of volumes that are connected. Unless they are pinned
    # before, LINSTOR tells it to all of them at once, fails, and so does the claim. They move as the operator moves them:
    # later here, because the adjust of a volume that is being moved may fail as well.
    bed = storage.bed
    old = [storage.volume_of("default/plain"), storage.volume_of("default/plain2")]
    storage.kubectl("delete", "storageclass", "open")  # its parameters cannot be changed
    bed.drbd({"op": "report", "reset": True})
    migration(storage, "Paused")
    storage.apply(storage_class("open", 3, parameters={**GROUP, **ENCRYPTED}))
    bed.wait_for(lambda: all(pins(storage, volume) == {"no"} for volume in old), 60, "the old volumes to be pinned")
    assert storage.plaintext(old)
    storage.apply(claim("default/late", "open") + pod("default/late"))
    (late,) = storage.wait_pods("default/late")
    events = storage.get("-n", "default", "events", "--field-selector=involvedObject.name=late")["items"]
    assert not [event["message"] for event in events if event["reason"] == "ProvisioningFailed"]
    bed.wait_for(lambda: storage.encrypted([late]), 60, "the new volume to be encrypted")
    assert storage.plaintext(old)
    migration(storage, "Automatic")
    bed.wait_for(lambda: storage.encrypted(old), 150, "the old volumes of the group to be encrypted")
    bed.wait_for(storage.all_connected, 60, "all volumes connected")
    assert storage.plaintext([storage.volume_of("default/local")])
    assert_unharmed(storage)
    bed.wait_for(lambda: not any(pins(storage, volume) for volume in old), 60, "the pins to be gone")


def test_what_is_said_of_a_volume_names_its_claim(storage):
    # K6: whoever is woken up knows shop/orders, and not pvc-<uid>.
    moved = storage.volume_of("default/plain")
    said = [event["message"] for event in storage.get("-n", "default", "events")["items"] if moved in event["message"]]
    assert any("(claim default/plain)" in message for message in said), said
    lines = [line for line in storage.operator_metrics().splitlines() if f'resource="{moved}"' in line]
    assert lines and all('claim_namespace="default"' in line and 'persistentvolumeclaim="plain"' in line for line in lines)


def test_a_secret_in_the_open_is_found(storage):
    # Every module ends with this search (conftest.py): one that finds nothing would promise something.
    shared = next(text for text, what in leaks.secrets_of(storage).items() if what.startswith("DRBD's shared secret"))
    key = next(text for text, what in leaks.secrets_of(storage).items() if what.startswith("tls.key"))
    storage.kubectl("create", "configmap", "careless", f"--from-literal=a={shared}", f"--from-literal=b={key}")
    try:
        assert len([line for line in leaks.leaks(storage) if "careless" in line]) == 2
    finally:
        storage.kubectl("delete", "configmap", "careless")


def test_a_deleted_claim_leaves_nothing_in_linstor(storage):
    # Space that nobody can see is space that somebody buys again.
    resource = storage.volume_of("default/secret")
    group = storage.linstor("GET", f"/v1/resource-definitions/{resource}")["resource_group_name"]
    early = storage.volume_of("default/early")
    storage.volumes = [volume for volume in storage.volumes if volume.claim != "default/secret"]
    storage.kubectl("delete", "pod/secret", "pvc/secret", "pvc/early")
    storage.bed.wait_for(lambda: not {resource, early} & set(storage.claims()), 90, "the PersistentVolumes to be gone")
    left = {d["name"] for d in storage.linstor("GET", "/v1/resource-definitions")}
    assert not {resource, early} & left
    try:
        storage.linstor("GET", f"/v1/resource-groups/{group}")
        raise AssertionError(f"the group {group} of no volume is still there")
    except LinstorError as error:
        assert error.status == 404
    assert storage.linstor("GET", "/v1/resource-groups/shared")["name"] == "shared"
    storage.bed.wait_for(lambda: resource not in json.dumps(storage.tls_status()), 30, "the status to forget the volume")


def pins(storage, volume):
    """The values of the property that LINSTOR has for a volume alone: on its definition and on its connections."""
    path = f"/v1/resource-definitions/{volume}"
    owners = [storage.linstor("GET", path), *storage.linstor("GET", path + "/resource-connections")]
    return {owner["props"][TLS] for owner in owners if TLS in owner.get("props", {})}


def yaml_parameters(text):
    document = yaml.safe_load(text)
    assert document["provisioner"] == PROVISIONER
    return document["parameters"]


def ready_for_tls(storage):
    conditions = [storage.condition(satellite, "ReplicationTLSReady")
                  for satellite in storage.get("linstorsatellites")["items"]]
    return len(conditions) == len(storage.bed.nodes) and all(c and c["status"] == "True" for c in conditions)
