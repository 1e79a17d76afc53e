"""What a user does, and what must be true after it: install, use, upgrade, remove."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Optional

import yaml

from testbed import ReplicationPki, kube

from . import machine
from .cluster import Cluster

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "piraeus-datastore"
OPERATOR = "piraeus-operator-controller-manager"
RELEASE = "breakwater"
CLUSTER = {
    "apiVersion": "piraeus.io/v1", "kind": "LinstorCluster", "metadata": {"name": "linstorcluster"},
    "spec": {"internalTLS": {}, "properties": [{"name": "DrbdOptions/Net/tls", "value": "yes"}],
             "replicationTLS": {"certificates": {"mode": "Managed"}},
             # Their images cannot be had here; tests/e2e/suite renders and applies them.
             **{name: {"enabled": False} for name in ("csiController", "csiNode", "highAvailabilityController",
                                                     "affinityController", "nfsServer")}}}
DAEMON = {"apiVersion": "piraeus.io/v1", "kind": "LinstorSatelliteConfiguration", "metadata": {"name": "internal-tls"},
          "spec": {"internalTLS": {"tlsHandshakeDaemon": True}}}
MISTAKE = yaml.safe_dump({"apiVersion": "piraeus.io/v1", "kind": "LinstorSatelliteConfiguration", "metadata": {"name": "probe"},
                          "spec": {"patches": [{"patch": "nonsense"}]}})
# Bits of CapEff.
CAPABILITIES = {"NET_ADMIN": 12, "SYS_ADMIN": 21}
# Stay with the definitions: the group of the API, and the authority that a new LinstorCluster goes on with.
KEPT = {("APIService", "<none>", "v1.piraeus.io"), ("Secret", NAMESPACE, "breakwater-replication-ca")}
GONE = {"Event", "Lease", "PodMetrics", "NodeMetrics", "ComponentStatus"}  # come and go by themselves


class Failure(AssertionError):
    """Something is not as it must be."""


def require(condition: object, what: str) -> None:
    if not condition:
        raise Failure(what)


class Steps:
    def __init__(self, cluster: Cluster, helm: Path, versions: dict[str, str]):
        self.cluster, self.helm_program, self.versions = cluster, helm, versions
        self.began = self.last = time.monotonic()
        self.times: list[tuple[str, float]] = []
        self.values = cluster.work / "values.yaml"
        self.values.write_text(yaml.safe_dump(self._values()))

    def _values(self) -> dict[str, Any]:
        done, runs, linstor = ({"image": f"standin-{name}", "tag": "1"} for name in ("done", "runs", "linstor"))
        return {"registry": "localhost", "components": {"images": [{"base": "localhost", "components": {
            "linstor-controller": linstor, "linstor-satellite": linstor, "drbd-reactor": runs, "drbd-module-loader": done,
            "drbd-shutdown-guard": done, "ktls-utils": {"image": "ktls-utils", "tag": self.versions["ktls-utils"]}}}]}}

    def done(self, what: str) -> None:
        now = time.monotonic()
        self.times.append((what, now - self.last))
        print(f"[{now - self.began:5.1f} s] {what} ({now - self.last:.1f} s)", flush=True)
        self.last = now

    def note(self, text: str) -> None:
        print(f"          {text}", flush=True)

    # ----- tools

    def helm(self, *argv: str) -> None:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.cluster.work),
                       "KUBECONFIG": str(self.cluster.kubeconfig)}
        done = subprocess.run([str(self.helm_program), *argv, "--namespace", NAMESPACE], env=environment, check=False,
                              capture_output=True, text=True)
        require(done.returncode == 0, f"helm {' '.join(argv)}: {done.stderr.strip()}")

    def install(self, *flags: str) -> None:
        self.helm("upgrade", "--install", RELEASE, str(ROOT / "charts/breakwater"), "--values", str(self.values), "--wait",
                  "--timeout", "180s", *flags)

    def pods(self, component: str) -> list[dict[str, Any]]:
        return [pod for pod in self.cluster.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/component={component}")
                if not pod["metadata"].get("deletionTimestamp")]

    def satellite(self) -> dict[str, Any]:
        (pod,) = self.pods("linstor-satellite")
        return pod

    def wait(self, condition: Callable[[], Any], timeout: float, what: str) -> Any:
        return self.cluster.wait_for(condition, timeout, what)

    def objects(self) -> set[tuple[str, str, str]]:
        """(kind, namespace, name) of everything that the API server has."""
        kinds = self.cluster.kubectl("api-resources", "--verbs=list", "-o", "name").split()
        text = self.cluster.kubectl("get", ",".join(sorted(kinds)), "-A", "--ignore-not-found", "--no-headers", "-o",
                                    "custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name")
        rows = {tuple(line.split()) for line in text.splitlines() if line.strip()}
        return {row for row in rows if len(row) == 3 and row[0] not in GONE}  # type: ignore[misc]

    # ----- steps

    def operator_in_a_restricted_namespace(self) -> None:
        self.cluster.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted"}}}])
        self.before = self.objects()
        self.install()
        self.done("helm install: the operator is Ready in a namespace that enforces `restricted`")
        running = machine.processes("breakwater-operator")
        require(running, "there is no process of the operator on the node")
        for process in running:
            uid, capabilities = process["Uid"].split()[0], int(process["CapEff"], 16)
            require(uid == "65532" and capabilities == 0 and process["Seccomp"] == "2" and process["NoNewPrivs"] == "1",
                    f"the operator's process has more than it needs: {process}")
        self.note("its process: user 65532, no capability, seccomp filter, no new privileges")
        pod = self.pods("piraeus-operator")[0]["metadata"]["name"]
        answer = self.cluster.kubectl("-n", NAMESPACE, "exec", pod, "--", "sh", "-c", "true", check=False)
        require("executable file not found" in answer or "no such file" in answer, f"there is a shell: {answer}")
        self.note("kubectl exec … -- sh: there is none in the image")

    def webhook_and_metrics(self) -> None:
        self.wait(lambda: "is invalid" in self._write_a_mistake(), 150, "the webhook to be asked")
        self.done("the API server asks the webhook, with the certificate that the operator made: a mistake is refused")
        address = f"https://{self.pods('piraeus-operator')[0]['status']['podIP']}:8443/metrics"
        self.cluster.kubectl("-n", NAMESPACE, "create", "serviceaccount", "reader")
        codes = [self.cluster.status(address), self.cluster.status(address, self._token())]
        self.cluster.kubectl("create", "clusterrolebinding", "reader", "--clusterrole=piraeus-operator-metrics-reader",
                             f"--serviceaccount={NAMESPACE}:reader")
        # The answer for a token is remembered for a minute: each is asked about once.
        self.wait(lambda: self.cluster.status(address, self._token()) == 200, 30, "metrics to be shown to who has the right")
        self.cluster.kubectl("delete", "clusterrolebinding", "reader")
        self.cluster.kubectl("-n", NAMESPACE, "delete", "serviceaccount", "reader")
        require(codes == [401, 403], f"metrics without a token and without the right: {codes}")
        self.note("metrics: 401 without a token, 403 without the right, 200 with it")
        self.cluster.kubectl("-n", NAMESPACE, "scale", "deployment", OPERATOR, "--replicas=0")
        self.wait(lambda: not self.pods("piraeus-operator"), 60, "the operator to end")
        answer = self._write_a_mistake()
        require("created" in answer, f"without the operator: {answer}")
        self.cluster.kubectl("-n", NAMESPACE, "scale", "deployment", OPERATOR, "--replicas=2")
        self.cluster.kubectl("-n", NAMESPACE, "rollout", "status", "deployment", OPERATOR, "--timeout=60s")
        self.done("without the operator everything can be written; it is back")

    def _token(self) -> str:
        return self.cluster.kubectl("-n", NAMESPACE, "create", "token", "reader").strip()

    def _write_a_mistake(self) -> str:
        return self.cluster.kubectl("create", "--dry-run=server", "-f", "-", input=MISTAKE, check=False)

    def cluster_with_handshake_daemon(self) -> None:
        self.cluster.kubectl("label", "namespace", NAMESPACE, "--overwrite", "pod-security.kubernetes.io/enforce=privileged")
        authority = ReplicationPki([machine.NAME, "linstor-controller-internal"])
        self.cluster.apply([{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                             "metadata": {"name": f"{name}-tls", "namespace": NAMESPACE}, "stringData": data}
                            for name, data in authority.leaves.items()])
        self.cluster.apply([DAEMON])
        self.cluster.apply([CLUSTER])
        self.wait(self._controller_ready, 90, "the LINSTOR controller's pod (a stand-in) to be Ready")
        self.done("LinstorCluster: the controller's pod is Ready")
        self.wait(self._satellite_runs, 120, "the satellite's containers to run")
        self.done("the satellite's pod runs on the node")

    def _controller_ready(self) -> bool:
        (pod,) = self.pods("linstor-controller")
        return all(container["ready"] for container in pod["status"]["containerStatuses"])

    def _satellite_runs(self) -> bool:
        states = {c["name"]: c for c in self.satellite()["status"]["containerStatuses"]}
        wanted = {"linstor-satellite", "drbd-reactor", "breakwater-agent"}
        return wanted | {"ktls-utils"} == set(states) and all(states[name]["ready"] for name in wanted)

    def what_only_a_kubelet_shows(self) -> None:
        wanted = sum(1 << bit for bit in CAPABILITIES.values())
        agents = machine.processes("breakwater-agent")
        require(agents, "there is no process of the agent on the node")
        for agent in agents:
            require(int(agent["CapEff"], 16) == wanted, f"the agent has the capabilities {agent['CapEff']}, not {wanted:x}")
            require(agent["Seccomp"] == "2" and agent["NoNewPrivs"] == "1", f"the agent's process: {agent}")
        self.note(f"the agent's process: {' and '.join(CAPABILITIES)} only, seccomp filter, no new privileges")
        version = self.cluster.kubectl("-n", NAMESPACE, "exec", self.satellite()["metadata"]["name"], "-c", "breakwater-agent",
                                       "--", "/breakwater/bin/breakwater-agent", "version").split()[-1]
        require(version == self.versions["breakwater-agent"], f"the agent says that it is {version}")
        uid = self.satellite()["metadata"]["uid"]
        folder = self.cluster.work / "kubelet/pods" / uid / "volumes/kubernetes.io~projected"
        keys = {path.parent.name: oct((path.resolve().stat().st_mode) & 0o777) for path in folder.glob("*/tls.key")}
        require(keys.get("replication-tls") == "0o600", f"modes of the keys: {keys}")
        self.note(f"the key of replication is mounted with mode 600; modes of all: {keys}")

    def reasons(self) -> None:
        last = self.wait(self._tlshd_ended, 60, "tlshd-check to say what is missing")
        require(last["exitCode"] == 3 and "no handshake service" in last.get("message", ""), f"ktls-utils ended with {last}")
        self.note(f"ktls-utils: exit status 3, \"{last['message'].strip()[:110]}…\"")
        condition = self.wait(self._unready, 60, "the satellite's ReplicationTLSReady to be False with a reason")
        self.unready = condition
        self.note(f"LinstorSatellite ReplicationTLSReady=False, {condition['reason']}:")
        for sentence in re.split(r"; (?=[A-Z]\w+: )", condition["message"]):
            self.note(f"  {sentence}")
        for reason in ("DRBDNotLoaded", "KernelHandshakeMissing", "HandshakeDaemonNotReady"):
            require(reason in condition["message"], f"the operator does not say {reason}: {condition['message']}")
        self.done("what the node lacks is said: no DRBD, no handshake service")

    def _tlshd_ended(self) -> Optional[dict[str, Any]]:
        (status,) = [c for c in self.satellite()["status"]["containerStatuses"] if c["name"] == "ktls-utils"]
        for state in (status.get("state", {}), status.get("lastState", {})):
            if "terminated" in state:
                return state["terminated"]
        return None

    def _unready(self) -> Optional[dict[str, Any]]:
        satellite = self.cluster.get("linstorsatellite", machine.NAME)
        for condition in satellite.get("status", {}).get("conditions", []):
            if condition["type"] == "ReplicationTLSReady" and "HandshakeDaemonNotReady" in condition["message"]:
                return condition
        return None

    def upgrade_and_back(self) -> None:
        before = self.satellite()["metadata"]["uid"], {pod["metadata"]["uid"] for pod in self.pods("piraeus-operator")}
        # The same image under another name is another template, which is all that an upgrade needs.
        self.cluster.tag(f"localhost/breakwater-operator:{self.versions['breakwater-operator']}", "localhost/breakwater-operator:next")
        self.install("--set", "image.tag=next")
        self.done("helm upgrade to another image of the operator")
        images = {pod["spec"]["containers"][0]["image"] for pod in self.pods("piraeus-operator")}
        require(images == {"localhost/breakwater-operator:next"}, f"the operator's pods run {images}")
        self.helm("rollback", RELEASE, "1", "--wait", "--timeout", "180s")
        images = {pod["spec"]["containers"][0]["image"] for pod in self.pods("piraeus-operator")}
        require(images == {f"localhost/breakwater-operator:{self.versions['breakwater-operator']}"}, f"the operator's pods run {images}")
        self.done("helm rollback")
        require(self.satellite()["metadata"]["uid"] == before[0], "the upgrade of the operator has restarted a satellite")
        self.note("no satellite was restarted by either")

    def removal(self) -> None:
        self.cluster.kubectl("delete", "linstorcluster", "linstorcluster", "--timeout=120s", timeout=130)
        self.wait(lambda: not self.cluster.get("linstorsatellites") and not self.pods("linstor-satellite")
                  and not self.pods("linstor-controller"), 120, "satellites and controller to go")
        self.cluster.kubectl("delete", "linstorsatelliteconfiguration", "internal-tls", "--timeout=60s")
        self.done("LinstorCluster deleted: its pods and satellites are gone")
        self.helm("uninstall", RELEASE, "--wait", "--timeout", "120s")
        ours = {f"{name}-tls" for name in (machine.NAME, "linstor-controller-internal")}
        self.cluster.kubectl("-n", NAMESPACE, "delete", "secret", *sorted(ours))
        left: set[tuple[str, str, str]] = set()

        def clean() -> bool:
            nonlocal left
            left = {row for row in self.objects() - self.before - KEPT if row[0] != "CustomResourceDefinition"}
            return not left
        try:
            self.wait(clean, 60, "everything but the definitions to be gone")
        except kube.WaitTimeout:
            raise Failure("left after helm uninstall: " + ", ".join("/".join(row) for row in sorted(left))) from None
        self.done("helm uninstall: nothing is left but the definitions and the authority of replication")

    def all(self) -> None:
        self.operator_in_a_restricted_namespace()
        self.webhook_and_metrics()
        self.cluster_with_handshake_daemon()
        self.what_only_a_kubelet_shows()
        self.reasons()
        self.upgrade_and_back()
        self.removal()

    def report(self) -> dict[str, Any]:
        return {"seconds": {what: round(seconds, 1) for what, seconds in self.times},
                "total": round(time.monotonic() - self.began, 1), "reason": getattr(self, "unready", None)}

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.report(), indent=1) + "\n")
