"""docs/how-to/replication-tls.md, block by block, on a cluster whose volumes exist already and that knows no TLS at all.

The tests of this module run in order and build on each other, as a person follows the guide. Its drop-in way (InternalTLS) is
what most other modules run: the documents of the Piraeus Operator, in scenario/guide.py.
"""
import os
import pathlib
import re
import subprocess

import pytest
import yaml

from conftest import NODES, assert_unharmed, create_volumes
from scenario import NAMESPACE, claim, documents, pod, storage_class
from scenario.storage import CLUSTER, ROOT, TLS

GUIDE = ROOT / "docs/how-to/replication-tls.md"
TLS_STAT_LINES = ["TlsCurrTxSw", "TlsCurrRxSw", "TlsCurrTxDevice", "TlsCurrRxDevice", "TlsTxSw", "TlsRxSw",
                  "TlsTxDevice", "TlsRxDevice", "TlsDecryptError", "TlsRxDeviceResync", "TlsDecryptRetry",
                  "TlsRxNoPadViolation"]


@pytest.fixture(scope="module")
def volumes(storage):
    storage.create_cluster({**CLUSTER, "spec": {}})
    create_volumes(storage)
    return storage


@pytest.fixture(scope="module")
def shell(storage, tmp_path_factory):
    """Runs a block of commands in one folder, as administrator; what they said."""
    folder, bed = tmp_path_factory.mktemp("guide"), storage.bed

    def run(name):
        commands = documents.block(GUIDE, name)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=folder, capture_output=True, text=True, timeout=180,
                              env={"PATH": f"{bed.tools}:{os.defpath}", "KUBECONFIG": str(bed.kubeconfig), "HOME": str(folder)})
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout
    return run


def apply(storage, name, *changes):
    text = documents.block(GUIDE, name)
    for old, new in changes:
        assert old in text, text
        text = text.replace(old, new)
    storage.apply(text)


def test_every_block_is_run_or_says_why_not():
    assert len(documents.blocks(GUIDE)) > 8
    assert documents.unmarked(GUIDE, pathlib.Path(__file__)) == []


def test_prerequisite_operator_version(volumes):
    # The first command of the Piraeus Operator's guide finds the operator by its label and container name.
    out = volumes.kubectl(
        "-n", NAMESPACE, "get", "deployments", "-l", "app.kubernetes.io/component=piraeus-operator",
        '-ojsonpath={.items[*].spec.template.spec.containers[?(@.name=="manager")].image}{"\\n"}')
    assert re.match(r"\S+:\S+$", out.strip())


def test_prerequisite_versions(volumes, shell):
    # The loop over satellite pods; without it a user cannot see an unfit node.
    lines = shell("before").splitlines()
    assert len(lines) == len(NODES)
    for line in lines:
        assert re.match(r"pod/\S+: version: 9\.\d+\.\d+ \(api:\d+/proto:\d+-\d+\), DRBDADM_VERSION=9\.\d+", line), line


def test_certificates(volumes, shell):
    shell("certificates")
    secrets = {s["metadata"]["name"] for s in volumes.get("-n", NAMESPACE, "secrets")["items"]}
    assert secrets >= {"linstor-controller-internal-tls", *(f"{node}-tls" for node in NODES)}


def test_handshake_daemon_starts(volumes, shell):
    # tlsHandshakeDaemon: true adds the container ktls-utils to every satellite; its log says what runs.
    apply(volumes, "daemon")
    bed = volumes.bed

    def logs():
        out = volumes.kubectl("-n", NAMESPACE, "logs", "-l", "app.kubernetes.io/component=linstor-satellite",
                                  "-c", "ktls-utils", check=False)
        return len(re.findall(r"^tlshd\[1\]: Built from ktls-utils", out, re.M)) == len(NODES)

    bed.wait_for(logs, 120, "tlshd's first log line on every node")
    bed.wait_for(volumes.all_online, 60, "all satellites ONLINE in LINSTOR, over TLS")
    assert volumes.plaintext()
    # REVIEW-2 S3: replication has keys of its own, and the satellites' keys are servers' only.
    for node in NODES:
        containers = volumes.get("-n", NAMESPACE, "pod", volumes.satellite_pod(node))["spec"]["containers"]
        mounts = {c["name"]: [m["name"] for m in c.get("volumeMounts", [])] for c in containers}
        assert [name for name, list_ in mounts.items() if "replication-tls" in list_] == ["ktls-utils"]
        assert "internal-tls" not in mounts["ktls-utils"]


def test_every_node_gets_ready(volumes, shell):
    # What the guide has people wait for, before anybody has asked for TLS.
    def rows():
        return [line.split(None, 2) for line in shell("ready").splitlines()[1:]]

    volumes.bed.wait_for(lambda: [row[:2] for row in rows()] == [[node, "True"] for node in NODES], 60, "every node to be ready")


def test_property_encrypts_existing_volumes(volumes, shell):
    # The point of it all: the volumes that exist become encrypted while they are written to.
    apply(volumes, "property")
    volumes.bed.wait_for(lambda: volumes.encrypted() and volumes.migration_complete(), 120,
                         "every connection to be encrypted")
    assert_unharmed(volumes)
    volumes.bed.wait_for(lambda: volumes.condition(volumes.cluster(), "ReplicationEncrypted")["status"] == "True", 30,
                         "the condition to say so")
    said = shell("watch")
    assert '"phase":"Complete"' in said and "MigrationDone" in said, said


def test_an_exemption_is_understood(volumes):
    # What it does is shown in test_floor.py.
    patch = documents.block(GUIDE, "exemption")
    assert yaml.safe_load(patch)["spec"]["replicationTLS"]["exemptions"]
    volumes.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "--dry-run=server", "-p", patch)


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
    path = "/v1/resource-definitions/pvc-a/resource-connections/" + "/".join(NODES[:2])
    volumes.linstor("PUT", path, {"override_props": {TLS: "yes"}})
    assert values_below_the_cluster(volumes) == [("pvc-a", "yes")]
    volumes.linstor("PUT", path, {"delete_props": [TLS]})
    assert values_below_the_cluster(volumes) == []
    assert volumes.encrypted()


def test_confirm(volumes, shell):
    out = shell("confirm")
    for node in NODES:
        assert re.search(rf"Handshake with '?{re.escape(node)}'? \([0-9.]+\) (was successful|succeeded)", out), out[-2000:]
    # Equal and nonzero numbers: two sockets for each of the node's connections.
    stats = re.findall(r"^(Tls\w+)\s+(\d+)$", out, re.M)
    assert [name for name, _ in stats] == TLS_STAT_LINES * len(NODES)
    for counter in ("TlsCurrTxSw", "TlsCurrRxSw"):
        values = [int(value) for name, value in stats if name == counter]
        assert values == [2 * len(volumes.volumes) * (len(NODES) - 1)] * len(NODES)
    assert out.count("tcp-ulp-tls") == sum(values)


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
    apply(volumes, "property", ('"yes"', '"no"'))
    volumes.bed.wait_for(lambda: volumes.plaintext() and volumes.tls_status().get("phase") in ("Idle", "Complete"),
                         120, "plaintext everywhere")
    volumes.bed.wait_for(volumes.all_connected, 60, "all volumes connected")
    assert_unharmed(volumes)
