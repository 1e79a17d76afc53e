"""The control plane, the container runtime and the kubelet: how they are started, and kubectl."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
import ssl
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar, Union

import yaml

from testbed import kube, pki
from testbed.process import Component

from . import machine
from .machine import ADDRESS, GATEWAY, NAME, PODS

T = TypeVar("T")
SERVICES, FIRST_SERVICE = "10.96.0.0/16", "10.96.0.1"
SERVER = f"https://{ADDRESS}:6443"
SOCKET = "/run/containerd/containerd.sock"
PAUSE = "localhost/pause:1"


class Cluster:
    """One node with its control plane. Every process logs into work/logs."""

    def __init__(self, work: Path, tools: Path):
        self.work, self.tools = work, tools
        self.authority = pki.Authority("node-ca")
        self.components: list[Component] = []
        self._certificates()

    # ----- files

    def _path(self, name: str, text: str) -> Path:
        return pki.write_private(self.work / name, text)

    def _pair(self, name: str, *arguments: Any, **options: Any) -> tuple[Path, Path]:
        certificate, key = self.authority.issue(*arguments, **options)
        return self._path(f"pki/{name}.crt", certificate), self._path(f"pki/{name}.key", key)

    def _certificates(self) -> None:
        self.ca = self._path("pki/ca.crt", self.authority.pem)
        self.api_pair = self._pair("apiserver", "kube-apiserver", ips=[ADDRESS, FIRST_SERVICE, "127.0.0.1"],
                                   dns=["localhost", "kubernetes.default.svc"])
        self.node_pair = self._pair("kubelet", NAME, ips=[ADDRESS], dns=[NAME])
        self.client_pair = self._pair("kubelet-client", "kube-apiserver-kubelet-client", organization="system:masters")
        key = pki.new_key()
        self.account_key = self._path("pki/sa.key", pki.key_pem(key))
        self.account_public = self._path("pki/sa.pub", pki.public_pem(key))
        self.kubeconfig = self._kubeconfig("admin", "admin", "system:masters")

    def _kubeconfig(self, name: str, user: str, group: Optional[str] = None) -> Path:
        certificate, key = self.authority.issue(user, organization=group)
        return kube.write_kubeconfig(self.work / f"{name}.kubeconfig", SERVER, self.authority.pem, cert=certificate, key=key)

    def _containerd(self) -> Path:
        self._path("cni/10-pods.conflist", json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [{
            "type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS, "gateway": GATEWAY}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}))
        return self._path("containerd.toml", f"""\
version = 2
root = "{self.work}/containerd"
state = "/run/containerd"
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
disable_apparmor = true
# Without CAP_SYS_RESOURCE no process may lower its score, and no pod would start.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{self.work}/cni"
""")

    def _kubelet(self) -> Path:
        return self._path("kubelet.yaml", yaml.safe_dump({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "failCgroupV1": False, "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{self.work.name}",
            "containerRuntimeEndpoint": f"unix://{SOCKET}", "resolvConf": str(self._path("resolv.conf", f"nameserver {ADDRESS}\n")),
            "tlsCertFile": str(self.node_pair[0]), "tlsPrivateKeyFile": str(self.node_pair[1]),
            "authentication": {"x509": {"clientCAFile": str(self.ca)}, "anonymous": {"enabled": False}},
            # The machine's disk is not this test's.
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100, "clusterDNS": [ADDRESS], "clusterDomain": "cluster.local", "volumePluginDir": str(self.work / "plugins"),
            "syncFrequency": "10s", "nodeStatusUpdateFrequency": "4s", "failSwapOn": False}))

    # ----- processes

    def _start(self, name: str, *argv: object, ready: Optional[Callable[[], bool]] = None, wait: bool = True) -> Component:
        component = Component(name, [str(a) for a in argv], self.work / "logs" / f"{name}.log",
                              ready=(lambda _: ready()) if ready else None)
        self.components.append(component)
        component.spawn()
        if wait:
            component.wait_ready()
        return component

    def _answers(self, url: str) -> bool:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(*map(str, self.client_pair))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(url, timeout=5) as reply:
                return reply.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def start_runtime(self) -> None:
        self._start("containerd", "/usr/bin/containerd", "--config", self._containerd(), ready=lambda: subprocess.run(
            ["ctr", "version"], capture_output=True, check=False).returncode == 0)

    def start(self) -> None:
        etcd, peer = (f"http://{ADDRESS}:{port}" for port in (2379, 2380))
        self._start("etcd", self.tools / "etcd", f"--data-dir={self.work / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn",
                    f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
                    ready=lambda: self._answers(f"{etcd}/health"))
        self._start("kube-apiserver", self.tools / "kube-apiserver", f"--etcd-servers={etcd}", f"--bind-address={ADDRESS}",
                    f"--advertise-address={ADDRESS}", "--secure-port=6443", f"--client-ca-file={self.ca}",
                    f"--tls-cert-file={self.api_pair[0]}", f"--tls-private-key-file={self.api_pair[1]}",
                    f"--service-cluster-ip-range={SERVICES}", "--service-account-issuer=https://kubernetes.default.svc",
                    f"--service-account-key-file={self.account_public}", f"--service-account-signing-key-file={self.account_key}",
                    f"--kubelet-client-certificate={self.client_pair[0]}", f"--kubelet-client-key={self.client_pair[1]}",
                    f"--kubelet-certificate-authority={self.ca}", "--kubelet-preferred-address-types=InternalIP",
                    "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
                    # Webhooks are called at the addresses of their pods.
                    "--enable-aggregator-routing=true", ready=lambda: self._answers(f"{SERVER}/readyz"))
        self._start("kube-controller-manager", self.tools / "kube-controller-manager",
                    f"--kubeconfig={self._kubeconfig('controller-manager', 'system:kube-controller-manager')}",
                    f"--bind-address={ADDRESS}", f"--cert-dir={self.work / 'kcm'}", "--use-service-account-credentials",
                    "--leader-elect=false", f"--service-account-private-key-file={self.account_key}",
                    f"--root-ca-file={self.ca}", wait=False)
        self._start("kube-scheduler", self.tools / "kube-scheduler", "--leader-elect=false", f"--bind-address={ADDRESS}",
                    f"--cert-dir={self.work / 'scheduler'}",
                    f"--kubeconfig={self._kubeconfig('scheduler', 'system:kube-scheduler')}", wait=False)
        self._start("kube-proxy", self.tools / "kube-proxy", "--proxy-mode=nftables", f"--cluster-cidr={PODS}",
                    f"--hostname-override={NAME}", f"--kubeconfig={self._kubeconfig('proxy', 'system:kube-proxy')}",
                    "--conntrack-max-per-core=0", "--conntrack-min=0", f"--healthz-bind-address={ADDRESS}:10256",
                    f"--metrics-bind-address={ADDRESS}:10249", wait=False)
        self._start("kubelet", self.tools / "kubelet", f"--config={self._kubelet()}", f"--hostname-override={NAME}",
                    f"--node-ip={ADDRESS}", f"--root-dir={self.work / 'kubelet'}",
                    f"--kubeconfig={self._kubeconfig('kubelet', f'system:node:{NAME}', 'system:nodes')}", wait=False)
        self.wait_for(self.node_ready, 90, "the node to be Ready")
        self.wait_for(lambda: self.kubectl("get", "serviceaccount", "default"), 30, "the default ServiceAccount")

    def tails(self) -> str:
        return "\n".join(component.tail(15) for component in self.components)

    def dead(self) -> list[str]:
        return [component.name for component in self.components if not component.alive]

    @staticmethod
    def status(url: str, token: str = "") -> int:
        """The HTTP status of a page, 0 when nobody answers; whose certificate it is does not matter here."""
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=5) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    # ----- Kubernetes

    def load(self, archive: Path) -> None:
        """Gives an image to the node, which pulls nothing."""
        machine.run("ctr", "-n", "k8s.io", "images", "import", archive)

    def tag(self, name: str, other: str) -> None:
        machine.run("ctr", "-n", "k8s.io", "images", "tag", name, other)

    def kubectl(self, *argv: str, input: Optional[str] = None, check: bool = True, timeout: float = 120) -> str:
        command = [str(self.tools / "kubectl"), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.work / 'cache'}", *argv]
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL if input is None else None)
        if check and done.returncode != 0:
            raise kube.KubectlError(["kubectl", *argv], done.returncode, done.stdout, done.stderr)
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def get(self, *what: str) -> Any:
        result = json.loads(self.kubectl("get", *what, "-o", "json"))
        return result["items"] if result["kind"].endswith("List") and "items" in result else result

    def apply(self, objects: Union[str, list[dict[str, Any]]]) -> None:
        text = objects if isinstance(objects, str) else yaml.safe_dump_all(objects)
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)

    def wait_for(self, condition: Callable[[], T], timeout: float, what: str) -> T:
        return kube.wait_for(condition, timeout, what, 0.2)

    def node_ready(self) -> bool:
        if dead := self.dead():
            raise SystemExit(f"ended while the node started: {', '.join(dead)}\n{self.tails()}")
        return any(c["type"] == "Ready" and c["status"] == "True"
                   for node in self.get("nodes") for c in node["status"].get("conditions", []))
