"""Breakwater on a test bed, with operators that a test starts as it likes: through a proxy, two at once."""

from __future__ import annotations

import os
import pathlib

from scenario.storage import NAMESPACE, ROOT, SERVICE_ACCOUNT, Storage, http_get

from testbed import TestBed

CLOCK_TICKS = 100  # of /proc/<pid>/stat; USER_HZ is 100 on every Linux


def make_bed(nodes, **options):
    """A test bed; BREAKWATER_BIN_DIR names another build's binaries, for instance with a sanitizer."""
    return TestBed(nodes=nodes, bin_dir=os.environ.get("BREAKWATER_BIN_DIR"), **options)


class Installation(Storage):
    """A Storage whose operator is not started by `install`."""

    def install(self):
        self.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy/default"))
        self.kubectl("-n", NAMESPACE, "scale", "deployment", SERVICE_ACCOUNT, "--replicas=0")
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        self.operator_kubeconfig = self.bed.create_operator_kubeconfig(NAMESPACE, SERVICE_ACCOUNT)

    def start(self, name="operator", kubeconfig=None, flags=(), wait=True):
        """Starts an operator and returns what can be asked of it."""
        operator = Operator(self.bed, name, *self.bed.free_addresses(2))
        self.bed.start_operator(
            [f"--namespace={NAMESPACE}", "--image-config-map-name=piraeus-operator-image-config",
             f"--metrics-bind-address={operator.metrics_address}",
             f"--health-probe-bind-address={operator.health_address}", *self.operator_flags, *flags],
            name=name, kubeconfig=kubeconfig or self.operator_kubeconfig, ready=operator.ready if wait else None)
        return operator

    def bind_like_operator(self, service_account):
        """Another ServiceAccount with the operator's rights, so that the audit log tells two replicas apart."""
        for kind in ("clusterrolebindings", "rolebindings"):
            for binding in self.bed.get(kind, "--all-namespaces"):
                for subject in binding.get("subjects", []):
                    if subject["kind"] == "ServiceAccount" and subject["name"] == SERVICE_ACCOUNT:
                        metadata = {k: v for k, v in binding["metadata"].items() if k == "namespace"}
                        metadata["name"] = f"{binding['metadata']['name']}-{service_account}"
                        self.bed.apply({"apiVersion": binding["apiVersion"], "kind": binding["kind"],
                                        "metadata": metadata, "roleRef": binding["roleRef"],
                                        "subjects": [{**subject, "name": service_account}]})
        return self.bed.create_operator_kubeconfig(NAMESPACE, service_account)


class Operator:
    """One operator process: what it says about itself and what the kernel says about it."""

    def __init__(self, bed, name, metrics_address, health_address):
        self.bed, self.name = bed, name
        self.metrics_address, self.health_address = metrics_address, health_address

    @property
    def component(self):
        return self.bed.component(self.name)

    def ready(self):
        try:
            http_get(f"http://{self.health_address}/readyz")
            return True
        except OSError:
            return False

    def metrics(self):
        return http_get(f"http://{self.metrics_address}/metrics")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.component.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def memory_mib(self, field="VmRSS"):
        """VmRSS: now; VmHWM: the most there ever was."""
        for line in pathlib.Path(f"/proc/{self.component.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        raise LookupError(field)
