"""The test bed as a test sees it."""

from __future__ import annotations

import atexit
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Optional, Sequence, TypeVar, Union

import yaml

from . import kube
from .controlplane import Agents, ControlPlane, Simulators
from .pki import ReplicationPki, write_private
from .ports import Territory
from .process import Component, StartError

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]
WORK_PREFIX = "breakwater-testbed-"
OPERATOR_NAMESPACE = "piraeus-datastore"
OPERATOR_SERVICE_ACCOUNT = "piraeus-operator-controller-manager"
NODE_INFO = {"osImage": "Debian GNU/Linux 12 (bookworm)", "kernelVersion": "6.1.0-18-amd64",
             "containerRuntimeVersion": "containerd://1.7.24", "kubeletVersion": "v1.36.3", "architecture": "amd64",
             "operatingSystem": "linux"}
# What the agent needs to know of a node that is a simulator: files of the kernel and of LINSTOR are read through `cat`.
AGENT_OPTIONS = ["--files-by-cat"]
UNREACHABLE = "testbed.breakwater/unreachable"


def operator_user(namespace: str = OPERATOR_NAMESPACE, service_account: str = OPERATOR_SERVICE_ACCOUNT) -> str:
    return f"system:serviceaccount:{namespace}:{service_account}"


class DrbdSimError(kube.Refused):
    """The DRBD simulator refused an operation."""


class TestBed:
    """Starts everything in `__enter__` (or `start`) and takes it down in `__exit__` (or `stop`)."""

    __test__ = False  # not a test class for pytest

    def __init__(self, nodes: Union[int, Sequence[str]] = 3, *, simulators: bool = True, keep: Optional[bool] = None,
                 bin_dir: Optional[Path] = None, drbd_sim: Optional[Path] = None, linstor_sim: Optional[Path] = None,
                 operator_binary: Optional[Path] = None, agent_binary: Optional[Path] = None,
                 drbd_options: Sequence[str] = (), linstor_options: Sequence[str] = (),
                 operator_user: str = operator_user(),
                 seed: Optional[int] = None, node_info: Optional[Mapping[str, str]] = None,
                 node_labels: Optional[Mapping[str, str]] = None, quiet: bool = False):
        self.nodes = [f"node{i + 1}" for i in range(nodes)] if isinstance(nodes, int) else list(nodes)
        bin_dir = Path(bin_dir or os.environ.get("BREAKWATER_BIN_DIR") or ROOT / "build/release/bin")
        self.drbd_sim_binary = Path(drbd_sim or bin_dir / "drbd-sim")
        self.linstor_sim_binary = Path(linstor_sim or bin_dir / "linstor-sim")
        self.operator_binary = Path(operator_binary or bin_dir / "breakwater-operator")
        self.agent_binary = Path(agent_binary or bin_dir / "breakwater-agent")
        self.drbd_options, self.linstor_options = drbd_options, linstor_options
        self.simulators, self.quiet, self.seed = simulators, quiet, seed
        self.keep = bool(os.environ.get("BREAKWATER_TESTBED_KEEP")) if keep is None else keep
        self.operator_user = operator_user
        self.node_info = {**NODE_INFO, **(node_info or {})}
        self.node_labels = dict(node_labels or {})
        self.components: dict[str, Component] = {}
        self.operator_kubeconfig: Optional[Path] = None
        self._stopped = True

    # ----- life cycle

    def __enter__(self) -> "TestBed":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> "TestBed":
        self._stopped = False
        self._began = time.monotonic()
        atexit.register(self.stop)
        self._require_programs()
        tools, nodeserver = _tool("--print-dir"), _tool("--print-nodeserver")
        self.tools = tools
        self._make_work_dir()
        try:
            self._start_all(tools, nodeserver)
        except BaseException:
            # Logs are what one needs now: the exception carries the end of the right one.
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends everything that was started here. Safe to call again."""
        if self._stopped:
            return
        self._stopped = True
        atexit.unregister(self.stop)
        components = list(self.components.values())[::-1]
        for c in components:
            c.send_signal(signal.SIGTERM if c.graceful else signal.SIGKILL)
            c.send_signal(signal.SIGCONT)
        for c in components:
            try:
                c.kill(signal.SIGTERM if c.graceful else signal.SIGKILL, timeout=5)
            except TimeoutError as error:
                print(error, file=sys.stderr)
        if hasattr(self, "work"):
            self._save_logs()
            self._save_rights()
            if self.keep:
                (self.work / "keep").touch()
                self._say(f"kept {self.work}")
            else:
                shutil.rmtree(self.work, ignore_errors=True)
            os.close(self._lock)
            self.territory.close()

    def _save_logs(self) -> None:
        target = os.environ.get("BREAKWATER_TESTBED_LOGS")  # for CI: what a failed run leaves behind
        for agent in self.work.glob("pods/*/agent.log"):  # of pods that are there at the end
            shutil.copy(agent, self.work / "logs" / f"agent-{agent.parent.name}.log")
        if target and (self.work / "logs").exists():
            shutil.copytree(self.work / "logs", Path(target) / self.work.name, dirs_exist_ok=True)

    def _save_rights(self) -> None:
        """What the operator asked the API server for, for `python3 -m rights`."""
        folder = os.environ.get("BREAKWATER_RIGHTS")
        if folder and hasattr(self, "audit_log"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / f"{self.work.name}.json").write_text(
                json.dumps(sorted(kube.used_rights(kube.audit_entries(self.audit_log)))))

    def _say(self, text: str) -> None:
        if not self.quiet:
            print(f"testbed [{time.monotonic() - self._began:5.1f} s] {text}", file=sys.stderr, flush=True)

    def _require_programs(self) -> None:
        if not shutil.which("setpriv"):
            raise StartError("setpriv is missing: apt-get install util-linux")
        if self.simulators:
            for program in (self.drbd_sim_binary, self.linstor_sim_binary, self.agent_binary):
                if not os.access(program, os.X_OK):
                    raise StartError(f"{program} is missing: run `make build`, or use simulators=False")

    def _make_work_dir(self) -> None:
        _sweep_stale_work_dirs()
        self.work = Path(tempfile.mkdtemp(prefix=WORK_PREFIX))
        self._lock = os.open(self.work / "lock.new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Under its name only when locked: a sweep by another test bed must not find it free.
        os.rename(self.work / "lock.new", self.work / "lock")
        self.territory = Territory()
        self.pod_network = self.territory.network

    def _start_all(self, tools: Path, nodeserver: Path) -> None:
        simulators = agents = None
        if self.simulators:
            agents = Agents(self.agent_binary, self.work / "pods", AGENT_OPTIONS)
            self.linstor_port = self.territory.reserve_ports(1)[0]
            self.drbd_socket = self.work / "drbd-sim.sock"
            simulators = Simulators(self.drbd_sim_binary, self.linstor_sim_binary, self.drbd_socket,
                                    self.work / "shims", self.work / "linstor", self.linstor_port, self.seed,
                                    self.drbd_options, self.linstor_options)
        plane = ControlPlane(self.work, tools, nodeserver, self.territory, self.operator_user, simulators, agents)
        self.control_plane, self.kubeconfig, self.server = plane, plane.kubeconfig, plane.server
        self.audit_log = plane.audit_log
        self._say(f"work dir {self.work}, API server {self.server}, pods {self.pod_network}")
        self._add(plane.etcd()).start()
        self._say("etcd serves")
        self._add(plane.apiserver()).start()
        self._say("kube-apiserver is ready")
        others = [plane.controller_manager(), plane.scheduler(), plane.kwok(), plane.nodeserver()]
        if simulators:
            self._add(plane.drbd_sim()).start()  # linstor-sim connects to it, and the shims must be there for exec
            others.append(plane.linstor_sim())
        for c in others:
            self._add(c).spawn()
        self._create_nodes(self.nodes)
        for c in others:
            c.wait_ready()
        self._say(f"{', '.join(c.name for c in others)} serve")
        self.wait_for(self._nodes_ready, 60, "all nodes to be Ready")
        self.wait_for(lambda: self.kubectl("get", "serviceaccount", "default"), 30, "the default ServiceAccount")
        self._say(f"{len(self.nodes)} nodes are Ready")

    def _add(self, component: Component) -> Component:
        self.components[component.name] = component
        return component

    def _create_nodes(self, names: Iterable[str]) -> None:
        self.apply([{
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "annotations": {
                "kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
                         "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                                    "kubernetes.io/arch": "amd64", **self.node_labels}},
            "status": {"nodeInfo": self._node_info(name),
                       "addresses": [{"type": "InternalIP", "address": "127.0.0.1"},
                                     {"type": "Hostname", "address": name}]},
        } for name in names], create=True)

    def _node_info(self, name: str) -> dict[str, str]:
        return {"bootID": f"boot-{name}", "machineID": name, "systemUUID": name, "kubeProxyVersion": "",
                **self.node_info}

    def _nodes_ready(self) -> bool:
        ready = 0
        for node in self.get("nodes"):
            conditions = node["status"].get("conditions", [])
            ready += any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        return ready >= len(self.nodes)

    def add_nodes(self, *names: str) -> None:
        self._create_nodes(names)
        self.nodes += names
        self.wait_for(self._nodes_ready, 60, f"nodes {', '.join(names)} to be Ready")

    # ----- Kubernetes

    def kubectl(self, *args: str, input: Union[str, bytes, None] = None, check: bool = True, timeout: float = 120,
                text: bool = True) -> subprocess.CompletedProcess:
        """Runs kubectl as cluster admin. With check, a non-zero exit raises KubectlError."""
        argv = [str(self.tools / "kubectl"), f"--kubeconfig={self.kubeconfig}",
                f"--cache-dir={self.work / 'kubectl-cache'}", *args]
        if isinstance(input, str) and not text:
            input = input.encode()
        done = subprocess.run(argv, input=input, capture_output=True, text=text, timeout=timeout,
                              stdin=subprocess.DEVNULL if input is None else None)
        if check and done.returncode != 0:
            out, err = (x if isinstance(x, str) else x.decode(errors="replace") for x in (done.stdout, done.stderr))
            raise kube.KubectlError(["kubectl", *args], done.returncode, out, err)
        return done

    def get(self, *args: str) -> Any:
        """`kubectl get … -o json`: the object, or the items of a list."""
        result = json.loads(self.kubectl("get", *args, "-o", "json").stdout)
        return result["items"] if result["kind"].endswith("List") and "items" in result else result

    def apply(self, objects: Union[str, Mapping[str, Any], Sequence[Mapping[str, Any]]], *, namespace: str = "",
              create: bool = False) -> None:
        """Applies YAML text, one object or several."""
        if not isinstance(objects, str):
            objects = yaml.safe_dump_all([objects] if isinstance(objects, Mapping) else list(objects))
        # Server-side: no last-applied annotation, no read before the write.
        verb = ["create"] if create else ["apply", "--server-side", "--force-conflicts"]
        self.kubectl(*verb, *(["-n", namespace] if namespace else []), "-f", "-", input=objects)

    def wait_for(self, condition: Callable[[], T], timeout: float, what: str, interval: float = 0.1) -> T:
        return kube.wait_for(condition, timeout, what, interval)

    def free_addresses(self, count: int) -> list[str]:
        """Addresses on loopback that belong to this test bed and that nobody listens on."""
        return [f"127.0.0.1:{port}" for port in self.territory.free_ports(count)]

    def ensure_namespace(self, namespace: str) -> None:
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.wait_for(lambda: self.kubectl("get", "serviceaccount", "default", "-n", namespace), 30,
                      f"the default ServiceAccount of {namespace}")

    def set_node_unreachable(self, node: str, unreachable: bool = True) -> None:
        """Makes exec and logs of a node's pods fail as if its kubelet could not be reached. Open streams end too."""
        value = f"{UNREACHABLE}=true" if unreachable else f"{UNREACHABLE}-"
        self.kubectl("annotate", "node", node, "--overwrite", value)
        if unreachable:
            self.node("cut-streams", node=node)

    # ----- between operator and nodes, and the agents

    def node(self, operation: str, /, **fields: Any) -> dict[str, Any]:
        """One request to the node server, see control.go. Its refusals raise Refused."""
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        with connection.sock:
            connection.sock.connect(str(self.control_plane.control_socket))
            connection.request("POST", f"/{operation}", json.dumps(fields))
            answer = json.loads(connection.getresponse().read())
        if "error" in answer:
            raise kube.Refused(f"node server: {operation} {fields}: {answer['error']}")
        return answer

    def set_latency(self, milliseconds: int) -> None:
        """Added to every start of an exec and to every piece of its streams, in both directions."""
        self.node("latency", ms=milliseconds)

    def agents(self, node: str = "") -> list[dict[str, Any]]:
        """[{node, pod, supervisor, workers, restarts, runDir, log, ownSeconds, childSeconds, rssKiB, peakKiB}]."""
        return self.node("agents", node=node)["agents"]

    def signal_agent(self, node: str, what: str, name: str = "KILL") -> None:
        """KILL, TERM, STOP or CONT to the agent's "worker", "supervisor" (process 1 of the container) or "both"."""
        self.node("signal", node=node, what=what, signal=name)

    def hold_worker(self, node: str, seconds: float = 0) -> None:
        """Kills the agent's worker, and each that its supervisor starts, for that time (0: until `release_worker`)."""
        self.node("hold-worker", node=node, seconds=seconds)

    def release_worker(self, node: str) -> None:
        self.node("release-worker", node=node)

    def agent_restarts(self, node: str = "", seconds: Optional[float] = None) -> None:
        """When a dead agent container starts again: after so many seconds, never (-1), or as a kubelet does (None)."""
        self.node("restart", node=node, seconds=seconds)

    def exec_counters(self, reset: bool = False) -> dict[str, Any]:
        """{execs, connects, refused, open, byNode}, as the nodes saw them."""
        return self.node("counters", reset=reset)

    # ----- audit

    def audit_counts(self, since: float = 0, until: Optional[float] = None, *, leases: bool = False) -> Counter:
        """Counts the operator's requests by (verb, resource, subresource) between two points of `time.time()`.

        Requests for Leases are left out unless `leases`; `audit_leases` counts only these.
        """
        return kube.audit_counts(kube.audit_entries(self.audit_log), since, until or time.time(), leases)

    def audit_leases(self, since: float = 0, until: Optional[float] = None) -> Counter:
        counts = self.audit_counts(since, until, leases=True)
        return Counter({k: v for k, v in counts.items() if k[1] == "leases"})

    # ----- the operator

    def create_operator_kubeconfig(self, namespace: str = OPERATOR_NAMESPACE,
                                   service_account: str = OPERATOR_SERVICE_ACCOUNT, *, cluster_admin: bool = False,
                                   duration: str = "24h") -> Path:
        """A kubeconfig for a ServiceAccount, with its token in a file. Creates what is missing; RBAC is the
        manifests' job unless `cluster_admin`."""
        if self.kubectl("get", "namespace", namespace, check=False).returncode != 0:
            self.ensure_namespace(namespace)
        if self.kubectl("get", "serviceaccount", "-n", namespace, service_account, check=False).returncode != 0:
            self.kubectl("create", "serviceaccount", "-n", namespace, service_account)
        if cluster_admin:
            self.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                        "metadata": {"name": f"testbed-{namespace}-{service_account}"},
                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                                    "name": "cluster-admin"},
                        "subjects": [{"kind": "ServiceAccount", "name": service_account, "namespace": namespace}]})
        token = self.kubectl("create", "token", "-n", namespace, service_account, f"--duration={duration}").stdout
        token_file = write_private(self.work / f"{service_account}.token", token.strip())
        return kube.write_kubeconfig(self.work / f"{service_account}.kubeconfig", self.server,
                                     self.control_plane.ca.pem, token_file=token_file, namespace=namespace)

    def start_operator(self, extra_flags: Sequence[str] = (), env: Optional[Mapping[str, str]] = None, *,
                       name: str = "operator", kubeconfig: Optional[Path] = None,
                       binary: Optional[Path] = None, ready: Optional[Callable[[], bool]] = None,
                       start_timeout: float = 30) -> Component:
        """Starts the operator (a second replica: another name). Its log is `log(name)`. With `ready`, waits for it."""
        if kubeconfig is None:
            self.operator_kubeconfig = self.operator_kubeconfig or self.create_operator_kubeconfig()
            kubeconfig = self.operator_kubeconfig
        variables = {"KUBECONFIG": str(kubeconfig), "NAMESPACE": OPERATOR_NAMESPACE, "POD_NAMESPACE": OPERATOR_NAMESPACE,
                     "POD_NAME": name, **(env or {})}
        old = self.components.get(name)
        if old is not None and old.alive:
            raise StartError(f"{name} is already running")
        component = self._add(Component(
            name, [str(binary or self.operator_binary), *extra_flags], self.work / "logs" / f"{name}.log",
            env=variables, ready=(lambda _: ready()) if ready else None, start_timeout=start_timeout))
        component.start()
        return component

    def kill_operator(self, number: int = signal.SIGKILL, *, name: str = "operator", timeout: float = 30) -> int:
        return self.components[name].kill(number, timeout)

    def restart_operator(self, number: int = signal.SIGTERM, *, name: str = "operator") -> Component:
        self.kill_operator(number, name=name)
        self.components[name].start()
        return self.components[name]

    # ----- cert-manager

    def start_certmanager(self) -> Component:
        """Installs cert-manager's CRDs and runs its controllers (CA and SelfSigned issuers, no webhook) as `certmanager`.

        Before the operator, which looks for these kinds once, when it starts. ClusterIssuers have their Secrets in
        the namespace cert-manager.
        """
        directory = _tool("--print-certmanager")
        self.ensure_namespace("cert-manager")
        self.kubectl("apply", "--server-side", "-f", str(directory / "crds"))
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(directory / "crds"))
        component = self._add(self.control_plane.certmanager(directory / "certmanager"))
        component.start()
        return component

    # ----- faults

    def component(self, name: str) -> Component:
        return self.components[name]

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        return self.components[name].kill(number)

    def start_component(self, name: str) -> None:
        self.components[name].start()

    def pause(self, name: str) -> None:
        self.components[name].pause()

    def resume(self, name: str) -> None:
        self.components[name].resume()

    def stop_apiserver(self, number: int = signal.SIGKILL) -> None:
        self.kill("kube-apiserver", number)

    def start_apiserver(self) -> None:
        self.start_component("kube-apiserver")

    def stop_etcd(self, number: int = signal.SIGKILL) -> None:
        self.kill("etcd", number)

    def start_etcd(self) -> None:
        self.start_component("etcd")

    def compact_etcd(self) -> None:
        """Makes etcd forget all versions but the newest of every key; the API server's cache still serves recent ones."""
        def call(path: str, body: Mapping[str, Any]) -> Any:
            request = urllib.request.Request(f"http://127.0.0.1:{self.control_plane.etcd_port}{path}",
                                             data=json.dumps(body).encode(), method="POST")
            with urllib.request.urlopen(request, timeout=10) as reply:
                return json.load(reply)
        status = call("/v3/maintenance/status", {})
        call("/v3/kv/compaction", {"revision": status["header"]["revision"], "physical": True})

    def log(self, name: str) -> str:
        return (self.work / "logs" / f"{name}.log").read_text(errors="replace")

    # ----- simulators

    @property
    def linstor_url(self) -> str:
        return f"http://127.0.0.1:{self.linstor_port}"

    def drbd(self, operation: Mapping[str, Any], timeout: float = 60) -> dict[str, Any]:
        """One request to the DRBD simulator. Its refusals raise DrbdSimError."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(str(self.drbd_socket))
            s.sendall(json.dumps(dict(operation)).encode() + b"\n")
            with s.makefile("rb") as f:
                line = f.readline()
        if not line:
            raise ConnectionError(f"drbd-sim closed the connection on {operation}\n{self.components['drbd-sim'].tail()}")
        answer = json.loads(line)
        if "error" in answer:
            raise DrbdSimError(f"drbd-sim: {operation}: {answer['error']}")
        return answer

    # ----- certificates for replication

    def make_pki(self, nodes: Optional[Iterable[str]] = None) -> ReplicationPki:
        """A replication CA and one good leaf per node; `.leaf(node, expired=True)` and the like make bad ones."""
        return ReplicationPki(self.nodes if nodes is None else nodes)

    def apply_tls_secrets(self, namespace: str, nodes: Optional[Iterable[str]] = None, pki: Optional[ReplicationPki] = None,
                          broken: Optional[Mapping[str, Mapping[str, Any]]] = None) -> ReplicationPki:
        """Creates or replaces `<node>-tls`; `broken={"node2": {"expired": True}}` gives that node a bad one."""
        names = list(self.nodes if nodes is None else nodes)
        pki = pki or self.make_pki(names)
        secrets = []
        for node in names:
            options = (broken or {}).get(node)
            data = pki.leaf(node, **options) if options else pki.leaves.setdefault(node, pki.leaf(node))
            secrets.append({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                            "metadata": {"name": f"{node}-tls", "namespace": namespace}, "stringData": data})
        self.apply(secrets)
        return pki


def _tool(option: str) -> Path:
    """What scripts/tools.sh prints; it builds what is missing."""
    script = ROOT / "scripts/tools.sh"
    done = subprocess.run([str(script), option], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise StartError(f"{script} {option} failed")
    return Path(done.stdout.strip())


def _sweep_stale_work_dirs() -> None:
    """Removes what a killed test bed left behind: its lock is free and nobody asked to keep it."""
    for directory in Path(tempfile.gettempdir()).glob(WORK_PREFIX + "*"):
        try:
            if directory.stat().st_uid != os.getuid() or (directory / "keep").exists():
                continue
            descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
