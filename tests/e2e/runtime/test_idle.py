"""A cluster in which nothing happens: the operator must cost next to nothing, for the API server and on its node."""
import os
import time
import typing
from collections import Counter

import pytest
from bench.installation import Installation, make_bed
from bench.stores import samples

NODES = int(os.environ.get("BREAKWATER_IDLE_NODES", "100"))
SECONDS = float(os.environ.get("BREAKWATER_IDLE_SECONDS", "60"))  # `make faults`: 600
WATCH_SECONDS = 290  # --watch-timeout: every watch is opened again at the latest after this
CPU_SHARE = 0.005  # of one core
MEMORY_MIB = 32
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


class Idle(typing.NamedTuple):
    requests: Counter  # (verb, resource, subresource): how many
    cpu_seconds: float
    memory_mib: float
    reopened: dict  # kind: watches that the server ended in order


@pytest.fixture(scope="module")
def idle():
    """All objects in place, then one measured period."""
    with make_bed(nodes=NODES) as bed:
        installation = Installation(bed)
        installation.install()
        operator = installation.start(flags=["--leader-elect"])
        installation.create_cluster()
        quiet(bed)
        mark, cpu, ended = time.time(), operator.cpu_seconds(), ended_watches(operator)
        time.sleep(SECONDS)  # the measured period itself, not a wait for something
        used = operator.cpu_seconds() - cpu
        counts, leases = bed.audit_counts(mark), bed.audit_leases(mark)
        memory = operator.memory_mib()
        reopened = {kind: n - ended[kind] for kind, n in ended_watches(operator).items()}
        print(f"\n{NODES} nodes, {SECONDS:.0f} s: {dict(counts)}, leases {dict(leases)}, "
              f"CPU {used:.2f} s = {100 * used / SECONDS:.2f} % of a core, RSS {memory:.1f} MiB, "
              f"peak {operator.memory_mib('VmHWM'):.1f} MiB, {operator_threads(operator)} threads, "
              f"watches opened again {reopened}")
        yield Idle(counts, used, memory, reopened)


def quiet(bed):
    """Waits until the operator has written nothing for 70 s: LINSTOR's free space is shown anew every minute."""
    def writes():
        return sum(n for (verb, _, _), n in bed.audit_counts().items() if verb in WRITES)

    seen = [writes(), time.monotonic()]

    def unchanged():
        now = writes()
        if now != seen[0]:
            seen[:] = [now, time.monotonic()]
        return time.monotonic() - seen[1] > 70

    bed.wait_for(unchanged, 300, "the operator to have nothing left to write", interval=1)


def ended_watches(operator):
    return {labels["kind"]: n for labels, n in samples(operator.metrics(), "breakwater_watch_restarts_total")
            if labels["why"] == "ended"}


def operator_threads(operator):
    return len(os.listdir(f"/proc/{operator.component.pid}/task"))


def test_nothing_is_written(idle):
    # Every write wakes every watcher of the object in the whole cluster, and etcd keeps a copy of it.
    counts = {key: n for key, n in idle.requests.items() if key[0] in WRITES}
    assert counts == {}


def test_nothing_is_listed(idle):
    # A list of all nodes and pods every few minutes is what makes API servers of large clusters slow.
    counts = {key: n for key, n in idle.requests.items() if key[0] == "list"}
    assert counts == {}


@pytest.mark.skipif(SECONDS < WATCH_SECONDS + 10, reason="no watch has to end in this time")
def test_watches_go_on_where_they_ended(idle):
    # A server ends every watch after minutes. Together with the test above: what comes after is no list, it is a watch
    # from the last version on, for every kind.
    assert idle.reopened, "the operator exports no watch"
    assert [kind for kind, n in idle.reopened.items() if n == 0] == []


def test_processor_time(idle):
    # It runs on a storage node next to the data path.
    assert idle.cpu_seconds < CPU_SHARE * SECONDS, f"{idle.cpu_seconds} s in {SECONDS} s"


def test_memory(idle):
    # The Deployment's memory limit would end it, in the middle of a migration.
    assert idle.memory_mib < MEMORY_MIB
