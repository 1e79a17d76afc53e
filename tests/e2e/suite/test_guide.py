"""The how-to "TLS for DRBD replication", command by command, on a cluster whose volumes exist already.

The tests of this module run in order and build on each other, as a person follows the guide.
"""
import re

from conftest import assert_unharmed
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML, NAMESPACE, claim, pod, storage_class
from scenario.storage import TLS

TLS_STAT_LINES = ["TlsCurrTxSw", "TlsCurrRxSw", "TlsCurrTxDevice", "TlsCurrRxDevice", "TlsTxSw", "TlsRxSw",
                  "TlsTxDevice", "TlsRxDevice", "TlsDecryptError", "TlsRxDeviceResync", "TlsDecryptRetry",
                  "TlsRxNoPadViolation"]


def test_prerequisite_operator_version(volumes):
    # The guide's first command finds the operator by its label and container name.
    out = volumes.kubectl(
        "-n", NAMESPACE, "get", "deployments", "-l", "app.kubernetes.io/component=piraeus-operator",
        '-ojsonpath={.items[*].spec.template.spec.containers[?(@.name=="manager")].image}{"\\n"}')
    assert re.match(r"\S+:\S+$", out.strip())


def test_prerequisite_drbd_version(volumes):
    # The guide's loop over satellite pods; without it a user cannot see an unfit node.
    names = volumes.kubectl(
        "-n", NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/component=linstor-satellite",
        '-ojsonpath={range .items[*]}{.metadata.name}{"\\n"}{end}').split()
    assert len(names) == len(volumes.bed.nodes)
    for name in names:
        out = volumes.kubectl("-n", NAMESPACE, "exec", name, "--", "head", "-1", "/proc/drbd")
        assert re.match(r"version: 9\.\d+\.\d+ \(api:\d+/proto:\d+-\d+\)", out)


def test_handshake_daemon_starts(volumes):
    # tlsHandshakeDaemon: true adds the container ktls-utils to every satellite; its log says what runs.
    volumes.apply(HANDSHAKE_DAEMON_YAML)

    def logs():
        out = volumes.kubectl("-n", NAMESPACE, "logs", "-l", "app.kubernetes.io/component=linstor-satellite",
                                  "-c", "ktls-utils", check=False)
        return len(re.findall(r"^tlshd\[1\]: Built from ktls-utils", out, re.M)) == len(volumes.bed.nodes)

    volumes.bed.wait_for(logs, 60, "tlshd's first log line on every node")
    assert volumes.plaintext()


def test_property_encrypts_existing_volumes(volumes):
    # The point of it all: the volumes that exist become encrypted while they are written to.
    volumes.apply(CLUSTER_TLS_YAML)
    volumes.bed.wait_for(lambda: volumes.encrypted() and volumes.migration_complete(), 120,
                         "every connection to be encrypted")
    assert_unharmed(volumes)
    volumes.bed.wait_for(lambda: volumes.condition(volumes.cluster(), "ReplicationEncrypted")["status"] == "True", 30,
                         "the condition to say so")


def values_below_the_cluster(storage):
    """Where LINSTOR has a value of its own for a definition or for a connection: [(resource, value)]."""
    found = []
    for definition in storage.linstor("GET", "/v1/resource-definitions"):
        path = f"/v1/resource-definitions/{definition['name']}/resource-connections"
        for owner in [definition, *storage.linstor("GET", path)]:
            if TLS in owner.get("props", {}):
                found.append((definition["name"], owner["props"][TLS]))
    return found


def test_linstor_carries_the_value_without_leftovers(volumes):
    # Afterwards LINSTOR must not hold pins or pair properties that contradict or outlive the cluster's value.
    props = volumes.linstor("GET", "/v1/controller/properties")
    assert props[TLS] == "yes"
    assert values_below_the_cluster(volumes) == []
    # The same look does find one that somebody sets by hand; it says what runs already, so nothing changes.
    path = "/v1/resource-definitions/pvc-a/resource-connections/" + "/".join(volumes.bed.nodes[:2])
    volumes.linstor("PUT", path, {"override_props": {TLS: "yes"}})
    assert values_below_the_cluster(volumes) == [("pvc-a", "yes")]
    volumes.linstor("PUT", path, {"delete_props": [TLS]})
    assert values_below_the_cluster(volumes) == []
    assert volumes.encrypted()


def test_confirm_handshakes_in_the_log(volumes):
    out = volumes.kubectl("-n", NAMESPACE, "logs", "-l", "app.kubernetes.io/component=linstor-satellite",
                              "-c", "ktls-utils", "--tail=-1")
    for node in volumes.bed.nodes:
        assert re.search(rf"Handshake with '?{re.escape(node)}'? \([0-9.]+\) (was successful|succeeded)", out), out[-2000:]


def test_confirm_counters_on_every_node(volumes):
    # "You should see an equal, nonzero number": 2 sockets for each of the node's connections.
    for node in volumes.bed.nodes:
        lines = volumes.exec(node, "cat", "/proc/net/tls_stat").splitlines()
        assert [line.split()[0] for line in lines if line] == TLS_STAT_LINES
        values = {line.split()[0]: int(line.split()[1]) for line in lines if line}
        assert values["TlsCurrTxSw"] == values["TlsCurrRxSw"] > 0
        assert values["TlsCurrTxSw"] == 2 * len(volumes.volumes) * (len(volumes.bed.nodes) - 1)


def test_new_volume_is_encrypted_from_birth(volumes):
    # Once the property is set, nobody should have to migrate a volume claimed later.
    volumes.apply(storage_class("replicated", 3) + claim("default/new", "replicated") + pod("default/new"))
    (new,) = volumes.wait_pods("default/new")
    volumes.bed.wait_for(lambda: volumes.encrypted([new]), 60, "the new volume to be encrypted")
    assert not [c for volume, c in volumes.acts() if volume == new and "disconnect" in c["argv"]]


def test_restart_of_linstors_controller_changes_nothing(volumes):
    # LINSTOR is upgraded some day: its satellites connect anew, and each looks at all resources again.
    bed = volumes.bed
    volumes.trace(reset=True)
    volumes.kubectl("-n", NAMESPACE, "delete", "pod", "-l", "app.kubernetes.io/component=linstor-controller")

    def looked():
        return {c["node"] for c in volumes.trace() if c["argv"][1:2] == ["sh-list-adjustable"]}

    bed.wait_for(lambda: looked() == set(bed.nodes), 60, "every satellite to have gone through all resources")
    bed.wait_for(volumes.all_online, 60, "all satellites ONLINE in LINSTOR")
    assert volumes.encrypted()
    assert_unharmed(volumes)


def test_direction_is_free(volumes):
    # A user who must go back to plaintext (a performance problem) gets it without an outage as well.
    volumes.apply(CLUSTER_TLS_YAML.replace('"yes"', '"no"'))
    volumes.bed.wait_for(lambda: volumes.plaintext() and volumes.tls_status().get("phase") in ("Idle", "Complete"),
                         120, "plaintext everywhere")
    volumes.bed.wait_for(volumes.all_connected, 60, "all volumes connected")
    assert_unharmed(volumes)
