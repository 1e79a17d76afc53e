"""What the accounts of deploy/default may do, asked of a real API server: RBAC and the admission policies together.

The account of the LINSTOR controller gets the roles that the operator renders; what the real LINSTOR and its image do with
them is written beside each case. Nothing of ours runs here: requests are made in the names of the accounts.
"""
import json
import re
import urllib.parse

import pytest
from scenario.storage import NAMESPACE, ROOT, SERVICE_ACCOUNT
from testbed import TestBed, kube

LINSTOR = f"system:serviceaccount:{NAMESPACE}:linstor-controller"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
POD = "linstor-controller-7d9f-abcde"
BACKUP = f"linstor-backup-for-{POD}"


def definition(group, plural="volumes"):
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Cluster", "names": {"plural": plural, "kind": "Volume", "singular": "volume"},
                     "versions": [{"name": "v1", "served": True, "storage": True,
                                   "schema": {"openAPIV3Schema": {"type": "object"}}}]}}


def secret(name, kind="piraeus.io/linstor-backup", annotations=None):
    return {"apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations or {}}}


def lease(name):
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"holderIdentity": "me"}}


class Accounts:
    def __init__(self, bed):
        self.bed = bed

    def run(self, user, *args, document=None):
        """kubectl in the name of an account: (done, what it said)."""
        done = self.bed.kubectl("-n", NAMESPACE, "--as", user, *args, check=False,
                                input=None if document is None else json.dumps(document))
        return done.returncode == 0, done.stdout + done.stderr

    def enforced(self):
        refused = [self.run(LINSTOR, "create", "--dry-run=server", "-f", "-", document=lease("probe"))[1],
                   self.run(OPERATOR, "delete", "--dry-run=server", "crd", "volumes.example.com")[1],
                   self.exec("other", "drbd-reactor", ["true"])]
        assert all("ValidatingAdmissionPolicy" in said for said in refused), refused
        return True

    def exec(self, pod, container, argv, subresource="exec"):
        """What the API server says to the operator's request; without an upgrade it ends after admission."""
        query = urllib.parse.urlencode([("container", container), ("stdout", "true"), *(("command", word) for word in argv)])
        return self.run(OPERATOR, "get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/{subresource}?{query}")[1]

    def must(self, user, *args, document=None):
        done, said = self.run(user, *args, document=document)
        assert done, said

    def refused(self, user, *args, document=None, by="forbidden"):
        done, said = self.run(user, *args, document=document)
        assert not done and by in said.lower(), said


@pytest.fixture(scope="module")
def accounts():
    with TestBed(nodes=["node1"], simulators=False) as bed:
        bed.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy/default"))
        bed.kubectl("-n", NAMESPACE, "scale", "deployment", SERVICE_ACCOUNT, "--replicas=0")
        bed.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(
            {"apiVersion": "v1", "kind": "List", "items": [*linstor_rights(), *satellite_pods()]}))
        bed.kubectl("create", "-f", "-", input=json.dumps(definition("example.com")))
        for name in ("node1-tls", "piraeus-ca"):
            bed.kubectl("create", "-f", "-", input=json.dumps(secret(name, "Opaque")))
        found = Accounts(bed)
        # The API server needs a moment until it enforces a new policy.
        bed.wait_for(lambda: found.enforced(), 20, "the policies enforced")
        yield found


def linstor_rights():
    """Accounts and roles of the LINSTOR controller as they are rendered when it has one pod."""
    text = (ROOT / "operator/core/render/manifests/controller.yaml").read_text()
    documents = [d for d in kube.yaml.safe_load_all(text) if d["kind"] in (
        "ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")]
    for document in documents:
        if not document["kind"].startswith("Cluster"):
            document["metadata"]["namespace"] = NAMESPACE
        if document["kind"] == "Role":
            document["rules"].append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "patch"],
                                      "resourceNames": [BACKUP, f"{BACKUP}-00"]})
        for subject in document.get("subjects", []):
            subject["namespace"] = NAMESPACE
    return documents


def satellite_pods():
    containers = [{"name": name, "image": name} for name in ("linstor-satellite", "breakwater-agent", "ktls-utils", "drbd-reactor")]
    return [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE},
             "spec": {"containers": containers, "nodeName": "node1"}} for name in ("linstor-satellite.node1-x", "other")]


def test_linstor_can_do_what_it_does(accounts):
    """REVIEW-2 S5: the bounds leave room for a life: election, database, migration with its backup, upgrade."""
    accounts.must(LINSTOR, "create", "-f", "-", document=lease("linstor-controller"))
    accounts.must(LINSTOR, "get", "lease", "linstor-controller")
    taken = json.loads(accounts.bed.kubectl("-n", NAMESPACE, "get", "lease", "linstor-controller", "-o", "json").stdout)
    taken["spec"]["holderIdentity"] = "you"
    accounts.must(LINSTOR, "replace", "-f", "-", document=taken)
    accounts.must(LINSTOR, "create", "-f", "-", document=definition("internal.linstor.linbit.com"))
    accounts.must(LINSTOR, "get", "crds", "volumes.internal.linstor.linbit.com")
    accounts.must(LINSTOR, "annotate", "crd", "volumes.internal.linstor.linbit.com", "a=b")
    accounts.bed.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/volumes.internal.linstor.linbit.com")
    row = {"apiVersion": "internal.linstor.linbit.com/v1", "kind": "Volume", "metadata": {"name": "row"}}
    accounts.must(LINSTOR, "create", "-f", "-", document=row)
    accounts.must(LINSTOR, "delete", "volumes.internal.linstor.linbit.com", "row")
    done, said = accounts.run(LINSTOR, "get", "secret", BACKUP)
    assert not done and "NotFound" in said, said  # or the image would wait for ever instead of making the backup
    accounts.must(LINSTOR, "create", "secret", "generic", BACKUP, "--type", "piraeus.io/linstor-backup")
    accounts.must(LINSTOR, "create", "secret", "generic", f"{BACKUP}-00", "--type", "piraeus.io/linstor-backup-part")
    accounts.must(LINSTOR, "label", "secret", BACKUP, f"piraeus.io/backup={BACKUP}")
    accounts.must(LINSTOR, "annotate", "secrets", BACKUP, "piraeus.io/linstor-version=1", "piraeus.io/backup-version=2")
    accounts.must(LINSTOR, "delete", "crd", "volumes.internal.linstor.linbit.com")


@pytest.mark.parametrize("what", ["node1-tls", "piraeus-ca"])
def test_linstor_reads_no_key(accounts, what):
    """REVIEW-2 S5: whoever owns the LINSTOR controller does not own the nodes' keys and the CA."""
    accounts.refused(LINSTOR, "get", "secret", what)
    accounts.refused(LINSTOR, "annotate", "secret", what, "a=b")
    accounts.refused(LINSTOR, "get", "secrets")


def test_linstor_touches_nothing_of_others(accounts):
    """REVIEW-2 S5: no definition of another group, no Lease, no token of another account under a name that it may read."""
    accounts.refused(LINSTOR, "delete", "crd", "volumes.example.com", by="internal.linstor.linbit.com only")
    accounts.refused(LINSTOR, "annotate", "crd", "volumes.example.com", "a=b", by="internal.linstor.linbit.com only")
    accounts.refused(LINSTOR, "create", "-f", "-", document=definition("example.org"), by="internal.linstor.linbit.com only")
    accounts.refused(LINSTOR, "create", "-f", "-", document=lease("piraeus-operator"), by="linstor-controller only")
    accounts.refused(LINSTOR, "get", "lease", "piraeus-operator")
    token = secret(f"{BACKUP}-01", "kubernetes.io/service-account-token", {"kubernetes.io/service-account.name": SERVICE_ACCOUNT})
    accounts.refused(LINSTOR, "create", "-f", "-", document=token, by="backups of its database only")
    accounts.refused(LINSTOR, "create", "-f", "-", document=secret("webhook-server-cert"), by="backups of its database only")


def test_the_operator_passes_rights_on_and_does_not_use_them(accounts):
    """REVIEW-2 S5: the operator's ceiling."""
    accounts.refused(OPERATOR, "delete", "crd", "volumes.example.com", by="must not use it")
    accounts.refused(OPERATOR, "create", "-f", "-", document=definition("internal.linstor.linbit.com", "nodes"), by="must not use it")
    accounts.refused(OPERATOR, "get", "lease", "another")


def event(namespace):
    return {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "said", "namespace": namespace},
            "eventTime": "2026-01-02T03:04:05.000000Z", "action": "Say", "reason": "Said", "type": "Normal", "note": "anything",
            "reportingController": "piraeus.io/operator", "reportingInstance": "one",
            "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "a", "namespace": namespace}}


def test_the_operator_writes_events_in_one_namespace(accounts):
    """REVIEW-2, Low: an event in any namespace could say anything to anybody."""
    for namespace in ("default", NAMESPACE, "kube-system"):
        done = accounts.bed.kubectl("create", "--dry-run=server", "--as", OPERATOR, "-f", "-", check=False,
                                    input=json.dumps(event(namespace)))
        if namespace == "default":
            assert done.returncode == 0, done.stderr
        else:
            assert "must not use it" in done.stderr, (namespace, done.stderr)


def test_the_operator_restarts_the_csi_driver_and_nothing_else(accounts):
    """Deleting any pod of the cluster is the high-availability controller's right; the operator only grants it."""
    driver = {"apiVersion": "v1", "kind": "Pod",
              "metadata": {"name": "linstor-csi-node-x", "namespace": NAMESPACE,
                           "labels": {"app.kubernetes.io/component": "linstor-csi-node"}},
              "spec": {"containers": [{"name": "linstor-csi", "image": "x"}], "nodeName": "node1"}}
    accounts.bed.kubectl("create", "-f", "-", input=json.dumps(driver))
    accounts.must(OPERATOR, "delete", "--dry-run=server", "pod", "linstor-csi-node-x")
    accounts.refused(OPERATOR, "delete", "--dry-run=server", "pod", "other", by="must not use it")
    accounts.refused(OPERATOR, "taint", "node", "node1", "a=b:NoSchedule", by="must not use it")
    accounts.refused(OPERATOR, "create", "--dry-run=server", "-f", "-", document=lease("linstor-affinity-controller"),
                     by="must not use it")
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
              "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                       "csi": {"driver": "linstor.csi.linbit.com", "volumeHandle": "pv"}}}
    accounts.refused(OPERATOR, "create", "--dry-run=server", "-f", "-", document=volume, by="must not use it")


@pytest.mark.parametrize("component", ["csi-controller", "csi-node", "ha-controller", "affinity-controller", "nfs-server"])
def test_the_operator_can_make_the_roles_of_the_components(accounts, component):
    """What it cannot grant, it cannot deploy: the API server refuses the role."""
    text = (ROOT / f"operator/core/render/manifests/{component}.yaml").read_text()
    for document in kube.yaml.safe_load_all(text):
        if document["kind"] not in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
            continue
        if not document["kind"].startswith("Cluster"):
            document["metadata"]["namespace"] = NAMESPACE
        for subject in document.get("subjects", []):
            subject["namespace"] = NAMESPACE
        accounts.must(OPERATOR, "apply", "--server-side", "--field-manager=test", "-f", "-", document=document)


def script(file, name):
    return re.search(name + r' = R"sh\((.*?)\)sh"', (ROOT / "operator" / file).read_text(), re.S).group(1)


ALLOWED = [
    ("breakwater-agent", ["/breakwater/bin/breakwater-agent", "connect"]),
    ("linstor-satellite", ["sh", "-c", script("core/replication/node/node_scripts.h", "kObserveScript")]),
    ("ktls-utils", ["sh", "-c", script("core/replication/node/node_scripts.h", "kCertificateScript")]),
    ("linstor-satellite", ["sh", "-c", script("controllers/replication/exec_heal.cc", "kHealScript"),
                           "breakwater-heal", "pvc-1", "node2", "1", "0"]),
]
REFUSED = [
    ("linstor-satellite.node1-x", "breakwater-agent", ["/breakwater/bin/breakwater-agent", "run"]),
    ("linstor-satellite.node1-x", "linstor-satellite", ["/breakwater/bin/breakwater-agent", "connect"]),
    ("linstor-satellite.node1-x", "linstor-satellite", ["sh", "-c", "cat /etc/shadow"]),
    ("linstor-satellite.node1-x", "linstor-satellite", ["drbdadm", "down", "all"]),
    ("linstor-satellite.node1-x", "ktls-utils", ["cat", "/etc/tlshd.d/tls.key"]),
    ("linstor-satellite.node1-x", "drbd-reactor", ["sh"]),
    ("other", "breakwater-agent", ["/breakwater/bin/breakwater-agent", "connect"]),
]
POLICY = "operator-exec.breakwater.io"


@pytest.mark.parametrize("pod,container,argv", REFUSED)
def test_exec_is_limited_to_the_commands_of_the_operator(accounts, pod, container, argv):
    """REVIEW-2, Low (exec on every pod of the namespace): a stolen token of the operator opens no shell."""
    said = accounts.exec(pod, container, argv)
    assert POLICY in said, said


@pytest.mark.parametrize("container,argv", ALLOWED)
def test_the_operators_own_exec_passes(accounts, container, argv):
    """With a policy that knows other scripts the operator would be blind, and could not heal."""
    said = accounts.exec("linstor-satellite.node1-x", container, argv)
    assert "Upgrade request required" in said, said


def test_the_roles_for_people(accounts):
    """REVIEW-2 S4: who may look, and who may operate, owns no node by that; "edit" gains nothing."""
    bed = accounts.bed
    for role in ("piraeus-storage-viewer", "piraeus-storage-operator"):
        bed.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", f"--user={role}")
    bed.kubectl("create", "clusterrolebinding", "an-editor", "--clusterrole=edit", "--user=an-editor")

    def may(user, verb, what):
        return bed.kubectl("auth", "can-i", verb, what, "--as", user, check=False).stdout.strip() == "yes"

    assert may("piraeus-storage-viewer", "get", "linstorclusters.piraeus.io")
    assert not may("piraeus-storage-viewer", "patch", "linstornodeconnections.piraeus.io")
    assert may("piraeus-storage-operator", "patch", "linstornodeconnections.piraeus.io")
    for user in ("piraeus-storage-viewer", "piraeus-storage-operator", "an-editor"):
        for kind in ("linstorclusters", "linstorsatelliteconfigurations", "linstorsatellites"):
            assert not may(user, "patch", f"{kind}.piraeus.io"), (user, kind)
