"""Faults between the operator and the API server while 200 objects change: nothing may be lost or late.

Level of proof: every store of the operator has the fingerprint of the server's own list, and what is rendered from the
changed objects is what it should be.
"""
import concurrent.futures
import os
import threading
import time

import pytest
from bench.client import ApiClient
from bench.installation import Installation, make_bed
from bench.stores import StoreCheck, total
from faultproxy import Answer, BlackHole, Delay, Drop, FaultChain, HalfChunk, Reset, TlsCut, Truncate
from scenario import NAMESPACE
from scenario.storage import CLUSTER

CONFIGURATIONS, CONFIG_MAPS, NODES = 100, 50, 25
RECOVERY = 10.0
# How long the operator lets a silent watch live. Its default is minutes; the test shortens it when it can.
WATCH_TIMEOUT = int(os.environ.get("BREAKWATER_WATCH_TIMEOUT", "20"))


@pytest.fixture(scope="module")
def installation():
    with make_bed(nodes=NODES) as bed:
        result = Installation(bed)
        result.install()
        yield result


@pytest.fixture(scope="module")
def chain(installation):
    with FaultChain(installation.bed, installation.operator_kubeconfig) as chain:
        yield chain


@pytest.fixture(scope="module")
def operator(installation, chain):
    # As it is deployed: with an election. It ends by itself when it cannot renew its Lease for 10 s (where the kubelet
    # would start it again), so no outage may be longer than that.
    operator = installation.start(kubeconfig=chain.kubeconfig,
                                  flags=["--leader-elect", f"--watch-timeout={WATCH_TIMEOUT}s"])
    installation.create(CLUSTER)
    installation.bed.wait_for(installation.all_online, 120, "all satellites ONLINE in LINSTOR")
    return operator


@pytest.fixture(scope="module")
def changes(installation, operator):
    changes = Changes(installation)
    changes.apply()
    settle(installation, operator, changes, 60)
    return changes


class Changes:
    """200 objects of three kinds; `apply` changes every one of them, deletes some and makes others."""

    def __init__(self, installation):
        self.bed, self.client = installation.bed, ApiClient(installation.bed.kubeconfig)
        self.round, self.answered = 0, 0  # `answered`: calls of all rounds

    def apply(self):
        self.round += 1
        missing = range(self.round % 10, CONFIGURATIONS, 10)  # every round others
        configurations = "/apis/piraeus.io/v1/linstorsatelliteconfigurations"
        config_maps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        labels = {"example.com/round": str(self.round), "example.com/long": "x" * (1 + self.round % 60)}
        calls = [(self.client.apply, f"{configurations}/fault-{i}", self.configuration(i))
                 for i in range(CONFIGURATIONS) if i not in missing]
        calls += [(self.client.delete, f"{configurations}/fault-{i}") for i in missing]
        calls += [(self.client.apply, f"{config_maps}/fault-{i}-{self.round}", self.config_map(i))
                  for i in range(CONFIG_MAPS)]
        calls += [(self.client.delete, f"{config_maps}/fault-{i}-{self.round - 1}") for i in range(CONFIG_MAPS)]
        calls += [(self.client.merge, f"/api/v1/nodes/{node}", {"metadata": {"labels": labels}})
                  for node in self.bed.nodes]
        self.expected = {f"Aux/fault-{i}": str(self.round) for i in range(CONFIGURATIONS) if i not in missing}
        self.client.parallel(self._call, calls, threads=4)

    def _call(self, call):
        call[0](*call[1:])
        self.answered += 1

    def configuration(self, i):
        return {"apiVersion": "piraeus.io/v1", "kind": "LinstorSatelliteConfiguration",
                "metadata": {"name": f"fault-{i}"},
                "spec": {"properties": [{"name": f"Aux/fault-{i}", "value": str(self.round)}]}}

    def config_map(self, i):
        # A name per round: creations and deletions, not only updates.
        return {"apiVersion": "v1", "kind": "ConfigMap", "data": {"round": str(self.round)},
                "metadata": {"name": f"fault-{i}-{self.round}", "namespace": NAMESPACE}}

    def wrong(self):
        """The satellites whose properties are not those of the configurations."""
        wrong = []
        for satellite in self.client.list("/apis/piraeus.io/v1/linstorsatellites"):
            properties = {p["name"]: p.get("value") for p in satellite["spec"].get("properties", [])
                          if p["name"].startswith("Aux/fault-")}
            if properties != self.expected:
                wrong.append(satellite["metadata"]["name"])
        return wrong


def settle(installation, operator, changes, limit):
    """Waits until the operator knows and has done everything; returns the seconds that knowing took."""
    start = time.monotonic()
    assert operator.component.alive, "the operator ended: could it not renew its Lease for 10 s?"
    check = StoreCheck(changes.client, operator.metrics)
    installation.bed.wait_for(check.done, limit, "the stores to equal the server's lists")
    took = time.monotonic() - start
    assert took < limit  # what wait_for sees in its last look may be later

    def rendered():
        wrong = changes.wrong()
        assert not wrong, f"satellites with old properties: {wrong}"
        return True

    installation.bed.wait_for(rendered, 60, "every change in the satellites")
    assert operator.component.alive
    assert total(operator.metrics(), "breakwater_panics_total") == 0
    return took


def report(record_property, what, seconds):
    record_property("recovery_seconds", round(seconds, 2))
    print(f"{what}: equal {seconds:.1f} s after the end of the fault")


@pytest.mark.parametrize("fault", [Delay(0.3), Drop(), Reset(), HalfChunk(20000), TlsCut()],
                         ids=lambda f: type(f).__name__)
def test_network_faults(installation, chain, operator, changes, fault, record_property):
    # A node's network fails for seconds: a lost event is a satellite that keeps its old configuration for ever.
    with chain.network.fault(fault):
        changes.apply()
    report(record_property, fault, settle(installation, operator, changes, RECOVERY))


def test_connections_reset_again_and_again(installation, chain, operator, changes, record_property):
    # A load balancer that is restarted in a loop: every resume must start where the last stream really ended.
    done = threading.Event()

    def strike():
        while not done.wait(0.2):
            chain.network.strike(Reset())

    striker = threading.Thread(target=strike)
    striker.start()
    try:
        changes.apply()
    finally:
        done.set()
        striker.join()
    report(record_property, "resets", settle(installation, operator, changes, RECOVERY))


@pytest.mark.parametrize("requests", [False, True], ids=["both-directions", "replies-only"])
def test_black_hole(installation, chain, operator, changes, requests, record_property):
    # A firewall forgets the connections: nothing ever comes, no error either. Only a time limit can notice.
    with chain.network.fault(BlackHole(requests=requests)):
        changes.apply()
    report(record_property, "black hole", settle(installation, operator, changes, WATCH_TIMEOUT + RECOVERY))


@pytest.mark.parametrize("rule", [
    Answer(429, share=0.5, retry_after=1), Answer(429, share=0.5), Answer(500, share=0.5), Answer(503, share=0.5),
    Truncate(3000, share=0.5), Answer(503)], ids=["429-retry-after", "429", "500", "503", "truncated", "only-503"])
def test_server_faults(installation, chain, operator, changes, rule, record_property):
    # An overloaded API server refuses half of all requests, and cuts watches in the middle of an object.
    before = chain.server.watch_hits
    with chain.server.answers(rule):
        chain.network.strike(Reset())  # open watches would not notice; now every one has to be opened under the rule
        changes.apply()
        changes.bed.wait_for(lambda: chain.server.watch_hits > before, 10, "the rule to hit a watch")
    report(record_property, rule, settle(installation, operator, changes, RECOVERY))


@pytest.mark.parametrize("components", [["kube-apiserver"], ["etcd"], ["kube-apiserver", "etcd"]],
                         ids=lambda c: "+".join(c))
def test_control_plane_restarts(installation, operator, changes, components, record_property):
    # An upgrade of the control plane: the operator has to go on as if nothing had been. What changes while the server
    # comes back must not fall into the gap between the old watches and the new ones.
    bed, before = installation.bed, changes.answered
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        applied = pool.submit(changes.apply)  # waits while there is no server, and goes on as soon as there is one
        bed.wait_for(lambda: changes.answered > before + 10, 30, "the changes to be on their way")
        down = time.monotonic()
        for name in components:
            bed.kill(name)
        assert not applied.done(), "all changes were made before the outage"
        for name in reversed(components):
            bed.start_component(name)
        bed.wait_for(lambda: bed.kubectl("get", "--raw", "/readyz"), 60, "the API server to be ready")
        print(f"{components}: ready {time.monotonic() - down:.1f} s after the end")
        applied.result()
    # From here on: the server is ready and the last change is made, whichever was later.
    report(record_property, components, settle(installation, operator, changes, RECOVERY))


def test_what_was_compacted_meanwhile_is_listed(installation, chain, operator, changes, record_property):
    # The operator was away for longer than etcd remembers: objects deleted meanwhile must vanish from it too.
    bed = installation.bed
    before = total(operator.metrics(), "breakwater_watch_restarts_total", why="gone")
    with chain.network.fault(Drop()):
        changes.apply()
        bed.compact_etcd()
        bed.stop_apiserver()  # its cache of recent events would still serve the old version
        bed.start_apiserver()
        changes.apply()
    report(record_property, "compaction", settle(installation, operator, changes, RECOVERY))
    assert total(operator.metrics(), "breakwater_watch_restarts_total", why="gone") > before
