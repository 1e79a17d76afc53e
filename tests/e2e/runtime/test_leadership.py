"""Two replicas: never do both act at once, and one takes over soon, whatever happens to the other.

Each replica has a ServiceAccount of its own, so that the audit log says who wrote what and when.
"""
import itertools
import signal
import threading
import time

import pytest
from bench.client import ApiClient
from bench.installation import Installation, make_bed
from faultproxy import BlackHole, FaultChain
from scenario import NAMESPACE
from scenario.storage import CLUSTER
from testbed import kube
from testbed.bed import operator_user

TAKE_OVER = 20.0
LEASE = 15.0
WRITES = {"create", "update", "patch", "delete", "deletecollection"}
NAMES = ["replica-a", "replica-b"]


@pytest.fixture(scope="module")
def installation():
    with make_bed(nodes=3) as bed:
        audit_both(bed)
        result = Installation(bed)
        result.install()
        result.create(CLUSTER)
        yield result


def audit_both(bed):
    """The API server reads its audit policy at start only."""
    policy = bed.work / "audit-policy.yaml"
    rules = [kube.audit_policy(operator_user(service_account=name)) for name in NAMES]
    both = kube.yaml.safe_load(rules[0])
    both["rules"][0]["users"] += kube.yaml.safe_load(rules[1])["rules"][0]["users"]
    policy.write_text(kube.yaml.safe_dump(both))
    bed.stop_apiserver()
    bed.start_apiserver()


@pytest.fixture(scope="module")
def chain(installation):
    """The way of replica-a to the API server; replica-b has a direct one."""
    with FaultChain(installation.bed, installation.bind_like_operator(NAMES[0])) as chain:
        yield chain


@pytest.fixture(scope="module")
def kubeconfigs(installation, chain):
    return {NAMES[0]: chain.kubeconfig, NAMES[1]: installation.bind_like_operator(NAMES[1])}


@pytest.fixture()
def leader(installation, kubeconfigs):
    """replica-a leads, replica-b waits, and there is always something to write."""
    bed = installation.bed
    for name in NAMES:
        if name in bed.components and bed.components[name].alive:
            bed.kill_operator(signal.SIGTERM, name=name)
    start(installation, kubeconfigs, NAMES[0])
    bed.wait_for(lambda: holder(bed).startswith(NAMES[0]), 30, "replica-a to lead")
    start(installation, kubeconfigs, NAMES[1])
    with Load(bed) as load:
        bed.wait_for(lambda: writers(bed, load.since) == [NAMES[0]], 30, "replica-a to write")
        yield load


def start(installation, kubeconfigs, name):
    return installation.start(name=name, kubeconfig=kubeconfigs[name], flags=["--leader-elect"])


def holder(bed):
    leases = bed.get("leases", "-n", NAMESPACE)
    return next((lease["spec"].get("holderIdentity", "") for lease in leases), "")


class Load:
    """Changes a configuration all the time, so that the leader has a write to make at any moment."""

    def __init__(self, bed):
        self.client, self.since, self._end = ApiClient(bed.kubeconfig), time.time(), threading.Event()
        bed.apply({"apiVersion": "piraeus.io/v1", "kind": "LinstorSatelliteConfiguration",
                   "metadata": {"name": "load"}, "spec": {}})
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        path = "/apis/piraeus.io/v1/linstorsatelliteconfigurations/load"
        for i in itertools.count():
            self.client.merge(path, {"spec": {"properties": [{"name": "Aux/load", "value": str(i)}]}})
            if self._end.wait(0.05):
                return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        alive = self._thread.is_alive()
        self._end.set()
        self._thread.join()
        assert alive, "nothing was changed any more: a leader that does nothing wrong would prove nothing"


def acts(event):
    """A write, or a command on a node; Leases and Events are what a replica may write that does not lead."""
    reference = event.get("objectRef", {})
    if (reference.get("resource"), reference.get("subresource")) == ("pods", "exec"):
        return True  # its verb is "get" when it goes through a websocket
    return event["verb"] in WRITES and reference.get("resource") not in ("leases", "events")


def writes(bed, since):
    """(time, replica) of every write and command that reached the server, in the order in which they arrived."""
    found = []
    for event in kube.audit_entries(bed.audit_log):
        when = kube.parse_time(event["requestReceivedTimestamp"])
        if when >= since and acts(event):
            found.append((when, event["user"]["username"].rpartition(":")[2]))
    return sorted(found)


def writers(bed, since):
    """Who wrote, in order, without repetition: two names once are a take-over, three are two leaders at once."""
    return [name for name, _ in itertools.groupby(name for _, name in writes(bed, since))]


def take_over(bed, since, event_time, limit=TAKE_OVER):
    """Waits until replica-b writes; returns the seconds since `event_time`."""
    bed.wait_for(lambda: NAMES[1] in writers(bed, since), limit + 5, "replica-b to write")
    first = next(when for when, name in writes(bed, since) if name == NAMES[1])
    print(f"take-over after {first - event_time:.1f} s")
    assert first - event_time < limit
    return first - event_time


def assert_handed_over_once(bed, since, ended):
    """replica-a wrote, then replica-b. Judged when a write is logged that is later than the end of replica-a: one that
    replica-a made at its end is in the log by then."""
    bed.wait_for(lambda: any(name == NAMES[1] and when > ended for when, name in writes(bed, since)), 30,
                 "replica-b to write after the end of replica-a")
    assert writers(bed, since) == NAMES


def test_leader_killed(installation, leader, record_property):
    # A node dies: until somebody takes over no volume can be moved and no new node gets storage.
    bed = installation.bed
    killed = time.time()
    bed.kill_operator(signal.SIGKILL, name=NAMES[0])
    ended = time.time()
    record_property("take_over_seconds", take_over(bed, leader.since, killed))
    assert_handed_over_once(bed, leader.since, ended)


def test_leader_stopped_in_order(installation, leader, record_property):
    # A roll-out of the operator itself must not cost 15 s for every replica.
    bed = installation.bed
    stopped = time.time()
    assert bed.kill_operator(signal.SIGTERM, name=NAMES[0]) == 0
    ended = time.time()
    record_property("take_over_seconds", take_over(bed, leader.since, stopped, limit=5))
    assert_handed_over_once(bed, leader.since, ended)


@pytest.mark.parametrize("attempt", range(3))
def test_leader_paused_for_longer_than_its_lease(installation, leader, attempt, record_property):
    # A frozen virtual machine thinks after 20 s that it still leads: one write then can undo what the new leader did.
    bed = installation.bed
    paused = time.time()
    bed.pause(NAMES[0])
    record_property("take_over_seconds", take_over(bed, leader.since, paused))
    bed.resume(NAMES[0])
    component = bed.component(NAMES[0])
    bed.wait_for(lambda: not component.alive, 30, "the old leader to end")
    ended = time.time()
    assert component.process.returncode != 0, "a lost lease must show as a failure of the container"
    assert_handed_over_once(bed, leader.since, ended)


def test_leader_paused_for_less_than_its_lease(installation, leader):
    # A short hiccup must not change anything.
    bed = installation.bed
    bed.pause(NAMES[0])
    mark = time.time()
    time.sleep(5)  # the fault itself
    bed.resume(NAMES[0])
    bed.wait_for(lambda: [n for w, n in writes(bed, mark + 5)] != [], 10, "writes to go on")
    assert writers(bed, leader.since) == NAMES[:1]
    assert bed.component(NAMES[0]).alive


@pytest.mark.parametrize("requests", [False, True], ids=["both-directions", "replies-only"])
def test_leader_cut_off(installation, chain, kubeconfigs, leader, requests, record_property):
    # The leader's node loses its network. It cannot know that somebody else takes over, so it must stop by itself.
    bed = installation.bed
    component = bed.component(NAMES[0])
    cut = time.time()
    with chain.network.fault(BlackHole(requests=requests)):
        bed.wait_for(lambda: not component.alive, LEASE, "the old leader to end before its lease does")
        record_property("take_over_seconds", take_over(bed, leader.since, cut))
        start_again = installation.start(name=NAMES[0], kubeconfig=kubeconfigs[NAMES[0]],
                                         flags=["--leader-elect"], wait=False)
    bed.wait_for(start_again.ready, 60, "the old leader to be a candidate again")
    # What the network still held back of the old leader would arrive now.
    assert_handed_over_once(bed, leader.since, time.time())
