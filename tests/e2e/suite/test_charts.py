"""docs/how-to/install-helm.md, command by command: install, upgrade, roll back, remove, and from other installations.

The tests of this module run in order and build on each other, on one bed. The pods of the Deployment are those of fake
nodes: the operator runs beside them as a process with the rights that the chart gives. The charts without a cluster are in
test_chart_values.py.
"""
import json
import os
import shutil
import subprocess

import pytest
import yaml
from conftest import NODES, assert_unharmed
from scenario import Storage, charts
from scenario.storage import NAMESPACE, SERVICE_ACCOUNT, TLS
from testbed import TestBed

DEFINITIONS = [f"{kind}.piraeus.io" for kind in (
    "linstorclusters", "linstornodeconnections", "linstorsatelliteconfigurations", "linstorsatellites")]
ENFORCE = "pod-security.kubernetes.io/enforce"

# Values that render as much as there is.
FULL_OPERATOR = {
    "registry": "registry.example.com/bw", "image": {"digest": "sha256:" + "1" * 64, "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "pull"}], "agent": {"image": {"digest": "sha256:" + "2" * 64}},
    "components": {"imagePullSecret": "pull", "images": [{"base": "m", "components": {"ktls-utils": {"image": "t", "tag": "1"}}}]},
    "replicas": 3, "serviceAccount": {"annotations": {"a": "b"}},
    "metrics": {"authentication": "none"},
    "webhook": {"certificate": "CertManager", "issuerRef": {"name": "mine", "kind": "ClusterIssuer", "group": "cert-manager.io"}},
    "networkPolicies": {"enabled": True, "satellites": True, "nodeCIDRs": ["10.0.0.0/16", "fd00::/64"]},
    "extraArgs": ["--log-level=debug"], "extraEnv": [{"name": "RELATED_IMAGE_KTLS_UTILS", "value": "m/t:1"}],
    "commonLabels": {"team": "storage"}, "podLabels": {"a": "b"}, "podAnnotations": {"a": "b"},
    "runAsUser": 1000700000, "runAsGroup": 1000700000, "nodeSelector": {"kubernetes.io/os": "linux"},
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}}]}},
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
}
MINIMAL_OPERATOR = {
    "replicas": 1, "agent": {"enabled": False}, "podDisruptionBudget": {"create": False}, "crds": {"install": False},
    "rbac": {"create": False, "userRoles": False}, "webhook": {"enabled": False}, "metrics": {"enabled": False},
    "runAsUser": None, "runAsGroup": None, "resources": None,
    "priorityClassName": "", "tolerations": [], "topologySpreadConstraints": [],
}
FULL_CLUSTER = {
    "commonLabels": {"team": "storage"},
    "linstorCluster": {"annotations": {"a": "b"}, "spec": {
        "repository": "mirror.example.com", "properties": [{"name": "DrbdOptions/Net/max-buffers", "value": "8000"}],
        "nodeSelector": {"kubernetes.io/os": "linux"}, "csiController": {"replicas": 2}, "replicationTLS": {"minimumVersion": "TLS1.3"}}},
    "linstorSatelliteConfigurations": [{"name": "pools", "labels": {"a": "b"}, "annotations": {"a": "b"}, "spec": {
        "nodeSelector": {"kubernetes.io/os": "linux"}, "deletionPolicy": "Retain", "podTemplate": {"spec": {"hostNetwork": True}},
        "storagePools": [{"name": "pool1", "lvmThinPool": {"volumeGroup": "vg", "thinPool": "thin"}}],
        "properties": [{"name": "Aux/rack", "valueFrom": {"nodeFieldRef": "metadata.labels['rack']"}}]}}],
    "linstorNodeConnections": [{"name": "wan", "spec": {
        "selector": [{"matchLabels": [{"key": "zone", "op": "NotSame"}]}], "paths": [{"name": "p", "interface": "data"}],
        "properties": [{"name": "DrbdOptions/Net/protocol", "value": "A"}]}}],
    "storageClasses": [{"name": "replicated", "default": True, "annotations": {"a": "b"}, "reclaimPolicy": "Retain",
                        "volumeBindingMode": "Immediate", "allowVolumeExpansion": False, "mountOptions": ["noatime"],
                        "parameters": {"linstor.csi.linbit.com/placementCount": "2"},
                        "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}]}],
    "volumeSnapshotClasses": [{"name": "snapshots", "default": True, "deletionPolicy": "Retain", "parameters": {"a": "b"}}],
    "encryption": {"enabled": True, "storageClass": {"storagePool": "pool1", "parameters": {"csi.storage.k8s.io/fstype": "xfs"}}},
}
# In the cluster with external-snapshotter; here only what the API server needs to check the class.
SNAPSHOT_CLASS_DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "volumesnapshotclasses.snapshot.storage.k8s.io",
                 "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for a test"}},
    "spec": {"group": "snapshot.storage.k8s.io", "scope": "Cluster",
             "names": {"plural": "volumesnapshotclasses", "singular": "volumesnapshotclass", "kind": "VolumeSnapshotClass"},
             "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                 "type": "object", "required": ["driver", "deletionPolicy"], "properties": {
                     "driver": {"type": "string"}, "deletionPolicy": {"type": "string", "enum": ["Delete", "Retain"]},
                     "parameters": {"type": "object", "additionalProperties": {"type": "string"}}}}}}]},
}


class Site:
    """A cluster and somebody with the guide before him, in a folder of his own."""

    def __init__(self, bed, folder):
        self.bed, self.folder = bed, folder
        self.storage = Storage(bed, ["--webhook-secret-name=breakwater-webhook-certificate"])
        (folder / "charts").symlink_to(charts.ROOT / "charts")
        tools = os.path.dirname(charts.helm_program())
        self.environment = {"PATH": f"{bed.tools}:{tools}:/usr/bin:/bin", "KUBECONFIG": str(bed.kubeconfig), "HOME": str(folder)}

    def run(self, commands):
        """Commands as the guide has them; what they said."""
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def follow(self, name, *changes):
        """A block of the guide, with (old, new) pieces of its text."""
        commands = charts.guide(name)
        for old, new in changes:
            assert old in commands, commands
            commands = commands.replace(old, new)
        return self.run(commands)

    def get(self, *what):
        return self.storage.get(*what)

    def exists(self, *what):
        return self.bed.kubectl("get", *what, check=False).returncode == 0

    def deployment(self):
        return self.get("-n", NAMESPACE, "deployment", SERVICE_ACCOUNT)

    def arguments(self):
        return self.deployment()["spec"]["template"]["spec"]["containers"][0]["args"]

    def definition_knows(self, field):
        version = self.get("crd", "linstorclusters.piraeus.io")["spec"]["versions"][0]
        return field in version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]

    def start_operator(self):
        """With the account of today: what was uninstalled took the old one with it."""
        self.storage.operator_kubeconfig = self.bed.create_operator_kubeconfig(NAMESPACE, SERVICE_ACCOUNT)
        self.storage.start_operator()
        self.bed.wait_for(lambda: "breakwater_leader 1" in self.storage.operator_metrics(), 60, "an operator that leads")

    def authority(self):
        """What the operator wrote into the configuration of its webhook."""
        webhooks = self.get("validatingwebhookconfiguration", "piraeus-operator-validating-webhook-configuration")["webhooks"]
        return webhooks[0]["clientConfig"].get("caBundle", "")

    def dry_run(self, chart, values, namespace):
        done = self.bed.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-",
                                input=charts.render(chart, values, namespace=namespace))
        assert "Warning" not in done.stderr, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with TestBed(nodes=NODES) as bed:
        bed.start_certmanager()
        yield Site(bed, tmp_path_factory.mktemp("site"))


def test_api_server_accepts_every_object_of_the_operator(site):
    # In a namespace that lets no pod in that is not restricted, and that warns of Deployments with such pods.
    site.bed.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strict", "labels": {
        ENFORCE: "restricted", "pod-security.kubernetes.io/warn": "restricted"}}})
    for values in ({}, FULL_OPERATOR, MINIMAL_OPERATOR):
        assert f"deployment.apps/{SERVICE_ACCOUNT} serverside-applied" in site.dry_run(charts.OPERATOR, values, "strict")


def test_install(site):
    said = site.follow("install")
    assert "kubectl label namespace" not in said  # it is done, so it is no next step any more
    assert "charts/linstor-cluster" in said
    deployment = site.deployment()
    assert deployment["status"]["readyReplicas"] == 2
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].startswith("registry.example.com/breakwater/")
    pods = site.get("-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/component=piraeus-operator")["items"]
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2


def test_operator_runs_under_the_restricted_profile(site):
    site.run(f"kubectl label namespace {NAMESPACE} --overwrite {ENFORCE}=restricted")
    said = site.run(f"kubectl -n {NAMESPACE} rollout restart deployment/{SERVICE_ACCOUNT}\n"
                    f"kubectl -n {NAMESPACE} rollout status deployment/{SERVICE_ACCOUNT} --timeout=60s\n"
                    f"helm get notes breakwater -n {NAMESPACE}")
    assert "successfully rolled out" in said
    said = site.run("helm upgrade breakwater charts/breakwater -n piraeus-datastore -f breakwater.yaml --dry-run=server")
    command = f"kubectl label namespace {NAMESPACE} {ENFORCE}=privileged --overwrite"
    assert command in said  # satellites would be refused: the notes give the command
    site.run(command)


def test_upgrade_brings_new_definitions(site):
    older = site.folder / "older"
    shutil.copytree(charts.OPERATOR, older)
    definition = older / "templates/crds/linstorclusters.yaml"
    text = definition.read_text()
    assert "              maxConcurrentEvacuations:\n" in text
    definition.write_text(text.replace("              maxConcurrentEvacuations:\n", "              ofAnOlderVersion:\n"))
    site.run("helm upgrade breakwater ./older -n piraeus-datastore -f breakwater.yaml --wait")
    assert not site.definition_knows("maxConcurrentEvacuations")
    site.follow("upgrade")
    assert site.definition_knows("maxConcurrentEvacuations") and not site.definition_knows("ofAnOlderVersion")


def test_api_server_accepts_every_object_of_the_cluster(site):
    site.bed.apply(SNAPSHOT_CLASS_DEFINITION)
    site.run("kubectl wait --for=condition=Established crd/volumesnapshotclasses.snapshot.storage.k8s.io")
    for values in ({}, FULL_CLUSTER, {"keep": False, "encryption": {"enabled": True, "certificates": "Secrets"}}):
        assert "linstorcluster.piraeus.io/linstorcluster serverside-applied" in site.dry_run(charts.CLUSTER, values, NAMESPACE)


def test_encryption_in_one_line(site):
    """From the values of the guide to a volume whose connections are all encrypted."""
    bed, storage = site.bed, site.storage
    site.start_operator()
    # LINSTOR's simulator speaks no TLS; what apiTLS asks for is in test_chart_values.py and in the operator's own tests.
    said = site.follow("cluster", ("-f cluster.yaml", "-f cluster.yaml --set encryption.apiTLS=false"))
    assert "ReplicationEncrypted" in said or "Encrypted is what has a proof" in said
    bed.wait_for(storage.all_online, 90, "all satellites ONLINE in LINSTOR")
    bed.wait_for(storage.all_pools, 60, "the storage pool on every node")
    site.follow("available")
    # As the CSI driver makes a volume of the class.
    parameters = site.get("storageclass", "linstor-encrypted")["parameters"]
    copies = int(parameters["linstor.csi.linbit.com/placementCount"])
    storage.create_group("encrypted", copies, {TLS: parameters[f"property.linstor.csi.linbit.com/{TLS}"]})
    storage.create_volume("pvc-a", "encrypted", copies)
    bed.wait_for(lambda: storage.encrypted() and storage.migration_complete(), 90, "every connection encrypted, with proof")
    bed.wait_for(lambda: storage.condition(storage.cluster(), "ReplicationEncrypted").get("status") == "True", 30, "the condition")
    assert storage.condition(storage.cluster(), "ReplicationCertificates")["reason"] == "Managed"
    assert not [c for c in storage.trace() if "disconnect" in c["argv"]]  # encrypted from birth


def test_change_and_roll_back(site):
    before = site.get("linstorcluster", "linstorcluster")["metadata"]
    authority = site.bed.wait_for(site.authority, 30, "the operator's authority in its webhook configuration")
    site.follow("change")
    assert "--log-level=debug" in site.arguments()
    site.follow("rollback")
    assert "--log-level=debug" not in site.arguments()
    assert site.authority() == authority  # an upgrade that takes it out turns the webhook off
    after = site.get("linstorcluster", "linstorcluster")["metadata"]
    assert (before["uid"], before["generation"]) == (after["uid"], after["generation"])


def test_the_readme_has_the_same(site):
    """Charts, flags and values of the README's Helm block; the releases are there already, so as upgrades that are tried only."""
    (block,) = [block for block in (charts.ROOT / "README.md").read_text().split("```") if "helm install" in block]
    commands = block[block.index("helm install"):].replace("helm install", "helm upgrade --dry-run=server")
    said = site.run(commands)
    assert "image: registry.example.com/breakwater/breakwater-operator:" in said and "tlsHandshakeDaemon: true" in said


def assert_storage_is_there(site, uid):
    """Definitions, the same LinstorCluster, its satellites, and an encrypted volume that is written to."""
    for definition in DEFINITIONS:
        site.get("crd", definition)
    assert site.get("linstorcluster", "linstorcluster")["metadata"]["uid"] == uid
    assert len(site.get("linstorsatellites")["items"]) == len(NODES)
    assert site.storage.encrypted()
    assert_unharmed(site.storage)


def test_uninstall_leaves_the_storage(site):
    uid = site.get("linstorcluster", "linstorcluster")["metadata"]["uid"]
    pods = [site.storage.satellite_pod(node) for node in NODES]
    site.bed.kill_operator()  # its pods are gone
    site.follow("uninstall")
    assert not site.exists("-n", NAMESPACE, "deployment", SERVICE_ACCOUNT)
    assert not site.exists("validatingadmissionpolicy", "rights-to-pass-on.breakwater.io")
    assert_storage_is_there(site, uid)
    site.run("helm uninstall linstor-cluster -n piraeus-datastore")  # by mistake: this one takes nothing away either
    assert_storage_is_there(site, uid)
    assert site.exists("storageclass", "linstor-encrypted") and site.exists("linstorsatelliteconfiguration", "linstor-encryption")
    assert [site.storage.satellite_pod(node) for node in NODES] == pods
    site.follow("cluster", ("-f cluster.yaml", "-f cluster.yaml --set encryption.apiTLS=false"))


def test_from_kustomize(site):
    uid = site.get("linstorcluster", "linstorcluster")["metadata"]["uid"]
    site.bed.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(charts.ROOT / "deploy/default"))
    deployment = site.deployment()["metadata"]["uid"]
    site.follow("from-kustomize")
    assert site.deployment()["metadata"]["uid"] == deployment  # not one moment without an operator
    site.start_operator()
    assert_storage_is_there(site, uid)
    site.bed.kill_operator()
    site.run("helm uninstall breakwater -n piraeus-datastore --wait")


def write_piraeus_chart(folder):
    """A chart with the objects of Piraeus' own, as far as they meet ours: names, labels and selector are its."""
    labels = {"app.kubernetes.io/component": "piraeus-operator", "app.kubernetes.io/name": "piraeus-datastore",
              "app.kubernetes.io/instance": "piraeus-operator"}
    metadata = {"namespace": NAMESPACE, "labels": labels}
    webhooks = [{"name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 2,
                 "clientConfig": {"service": {"name": "piraeus-operator-webhook-service", "namespace": NAMESPACE, "path": "/x"}},
                 "rules": [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}]}
                for name, group, resource in (("vlinstorcluster.kb.io", "piraeus.io", "linstorclusters"),
                                              ("vstorageclass.kb.io", "storage.k8s.io", "storageclasses"))]
    documents = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "piraeus-operator", **metadata}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "piraeus-operator-webhook-service", **metadata},
         "spec": {"selector": labels, "ports": [{"port": 443, "targetPort": 9443}]}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "piraeus-operator-image-config", **metadata},
         "data": {"0_piraeus_datastore_images.yaml": "base: quay.io/piraeusdatastore\ncomponents: {}\n"}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
         "metadata": {"name": "piraeus-operator-validating-webhook-configuration", "labels": labels}, "webhooks": webhooks},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": SERVICE_ACCOUNT, **metadata}, "spec": {
            "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
                "serviceAccountName": "piraeus-operator", "containers": [{
                    "name": "manager", "image": "quay.io/piraeusdatastore/piraeus-operator:v2", "command": ["/manager"]}]}}}},
        *[yaml.safe_load((charts.ROOT / f"crds/piraeus.io_{name.split('.')[0]}.yaml").read_text()) for name in DEFINITIONS],
    ]
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: piraeus\nversion: 2.10.2\n")
    (folder / "templates/all.yaml").write_text(yaml.safe_dump_all(documents))


def test_from_the_chart_of_the_piraeus_operator(site):
    write_piraeus_chart(site.folder / "piraeus")
    site.run("helm install piraeus-operator ./piraeus -n piraeus-datastore --take-ownership")
    site.bed.wait_for(lambda: "vstorageclass.kb.io" in site.bed.kubectl(
        "annotate", "storageclass", "linstor-encrypted", "probe=1", "--dry-run=server", check=False).stderr, 20, "its webhook to refuse")
    images = "1_images_in_use.yaml"
    site.bed.kubectl("-n", NAMESPACE, "patch", "configmap", "piraeus-operator-image-config", "--type=merge", "-p",
                     json.dumps({"data": {images: "components: {}\n"}}))
    uid = site.get("linstorcluster", "linstorcluster")["metadata"]["uid"]
    site.follow("piraeus-webhook")
    site.follow("piraeus-deployment")
    site.follow("piraeus-upgrade")
    assert site.deployment()["spec"]["template"]["spec"]["containers"][0].get("command") is None
    assert not site.exists("-n", NAMESPACE, "serviceaccount", "piraeus-operator")
    webhooks = site.get("validatingwebhookconfiguration", "piraeus-operator-validating-webhook-configuration")["webhooks"]
    assert {webhook["failurePolicy"] for webhook in webhooks} == {"Ignore"}  # and none for StorageClasses
    assert {group for webhook in webhooks for rule in webhook["rules"] for group in rule["apiGroups"]} == {"piraeus.io"}
    service = site.get("-n", NAMESPACE, "service", "piraeus-operator-webhook-service")["spec"]
    assert service["selector"] == site.deployment()["spec"]["selector"]["matchLabels"]
    data = site.get("-n", NAMESPACE, "configmap", "piraeus-operator-image-config")["data"]
    assert images in data and "0_piraeus_datastore_images.yaml" not in data  # what the user chose to keep stays
    for definition in DEFINITIONS:  # their chart would have deleted them with the release
        assert site.get("crd", definition)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    site.start_operator()
    assert_storage_is_there(site, uid)
    site.bed.wait_for(lambda: site.storage.condition(site.storage.cluster(), "Configured").get("status") == "True", 60, "Configured")


def test_remove_everything(site):
    site.storage.stop_writer(site.storage.volumes[0].name, site.storage.volumes[0].primary)
    first, last = charts.guide("remove").split("helm uninstall breakwater")
    site.run(first)
    assert not site.get("linstorsatellites")["items"]
    site.bed.kill_operator()  # what the next command does to its pods
    site.run("helm uninstall piraeus-operator" + last)
    for definition in DEFINITIONS:
        assert not site.exists("crd", definition)
    site.bed.wait_for(lambda: not site.get("-n", NAMESPACE, "deployments,daemonsets,services")["items"], 30,
                      "every workload to be collected")
