"""The Piraeus Operator as a take-over meets it: the objects that it leaves, applied as it applies them.

Written by hand (v2.6.yaml, v2.11.yaml): there is no running Piraeus Operator here. It applies with force under the field
manager that Breakwater has, too, makes its custom resource the controller of every object, and deletes what its
resource controls and it does not render.
"""
import copy
import json
import pathlib

import yaml

MANAGER = "piraeus.io/operator"
OUR_MARK = "breakwater.io/"
API_VERSIONS = {"ConfigMap": "v1", "Service": "v1", "ServiceAccount": "v1", "Deployment": "apps/v1", "DaemonSet": "apps/v1",
                "CSIDriver": "storage.k8s.io/v1", "LinstorSatellite": "piraeus.io/v1",
                **{kind: "rbac.authorization.k8s.io/v1" for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")}}
CLUSTER_SCOPED = {"CSIDriver", "ClusterRole", "ClusterRoleBinding", "LinstorSatellite"}
WORKLOADS = {"Deployment", "DaemonSet"}
# Enough for what the test bed runs in the place of a component; which ones these are restarts nothing.
RULES = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
# What LINSTOR had until Breakwater took it away, and what its policies must not refuse any more on the way back.
LINSTOR_RULES = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
                 {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"]}]


class OldOperator:
    """One version of it. `apply` is one pass: as it starts, and as it comes back."""

    def __init__(self, storage, version, namespace):
        self.storage, self.namespace = storage, namespace
        path = pathlib.Path(__file__).parent / f"{version}.yaml"
        self.golden = yaml.safe_load(path.read_text())
        self.cluster = "linstorcluster"

    def image_documents(self):
        return {key: yaml.safe_dump(document) for key, document in self.golden["images"].items()}

    def image(self, component):
        for document in self.golden["images"].values():
            entry = document["components"].get(component)
            if entry:
                name = entry["match"][0]["image"] if "match" in entry else entry["image"]  # the test bed's nodes match
                return f"{document['base']}/{name}:{entry['tag']}"
        return component  # no component: an image that a user named

    def apply(self, user=None):
        """Everything of the cluster, then of each satellite; returns {(kind, name)} of it."""
        cluster = self.storage.get("linstorcluster", self.cluster)
        rendered = self.components_of(cluster) + [self._satellite(node, cluster) for node in self.storage.bed.nodes]
        self._send(rendered, user)
        for node in self.storage.bed.nodes:
            satellite = self.storage.get("linstorsatellite", node)
            uid = satellite["metadata"]["uid"]
            text = json.dumps(self.golden["satellite"]).replace("<node>", node).replace("<uid>", uid)
            own = [self._dressed(o, satellite, "linstor-satellite", True, {"piraeus.io/linstor-satellite": uid})
                   for o in json.loads(text)]
            self._send(own, user)
            rendered += own
        return {(o["kind"], o["metadata"]["name"]) for o in rendered}

    def components_of(self, cluster):
        """Everything but satellites."""
        return [self._dressed(o, cluster, component["component"], not component.get("selectorless"))
                for component in self.golden["components"] for o in self._objects(component)]

    def register(self):
        """The nodes in LINSTOR, with its bookkeeping; the CSI driver reports the topology that it finds there."""
        known = {node["name"] for node in self.storage.linstor("GET", "/v1/nodes")}
        for node in set(self.storage.bed.nodes) - known:
            pods = self.storage.get("-n", self.namespace, "pods", "-l", "app.kubernetes.io/component=linstor-satellite")["items"]
            address = next(pod["status"]["podIP"] for pod in pods if pod["spec"]["nodeName"] == node)
            props = {"Aux/topology/linbit.com/hostname": node, "Aux/topology/kubernetes.io/hostname": node,
                     "Aux/piraeus.io/managed-by": "piraeus-operator", "Aux/piraeus.io/configured-interfaces": '["default-ipv4"]'}
            props["Aux/piraeus.io/last-applied"] = json.dumps(sorted(props), separators=(",", ":"))
            self.storage.linstor("POST", "/v1/nodes", {"name": node, "type": "Satellite", "props": props, "net_interfaces": [
                {"name": "default-ipv4", "address": address, "satellite_port": 3366, "satellite_encryption_type": "PLAIN"}]})

    def _send(self, objects, user):
        self.storage.kubectl("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}",
                             *([f"--as={user}"] if user else []), "-f", "-", input=yaml.safe_dump_all(objects))

    def _objects(self, component):
        name = component["component"]
        objects = copy.deepcopy(component["objects"])
        if component.get("accounts") is None or not component["accounts"]:
            return objects
        objects.append({"kind": "ServiceAccount", "metadata": {"name": name}})
        for kind in component["accounts"]:
            rules = LINSTOR_RULES if (name, kind) == ("linstor-controller", "Role") else RULES
            objects.append({"kind": kind, "metadata": {"name": name}, "rules": rules})
            objects.append({"kind": f"{kind}Binding", "metadata": {"name": name},
                            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
                            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}]})
        return objects

    def _satellite(self, node, cluster):
        label = {"valueFrom": {"nodeFieldRef": "metadata.name"}}
        return self._dressed({
            "kind": "LinstorSatellite",
            "metadata": {"name": node, "finalizers": ["piraeus.io/satellite-protection"]},
            "spec": {"clusterRef": {"name": self.cluster},
                     "properties": [{"name": "Aux/topology/linbit.com/hostname", **label},
                                    {"name": "Aux/topology/kubernetes.io/hostname",
                                     "valueFrom": {"nodeFieldRef": "metadata.labels['kubernetes.io/hostname']"}}],
                     **self.golden["satelliteSpec"]},
        }, cluster, None, False)

    def _dressed(self, o, owner, component, selectors, more=None):
        """With what all objects have in common."""
        select = {"app.kubernetes.io/name": "piraeus-datastore", "app.kubernetes.io/instance": self.cluster, **(more or {})}
        if component:
            select["app.kubernetes.io/component"] = component
        o = {"apiVersion": API_VERSIONS[o["kind"]], **o}
        meta = o["metadata"]
        if o["kind"] not in CLUSTER_SCOPED:
            meta["namespace"] = self.namespace
        meta["labels"] = {**select, "app.kubernetes.io/managed-by": "piraeus-operator",
                          "app.kubernetes.io/version": self.golden["version"]}
        meta["ownerReferences"] = [{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
                                    "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}]
        if o["kind"] in WORKLOADS:
            o["spec"]["selector"] = {"matchLabels": select}
            template = o["spec"]["template"]
            template.setdefault("metadata", {})["labels"] = select
            for container in template["spec"].get("initContainers", []) + template["spec"]["containers"]:
                container["image"] = self.image(container["image"])
        elif o["kind"] == "Service" and selectors:
            o["spec"]["selector"] = select
        return o
