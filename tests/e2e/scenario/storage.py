"""A storage cluster on the test bed: installs the operator, makes volumes, runs writers."""
import dataclasses
import json
import pathlib
import sys
import urllib.error
import urllib.request

from testbed import Refused

from .claims import Claims

ROOT = pathlib.Path(__file__).resolve().parents[3]
NAMESPACE = "piraeus-datastore"
SERVICE_ACCOUNT = "piraeus-operator-controller-manager"
TLS = "DrbdOptions/Net/tls"

# The cluster as it is before anybody thinks of replication TLS. It is created, not applied: a later
# `kubectl apply` of the guide's document then adds its property and removes nothing. It has internalTLS, as the
# guide presupposes: without it the controller cannot reach satellites that have it.
CLUSTER = {
    "apiVersion": "piraeus.io/v1",
    "kind": "LinstorCluster",
    "metadata": {"name": "linstorcluster"},
    "spec": {"internalTLS": {}},
}

POOL_CONFIGURATION = {
    "apiVersion": "piraeus.io/v1",
    "kind": "LinstorSatelliteConfiguration",
    "metadata": {"name": "pools"},
    "spec": {"storagePools": [{"name": "pool1", "fileThinPool": {"directory": "/var/lib/linstor-pools/pool1"}}]},
}


@dataclasses.dataclass
class Volume:
    name: str
    primary: str
    replicas: int
    writer: bool
    claim: str = ""  # "namespace/name"; none when a test made it in LINSTOR
    earlier: int = 0  # violations before it was there; those under its name are of attempts to place it


# Commands of drbdadm and drbdsetup that change a volume.
ACTS = {"suspend-io", "resume-io", "disconnect", "connect", "net-options", "invalidate", "invalidate-remote", "adjust"}


class LinstorError(Refused):
    def __init__(self, status, body):
        super().__init__(f"LINSTOR answered {status}: {body[:500]}")
        self.status = status
        self.body = body


class Storage(Claims):
    """Breakwater with a LinstorCluster on `bed`; all waits are on conditions and end with an error."""

    def __init__(self, bed, operator_flags=()):
        self.bed = bed
        self.operator_flags = list(operator_flags)
        self.volumes = []
        self.pki = None

    # -- installing ---------------------------------------------------------------------------------

    def install(self):
        """Installs CRDs, RBAC and image configuration, then runs the operator with its own token."""
        self.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy/default"))
        # The operator of the bed is a process of this machine, so the Deployment must not run one too.
        self.kubectl("-n", NAMESPACE, "scale", "deployment", SERVICE_ACCOUNT, "--replicas=0")
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        self.operator_kubeconfig = self.bed.create_operator_kubeconfig(NAMESPACE, SERVICE_ACCOUNT)
        self.start_operator()

    def start_operator(self, extra_flags=(), wait=True):
        self.metrics_address, self.health_address = self.bed.free_addresses(2)
        flags = [f"--namespace={NAMESPACE}", "--image-config-map-name=piraeus-operator-image-config", "--leader-elect",
                 f"--metrics-bind-address={self.metrics_address}", f"--health-probe-bind-address={self.health_address}",
                 *self.operator_flags, *extra_flags]
        self.bed.start_operator(flags, kubeconfig=self.operator_kubeconfig,
                                ready=self.operator_ready if wait else None)

    def operator_ready(self):
        try:
            return bool(http_get(f"http://{self.health_address}/readyz") is not None)
        except OSError:
            return False

    def operator_metrics(self):
        return http_get(f"http://{self.metrics_address}/metrics")

    def kubectl(self, *args, input=None, check=True):
        """kubectl as administrator; its standard output."""
        return self.bed.kubectl(*args, input=input, check=check).stdout

    def create_cluster(self, cluster=None, pools=True):
        """Creates the LinstorCluster and a storage pool on every node; waits until all satellites are online.

        The pools first: added later they would restart the satellites once more, one after the other.
        """
        if pools:
            self.create(POOL_CONFIGURATION)
        self.create(cluster or CLUSTER)
        self.bed.wait_for(self.all_online, 60 + 2 * len(self.bed.nodes), "all satellites ONLINE in LINSTOR")
        if pools:
            self.bed.wait_for(self.all_pools, 60, "the storage pool on every node")

    def create(self, document):
        tls = document.get("spec", {}).get("internalTLS")
        if tls is not None and "certManager" not in tls and document["kind"] == "LinstorCluster":
            # Its controller does not start without the Secret linstor-controller-internal-tls.
            self.issue_certificates(["linstor-controller-internal"])
        self.kubectl("create", "-f", "-", input=json.dumps(document))

    def apply(self, text):
        self.kubectl("apply", "-f", "-", input=text)

    # -- LINSTOR ------------------------------------------------------------------------------------

    def linstor(self, method, path, body=None):
        request = urllib.request.Request(
            self.bed.linstor_url + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                text = reply.read().decode()
        except urllib.error.HTTPError as error:
            raise LinstorError(error.code, error.read().decode()) from error
        return json.loads(text) if text else None

    def all_online(self):
        try:
            nodes = self.linstor("GET", "/v1/nodes")
        except (OSError, LinstorError):
            return False
        online = {n["name"] for n in nodes if n.get("connection_status") == "ONLINE"}
        return online >= set(self.bed.nodes)

    def all_pools(self):
        pools = self.linstor("GET", "/v1/view/storage-pools")
        return {p["node_name"] for p in pools if p["storage_pool_name"] == "pool1"} >= set(self.bed.nodes)

    def add_volume(self, name, primary, replicas, writer, claim=""):
        before = len(self.bed.drbd({"op": "check"})["violations"])
        self.volumes.append(Volume(name, primary, replicas, writer, claim, before))

    def create_group(self, name, place_count, props=None):
        """A resource group, as the CSI driver makes one for a StorageClass."""
        self.linstor("POST", "/v1/resource-groups", {
            "name": name,
            "select_filter": {"place_count": place_count, "storage_pool_list": ["pool1"]}})
        self.linstor("POST", f"/v1/resource-groups/{name}/volume-groups", {})
        if props:  # LINSTOR drops properties that are given at creation
            self.linstor("PUT", f"/v1/resource-groups/{name}", {"override_props": props})

    def create_volume(self, name, group, replicas, primary=None, writer=True, nodes=None):
        """A volume of `group`, asked of LINSTOR itself: for tests that say where its replicas are, or that want no CSI.

        A writer opens it on `primary` (default: one node after the other).
        """
        if nodes is None:
            self.bed.wait_for(lambda: self._spawn(name, group), 30, f"LINSTOR to place {name}", interval=1)
        else:
            self.linstor("POST", "/v1/resource-definitions", {
                "resource_definition": {"name": name, "resource_group_name": group}})
            self.linstor("POST", f"/v1/resource-definitions/{name}/volume-definitions", {
                "volume_definition": {"size_kib": 64 * 1024}})
            self.linstor("POST", f"/v1/resource-definitions/{name}/resources", [
                {"resource": {"name": name, "node_name": node, "props": {"StorPoolName": "pool1"}}} for node in nodes])
        if primary is None:
            diskful = [r["node_name"] for r in self.linstor("GET", f"/v1/view/resources?resources={name}")
                       if "DISKLESS" not in r.get("flags", [])]
            primary = sorted(diskful)[len(self.volumes) % len(diskful)]
        self.add_volume(name, primary, replicas, writer)
        if writer:
            self.start_writer(name, primary)

    def _spawn(self, name, group):
        """As a provisioner does it, who tries again; why LINSTOR refused is not lost."""
        try:
            self.linstor("POST", f"/v1/resource-groups/{group}/spawn", {
                "resource_definition_name": name, "volume_sizes": [64 * 1024]})
        except LinstorError:
            states = {n["name"]: n.get("connection_status") for n in self.linstor("GET", "/v1/nodes")}
            print(f"{name} was not placed; nodes: {states}; pools: {self.linstor('GET', '/v1/view/storage-pools')}; "
                  f"LINSTOR: {self.bed.log('linstor-sim')[-3000:]}", file=sys.stderr)
            if name in {d["name"] for d in self.linstor("GET", "/v1/resource-definitions")}:
                self.linstor("DELETE", f"/v1/resource-definitions/{name}")  # else it "already exists"
            raise
        return True

    def start_writer(self, name, node):
        """Opens the volume and writes every 20 ms. A new volume has no quorum before its first handshake."""
        request = {"op": "writer", "resource": name, "node": node, "action": "start", "interval_ms": 20}
        self.bed.wait_for(lambda: self.bed.drbd(request), 30, f"{name} to be opened on {node}")

    def stop_writer(self, name, node):
        self.bed.drbd({"op": "writer", "resource": name, "node": node, "action": "stop"})

    def report(self):
        """What writers and backing disks say, per volume: {name: {longestStallMs, errors, divergedBlocks, …}}.

        Every volume that was made here has a row: a test that loops over the rows must not pass because there are none.
        """
        rows = {row["name"]: row for row in self.bed.drbd({"op": "report"})["resources"]}
        missing = {volume.name for volume in self.volumes} - set(rows)
        assert not missing, f"DRBD knows nothing of {sorted(missing)}"
        return rows

    def harm(self):
        """What must never happen to a volume that is in use, one sentence each; empty: unharmed."""
        rows = self.report()
        zero = {"errors": "writes failed", "divergedBlocks": "blocks differ between replicas",
                "lostWrites": "acknowledged writes are lost", "stalePeers": "peers do not get the writes"}
        found = [f"{name}: {row[key]} {what}" for name, row in rows.items() for key, what in zero.items() if row[key]]
        found += [f"{name}: left suspended" for name, row in rows.items() if row["suspendedUser"]]
        found += [f"{v.name}: its writer wrote nothing" for v in self.volumes if v.writer and not rows[v.name]["writes"]]
        earlier = {v.name: v.earlier for v in self.volumes}  # LINSTOR took apart what it could not place; nobody used it
        return found + [f"{v['resource']}: {v['kind']} on {v['node']} {v['detail']} at {v['timeMs']} ms, after:\n"
                        + "\n".join(self.commands_before(v["timeMs"], v["resource"]))
                        for number, v in enumerate(self.bed.drbd({"op": "check"})["violations"])
                        if number >= earlier.get(v["resource"], 0)]

    def commands_before(self, time_ms, resource, span_ms=15_000):
        """What changed the volume on its nodes in that time, for the message of a test that failed."""
        return [f"  {c['startMs']}..{c['endMs']} {c['node']}: {' '.join(c['argv'])} -> {c['exit']}"
                for name, c in self.acts() if name == resource and time_ms - span_ms < c["startMs"] <= time_ms]

    def acts(self):
        """(volume, command) of everything in the trace that changed a volume, in order; "" for a command about all."""
        minors = self.minors()
        return [(volume_of(c["argv"], minors), c) for c in self.trace() if set(c["argv"][1:]) & ACTS]

    def minors(self):
        """{minor number: volume}: drbdsetup suspends and resumes by it."""
        return {volume["device_path"].removeprefix("/dev/drbd"): resource["name"]
                for resource in self.linstor("GET", "/v1/view/resources") for volume in resource.get("volumes", [])}

    def all_connected(self):
        rows = self.report().values()
        return bool(rows) and all(row["connections"] > 0 for row in rows) and all(
            self.connected(volume.name) for volume in self.volumes)

    def connected(self, name):
        """Every connection of the volume is up with good disks, as its Primary sees it."""
        volume = next(v for v in self.volumes if v.name == name)
        answer = self.bed.drbd({"op": "run", "node": volume.primary, "container": "linstor-satellite",
                                "argv": ["drbdsetup", "status", "--json", name], "stdin": ""})
        if answer["exit"] != 0:
            return False
        (resource,) = json.loads(answer["stdout"])
        return bool(resource["connections"]) and all(
            c["connection-state"] == "Connected" and all(
                d["replication-state"] == "Established" and d["peer-disk-state"] in ("UpToDate", "Diskless")
                for d in c["peer_devices"]) for c in resource["connections"])

    # -- Kubernetes ---------------------------------------------------------------------------------

    def get(self, *what):
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    def cluster(self):
        return self.get("linstorcluster", "linstorcluster")

    def tls_status(self):
        return self.cluster().get("status", {}).get("replicationTLS", {})

    def condition(self, document, name):
        for condition in document.get("status", {}).get("conditions", []):
            if condition["type"] == name:
                return condition
        return {}

    def satellite_pod(self, node):
        pods = self.get("-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/component=linstor-satellite")["items"]
        for pod in pods:
            if pod["spec"].get("nodeName") == node and not pod["metadata"].get("deletionTimestamp"):
                return pod["metadata"]["name"]
        raise LookupError(f"no satellite pod on {node}")

    def exec(self, node, *argv):
        """The guide's `kubectl exec node1.example.com -- …`, with the pod's name of today."""
        return self.kubectl("-n", NAMESPACE, "exec", self.satellite_pod(node), "-c", "linstor-satellite",
                                "--", *argv)

    def encrypted(self, names=None):
        """All connections of the volumes have TLS sockets on both ends, says the kernel (the simulator)."""
        return self._everywhere(names, lambda row: row["connections"])

    def plaintext(self, names=None):
        """No connection of the volumes has a TLS socket, and they have connections."""
        return self._everywhere(names, lambda row: 0)

    def _everywhere(self, names, encrypted):
        rows = self.report()
        chosen = [rows[name] for name in names or rows]
        return bool(chosen) and all(
            row["connections"] > 0 and row["encryptedConnections"] == encrypted(row) for row in chosen)

    def migration_complete(self):
        """The operator says that it is done and that it has the proof for every connection."""
        status = self.tls_status()
        connections = status.get("connections", {})
        return (status.get("phase") == "Complete" and not status.get("inFlight") and
                connections.get("total", 0) > 0 and connections.get("encrypted") == connections["total"])

    def issue_certificates(self, nodes=None, broken=None):
        """`<node>-tls` for satellites, as the guide on internal TLS asks for; one CA for all of them."""
        self.pki = self.bed.apply_tls_secrets(NAMESPACE, nodes, pki=self.pki or self.bed.make_pki(), broken=broken)

    def trace(self, reset=False):
        """Every command that ran on a node (since the last reset): [{startMs, endMs, node, argv, exit}]."""
        return self.bed.drbd({"op": "trace", "reset": reset})["commands"]


def volume_of(argv, minors):
    """Whose volume a command changes: `drbdadm [options] act NAME[:PEER][/VOLUME]` or `drbdsetup act NAME|MINOR ...`."""
    if argv[0] == "drbdsetup" and len(argv) > 2:
        return minors.get(argv[2], argv[2])
    words = [word for word in argv[1:] if not word.startswith("-") and word not in ACTS]
    return words[-1].split(":")[0].split("/")[0] if words and words[-1] != "all" else ""


def http_get(url):
    with urllib.request.urlopen(url, timeout=5) as reply:
        return reply.read().decode()
