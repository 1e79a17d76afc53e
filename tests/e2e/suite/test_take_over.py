"""Taking a cluster over from the Piraeus Operator, and giving it back: what restarts is what the guide says, nothing goes.

The objects of that operator are golden ones (scenario/takeover); the API server, its garbage collector and the
controllers of Deployments and DaemonSets are real. With -s the table is printed.
"""
import json
import os
import pathlib
import re
import subprocess

import pytest
import testbed
import yaml
from scenario import NAMESPACE, Storage
from scenario.takeover import OUR_MARK, OldOperator

GUIDE = pathlib.Path(__file__).resolve().parents[3] / "docs/how-to/take-over.md"
NODES = ["node1.example.com", "node2.example.com"]
VERSIONS = ["v2.6", "v2.11"]
OPERATOR = f"system:serviceaccount:{NAMESPACE}:piraeus-operator-controller-manager"
KINDS = ("deployments,daemonsets,services,serviceaccounts,configmaps,roles,rolebindings", "clusterroles,clusterrolebindings,"
         "csidrivers,linstorsatellites,linstorclusters")
HASH = OUR_MARK + "applied-hash"
KEPT = OUR_MARK + "kept-pod-template"
# Row of the guide's table, by component.
ROWS = {"linstor-controller": "LINSTOR controller", "linstor-satellite": "satellites", "linstor-csi-controller": "CSI controller",
        "linstor-csi-node": "CSI nodes", "ha-controller": "high-availability controller",
        "linstor-affinity-controller": "affinity controller", "linstor-csi-nfs-server": "NFS servers"}


class Picture:
    """What there is of the LinstorCluster at one moment: objects, and pods by component."""

    def __init__(self, storage):
        objects = storage.get("-n", NAMESPACE, KINDS[0])["items"] + storage.get(KINDS[1])["items"]
        self.objects = {key(o): o for o in objects if owned(o)}
        self.uids = {k: o["metadata"]["uid"] for k, o in self.objects.items()}
        self.pods = {}
        for pod in storage.get("-n", NAMESPACE, "pods")["items"]:
            component = pod["metadata"]["labels"].get("app.kubernetes.io/component", "?")
            self.pods.setdefault(component, set()).add(pod["metadata"]["uid"])

    def workloads(self):
        return {k: o for k, o in self.objects.items() if k[0] in ("Deployment", "DaemonSet")}

    def template(self, which):
        return self.objects[which]["spec"]["template"]


class TakeOver:
    """One version of the old operator, and what the take-over made of its objects."""

    def __init__(self, storage, version):
        self.storage, self.version = storage, version
        self.old = OldOperator(storage, version, NAMESPACE)
        self.names = self.old.apply()
        storage.bed.wait_for(lambda: ready(storage), 60, f"the pods of {version}")
        self.old.register()
        storage.bed.wait_for(lambda: registered(storage), 60, "the CSI driver on all nodes")
        self.before = Picture(storage)
        keep_images(self)
        storage.install()
        storage.bed.wait_for(lambda: settled(storage), 120, f"the take-over from {version} to end", interval=0.3)
        self.after = Picture(storage)

    def restarts(self):
        """{component: pods that are not there any more} of what ran before."""
        return {name: len(pods - self.after.pods.get(name, set())) for name, pods in self.before.pods.items()}

    def differences(self, component):
        """Paths at which pod templates of a component are others than before, of the first workload."""
        for which, o in self.before.workloads().items():
            if o["metadata"]["labels"]["app.kubernetes.io/component"] == component:
                return list(paths(self.before.template(which), self.after.template(which)))
        return []

    def kept(self, component):
        return any(KEPT in o["metadata"].get("annotations", {}) for o in self.after.workloads().values()
                   if o["metadata"]["labels"]["app.kubernetes.io/component"] == component)


def key(o):
    return o["kind"], o["metadata"]["name"]


def owned(o):
    owners = o["metadata"].get("ownerReferences", [])
    return o["kind"] == "LinstorCluster" or any(r["kind"] in ("LinstorCluster", "LinstorSatellite") for r in owners)


def keep_images(run):
    """Step 2 of the guide: the images in use stay, under a key that sorts after all others."""
    documents = {f"1_in_use_{name}": text for name, text in run.old.image_documents().items()}
    run.storage.kubectl("apply", "--server-side", "--field-manager=images-in-use", "-f", "-", input=yaml.safe_dump({
        "apiVersion": "v1", "kind": "ConfigMap", "data": documents,
        "metadata": {"name": "piraeus-operator-image-config", "namespace": NAMESPACE}}))


def ready(storage):
    """All workloads run what they say."""
    sets = storage.get("-n", NAMESPACE, "daemonsets")["items"]
    deployments = [d for d in storage.get("-n", NAMESPACE, "deployments")["items"] if d["spec"]["replicas"]]
    return sets and all(
        d["status"].get("observedGeneration") == d["metadata"]["generation"] and d["status"].get("desiredNumberScheduled")
        and d["status"].get("updatedNumberScheduled", 0) == d["status"].get("numberReady", 0) == d["status"]["desiredNumberScheduled"]
        for d in sets) and all(
        d["status"].get("observedGeneration") == d["metadata"]["generation"] and d["status"].get("replicas", 0)
        == d["status"].get("updatedReplicas", 0) == d["status"].get("availableReplicas", 0) == d["spec"]["replicas"]
        for d in deployments)


def registered(storage):
    """The driver's topology as the old operator left it: one that changes restarts CSI pods, with any operator."""
    drivers = [d for node in storage.get("csinodes")["items"] for d in node["spec"]["drivers"] or []]
    return len(drivers) == len(NODES) and all("linbit.com/hostname" in d["topologyKeys"] for d in drivers)


def settled(storage):
    """Everything was applied by Breakwater, nothing waits, and the conditions are those of a good cluster."""
    workloads = storage.get("-n", NAMESPACE, "deployments,daemonsets")["items"]
    if not all(HASH in o["metadata"].get("annotations", {}) for o in workloads if owned(o)):
        return False
    resources = [storage.cluster(), *storage.get("linstorsatellites")["items"]]
    return ready(storage) and all(storage.condition(o, t).get("status") == "True"
                                  for o in resources for t in ("Applied", "Available", "Configured"))


def paths(left, right, path=""):
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted(set(left) | set(right)):
            yield from paths(left.get(name), right.get(name), f"{path}/{name}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (a, b) in enumerate(zip(left, right)):
            yield from paths(a, b, f"{path}/{number}")
    elif left != right:
        yield path


def guide_table():
    """{row: {version: restarts per pod}} as the guide has it."""
    section = GUIDE.read_text().split("### What restarts, and why", 1)[1].split("\n#", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")]
    assert [cell for cell in rows[0][1:3]] == ["from 2.6", "from 2.11"], rows[0]
    numbers = {row[0]: row[1:3] for row in rows[2:]}
    return {name: {version: None if cell == "new" else int(cell) for version, cell in zip(VERSIONS, cells)}
            for name, cells in numbers.items() if all(re.fullmatch(r"\d+|new", cell) for cell in cells)}


def guide_commands(heading):
    """The commands of a section of the guide."""
    section = GUIDE.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return "\n".join(re.findall(r"```\n(.*?)```", section, re.DOTALL))


@pytest.fixture(scope="module", params=VERSIONS)
def run(request):
    """A bed for each version: what was taken over once before carries our marks, and a second time restarts more."""
    with testbed.TestBed(nodes=NODES) as bed:
        storage = Storage(bed)
        bed.ensure_namespace(NAMESPACE)
        storage.kubectl("apply", "--server-side", "-k", str(GUIDE.parents[2] / "crds"))
        storage.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        storage.create({"apiVersion": "piraeus.io/v1", "kind": "LinstorCluster", "metadata": {"name": "linstorcluster"}})
        yield TakeOver(storage, request.param)


def test_todays_templates_are_those_of_2_11():
    # Without a cluster: a manifest that is changed for no reason restarts the pods of everybody who comes from 2.11.
    rendered = json.loads((GUIDE.parents[2] / "operator/core/render/testdata/cluster_default.json").read_text())
    today = {key(o): o["spec"]["template"]["spec"] for o in rendered if o["kind"] in ("Deployment", "DaemonSet")}
    cluster = {"apiVersion": "piraeus.io/v1", "kind": "LinstorCluster", "metadata": {"name": "linstorcluster", "uid": "1"}}
    objects = [o for o in OldOperator(None, "v2.11", NAMESPACE).components_of(cluster) if key(o) in today]
    assert len(objects) == len(today) == 6
    for o in objects:
        different = [p for p in paths(o["spec"]["template"]["spec"], today[key(o)]) if not p.endswith("/image")]
        assert not different, (key(o), different)


def test_only_what_the_guide_says_restarts(run):
    # Each needless restart of a CSI pod or a satellite is a time in which volumes of that node can do nothing new.
    table = guide_table()
    restarts = run.restarts()
    for component, row in ROWS.items():
        pods = len(run.before.pods.get(component, ()))
        assert (table[row][run.version] is None) == (pods == 0), (row, pods)
        if not pods:
            print(f"| {row} | from {run.version} | new | |")
            continue
        how = "template kept" if run.kept(component) else ", ".join(run.differences(component)) or "template equal"
        print(f"| {row} | from {run.version} | {restarts[component]} of {pods} | {how} |")
        assert restarts[component] == table[row][run.version] * pods, (row, run.differences(component))
    assert set(restarts) == set(ROWS) & set(run.before.pods), "pods that the table does not know"


def test_what_runs_is_said(run):
    # Pods that are not today's must be no surprise when a setting restarts them later.
    applied = run.storage.condition(run.storage.cluster(), "Applied")["message"]
    for component in ("linstor-csi-node", "ha-controller"):
        assert (component in applied) == run.kept(component), applied


def test_nothing_is_deleted(run):
    gone = {k for k, uid in run.before.uids.items() if run.after.uids.get(k) != uid}
    assert not gone, f"deleted or made anew: {sorted(gone)}"
    assert set(run.before.uids) >= run.names, "the test looks at everything that the old operator made"


def test_what_was_kept_can_be_given_up(run):
    # The documented way to today's pods; after 2.11 even that restarts nothing but satellites, whose script is another one.
    storage, others = run.storage, [k for k in run.after.workloads() if not k[1].startswith("linstor-satellite")]

    def hashes():
        return {k: o["metadata"]["annotations"].get(HASH) for k, o in Picture(storage).workloads().items() if k in others}
    kept = {k for k in others if KEPT in run.after.objects[k]["metadata"]["annotations"]}
    before = hashes()

    def given_up():
        objects = Picture(storage).workloads()
        still = [k for k in kept if KEPT in objects[k]["metadata"]["annotations"]]
        for kind, name in still:  # again, when a pass that had begun brought it back
            storage.kubectl("-n", NAMESPACE, "annotate", kind.lower(), name, KEPT + "-")
        return not still and all(hashes()[k] != before[k] for k in kept)
    storage.bed.wait_for(given_up, 60, "Breakwater's templates", interval=1)
    storage.bed.wait_for(lambda: ready(storage), 60, "the pods of Breakwater's templates")
    now = Picture(storage)
    assert not any(KEPT in now.objects[k]["metadata"]["annotations"] for k in kept)
    changed = {row for component, row in ROWS.items() if component != "linstor-satellite"
               and run.after.pods.get(component, set()) - now.pods.get(component, set())}
    print(f"templates of Breakwater that differ from {run.version}: {sorted(changed)}")
    assert (not changed) == (run.version == "v2.11"), changed


def test_the_way_back(run):
    storage, bed = run.storage, run.storage.bed
    bed.kill_operator()
    commands = guide_commands("The way back")
    assert "delete" in commands
    environment = {**os.environ, "KUBECONFIG": str(bed.kubeconfig), "PATH": f"{bed.tools}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-ec", commands], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    # Its own rights come with its manifest, which is not here.
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "old-operator"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
               "subjects": [{"kind": "ServiceAccount", "name": "piraeus-operator-controller-manager", "namespace": NAMESPACE}]}
    bed.apply(binding)
    try:
        run.old.apply(user=OPERATOR)
    finally:
        bed.kubectl("delete", "clusterrolebinding", "old-operator")
    bed.wait_for(lambda: ready(storage), 60, "the pods of the old operator")
    back = Picture(storage)
    assert not {k for k, uid in run.before.uids.items() if back.uids.get(k) != uid}, "deleted or made anew"
    for which in run.before.workloads():
        assert not list(paths(run.before.template(which), back.template(which))), which
    marks = {k for k, o in back.objects.items() if k in run.names and OUR_MARK in json.dumps(o["metadata"].get("annotations", {}))}
    assert not marks, f"annotations of ours stay on {sorted(marks)}"
    # What it does not know it deletes itself when it controls it: only what was new here.
    new = {k[1] for k in back.objects if k not in run.names and k[0] != "LinstorCluster"}
    assert not new or run.version == "v2.6", new
    assert all("nfs" in name or "affinity" in name for name in new), new
