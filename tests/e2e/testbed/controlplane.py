"""The processes of the control plane: their certificates, files and flags."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence

import yaml

from . import kube, pki
from .ports import Territory
from .process import Component, prints_ready

SERVICE_NETWORK = "10.96.0.0/16"
QPS = ["--kube-api-qps=500", "--kube-api-burst=1000"]
STAGES = ["node/fast", "node/heartbeat-with-lease", "pod/fast"]


@dataclass
class Simulators:
    """The simulators' programs and addresses."""
    drbd_sim: Path
    linstor_sim: Path
    socket: Path
    shim_dir: Path
    state_dir: Path
    linstor_port: int
    seed: Optional[int]
    drbd_options: Sequence[str] = ()
    linstor_options: Sequence[str] = ()


@dataclass
class Agents:
    """The program of the node agent and where the node server keeps what belongs to pods."""
    binary: Path
    folder: Path
    options: Sequence[str] = ()


def _stages(directory: Path) -> Iterator[dict[str, Any]]:
    """kwok's own, but a pod runs only when the node server says that its volumes are mounted, and one with an agent is
    gone only when that has ended."""
    for stage in STAGES:
        for file in sorted((directory / stage).glob("*.yaml")):
            if file.name == "kustomization.yaml":
                continue
            document = yaml.safe_load(file.read_text())
            if document["metadata"]["name"] == "pod-ready":
                document["spec"]["selector"]["matchExpressions"].append(
                    {"key": '.metadata.annotations["testbed.breakwater/mounted"]', "operator": "Exists"})
            if document["metadata"]["name"] == "pod-delete":
                document["spec"]["selector"]["matchExpressions"].append(
                    {"key": '.metadata.annotations["testbed.breakwater/lasts-until-its-agent-ends"]',
                     "operator": "DoesNotExist"})
            yield document


class ControlPlane:
    """Builds the components of one test bed in a work dir. Starting them is the caller's job."""

    def __init__(self, work: Path, tools: Path, nodeserver: Path, territory: Territory, operator_user: str,
                 simulators: Optional[Simulators], agents: Optional[Agents] = None):
        self.work, self.tools, self.nodeserver_binary, self.agents = work, tools, nodeserver, agents
        self.control_socket = work / "nodes.sock"
        self.pod_network, self.simulators = territory.network, simulators
        self.pki_dir = work / "pki"
        self.audit_log = work / "audit.log"
        self.exec_log = work / "execs"
        (self.etcd_port, self.etcd_peer_port, self.api_port, self.kcm_port, self.scheduler_port, self.kwok_port,
         self.node_port) = territory.reserve_ports(7)
        self.server = f"https://127.0.0.1:{self.api_port}"
        self._write_certificates()
        self.kubeconfig = self._kubeconfig("admin", "testbed-admin", "system:masters")
        self._write(work / "audit-policy.yaml", kube.audit_policy(operator_user))
        self._write(work / "kwok.yaml", yaml.safe_dump_all(_stages(tools / "kwok-stages")))

    @staticmethod
    def _write(path: Path, text: str) -> Path:
        return pki.write_private(path, text)

    def _pair(self, name: str, pair: tuple[str, str]) -> None:
        self._write(self.pki_dir / f"{name}.crt", pair[0])
        self._write(self.pki_dir / f"{name}.key", pair[1])

    def _write_certificates(self) -> None:
        self.ca = pki.Authority("testbed-ca")
        self._write(self.pki_dir / "ca.crt", self.ca.pem)
        self._pair("apiserver", self.ca.issue(
            "kube-apiserver", ips=["127.0.0.1", "10.96.0.1"],
            dns=["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]))
        self._pair("nodes", self.ca.issue("nodes", ips=["127.0.0.1"], dns=["localhost"]))
        self._pair("kubelet-client", self.ca.issue("kube-apiserver-kubelet-client", organization="system:masters"))
        key = pki.new_key()
        self._write(self.pki_dir / "sa.key", pki.key_pem(key))
        self._write(self.pki_dir / "sa.pub", pki.public_pem(key))

    def _kubeconfig(self, name: str, user: str, group: Optional[str] = None) -> Path:
        cert, key = self.ca.issue(user, organization=group)
        path = self.work / f"{name}.kubeconfig"
        return kube.write_kubeconfig(path, self.server, self.ca.pem, cert=cert, key=key)

    def healthy(self, url: str) -> bool:
        context = ssl.create_default_context()
        # Controller manager and scheduler serve certificates they signed themselves.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # A proxy from the environment must not see loopback requests.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(url, timeout=5) as reply:
                return reply.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def _component(self, name: str, argv: list[object], url: str = "", **options: object) -> Component:
        if url:
            options["ready"] = lambda _: self.healthy(url)
        return Component(name, [str(a) for a in argv], self.work / "logs" / f"{name}.log", **options)  # type: ignore

    def etcd(self) -> Component:
        client, peer = (f"http://127.0.0.1:{p}" for p in (self.etcd_port, self.etcd_peer_port))
        return self._component("etcd", [
            self.tools / "etcd", f"--data-dir={self.work / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}", f"--quota-backend-bytes={4 << 30}",
        ], url=f"{client}/health")

    def apiserver(self) -> Component:
        p = self.pki_dir
        return self._component("kube-apiserver", [
            self.tools / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            "--bind-address=127.0.0.1", f"--secure-port={self.api_port}",
            # There are no pods that could use the `kubernetes` service, and loopback is no valid endpoint.
            "--endpoint-reconciler-type=none",
            f"--client-ca-file={p / 'ca.crt'}", f"--tls-cert-file={p / 'apiserver.crt'}",
            f"--tls-private-key-file={p / 'apiserver.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={p / 'sa.pub'}", f"--service-account-signing-key-file={p / 'sa.key'}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}", "--authorization-mode=RBAC", "--allow-privileged=true",
            f"--kubelet-client-certificate={p / 'kubelet-client.crt'}",
            f"--kubelet-client-key={p / 'kubelet-client.key'}", f"--kubelet-certificate-authority={p / 'ca.crt'}",
            "--kubelet-preferred-address-types=InternalIP",
            # Webhooks are called at the addresses of pods: nothing routes the service network here, and a Service
            # without pods fails at once instead of after a timeout.
            "--enable-aggregator-routing=true",
            f"--audit-policy-file={self.work / 'audit-policy.yaml'}", f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=100000",  # megabytes: a rotated file would be missing in the counts
        ], url=f"{self.server}/readyz")

    def controller_manager(self) -> Component:
        p = self.pki_dir
        return self._component("kube-controller-manager", [
            self.tools / "kube-controller-manager",
            f"--kubeconfig={self._kubeconfig('kube-controller-manager', 'system:kube-controller-manager')}",
            "--bind-address=127.0.0.1", f"--secure-port={self.kcm_port}", f"--cert-dir={self.work / 'kcm'}",
            "--use-service-account-credentials", "--leader-elect=false", *QPS,
            f"--service-account-private-key-file={p / 'sa.key'}", f"--root-ca-file={p / 'ca.crt'}",
        ], url=f"https://127.0.0.1:{self.kcm_port}/healthz")

    def scheduler(self) -> Component:
        return self._component("kube-scheduler", [
            self.tools / "kube-scheduler",
            f"--kubeconfig={self._kubeconfig('kube-scheduler', 'system:kube-scheduler')}",
            "--bind-address=127.0.0.1", f"--secure-port={self.scheduler_port}",
            f"--cert-dir={self.work / 'scheduler'}", "--leader-elect=false", *QPS,
        ], url=f"https://127.0.0.1:{self.scheduler_port}/healthz")

    def kwok(self) -> Component:
        p = self.pki_dir
        return self._component("kwok", [
            self.tools / "kwok", f"--kubeconfig={self._kubeconfig('kwok', 'kwok', 'system:masters')}",
            f"--config={self.work / 'kwok.yaml'}", "--manage-all-nodes=true", f"--cidr={self.pod_network}",
            "--node-ip=127.0.0.1", f"--node-port={self.node_port}",
            f"--server-address=127.0.0.1:{self.kwok_port}",
            f"--tls-cert-file={p / 'nodes.crt'}", f"--tls-private-key-file={p / 'nodes.key'}",
            "--node-lease-duration-seconds=40",
        ], url=f"http://127.0.0.1:{self.kwok_port}/healthz")

    def certmanager(self, binary: Path) -> Component:
        return self._component("certmanager", [
            binary, f"--kubeconfig={self._kubeconfig('certmanager', 'cert-manager', 'system:masters')}",
        ], ready=prints_ready)

    def nodeserver(self) -> Component:
        p = self.pki_dir
        argv: list[object] = [
            self.nodeserver_binary, f"--listen=127.0.0.1:{self.node_port}",
            f"--tls-cert-file={p / 'nodes.crt'}", f"--tls-private-key-file={p / 'nodes.key'}",
            f"--client-ca-file={p / 'ca.crt'}",
            f"--kubeconfig={self._kubeconfig('nodeserver', 'nodeserver', 'system:masters')}",
            f"--control={self.control_socket}", f"--exec-log={self.exec_log}"]
        self.exec_log.mkdir()
        if self.simulators:
            s = self.simulators
            argv += [f"--drbd-sim={s.socket}", f"--shim-dir={s.shim_dir}",
                     f"--linstor-backend=127.0.0.1:{s.linstor_port}"]
        if self.agents:
            argv += [f"--agent-binary={self.agents.binary}", f"--agent-dir={self.agents.folder}",
                     *(f"--agent-arg={option}" for option in self.agents.options)]
        return self._component("nodeserver", argv, ready=prints_ready, graceful=True)

    def drbd_sim(self) -> Component:
        s = self.simulators
        assert s is not None
        s.shim_dir.mkdir(parents=True, exist_ok=True)
        seed = [f"--seed={s.seed}"] if s.seed is not None else []
        return self._component("drbd-sim", [
            s.drbd_sim, "--socket", s.socket, "--shim-dir", s.shim_dir, *seed, *s.drbd_options], ready=prints_ready, start_timeout=20)

    def linstor_sim(self) -> Component:
        s = self.simulators
        assert s is not None
        s.state_dir.mkdir(parents=True, exist_ok=True)
        return self._component("linstor-sim", [
            s.linstor_sim, "--listen", f"127.0.0.1:{s.linstor_port}", "--drbd-sim", s.socket,
            "--state-dir", s.state_dir, *s.linstor_options], ready=prints_ready, start_timeout=20)
