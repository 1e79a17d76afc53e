"""A cluster in which nothing happens: the operator must cost next to nothing, for the API server and on its node."""
import os
import time

import pytest
from bench.installation import Installation, make_bed

NODES = int(os.environ.get("BREAKWATER_IDLE_NODES", "100"))
SECONDS = float(os.environ.get("BREAKWATER_IDLE_SECONDS", "60"))  # 600 for a release
CPU_SHARE = 0.005  # of one core
MEMORY_MIB = 32
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@pytest.fixture(scope="module")
def idle():
    """All objects in place, then one measured period: (audit counts, CPU seconds, RSS in MiB, seconds)."""
    with make_bed(nodes=NODES) as bed:
        installation = Installation(bed)
        installation.install()
        operator = installation.start(flags=["--leader-elect"])
        installation.create_cluster()
        quiet(bed)
        mark, cpu = time.time(), operator.cpu_seconds()
        time.sleep(SECONDS)  # the measured period itself, not a wait for something
        used = operator.cpu_seconds() - cpu
        counts, leases = bed.audit_counts(mark), bed.audit_leases(mark)
        memory = operator.memory_mib()
        print(f"\n{NODES} nodes, {SECONDS:.0f} s: {dict(counts)}, leases {dict(leases)}, "
              f"CPU {used:.2f} s = {100 * used / SECONDS:.2f} % of a core, RSS {memory:.1f} MiB, "
              f"peak {operator.memory_mib('VmHWM'):.1f} MiB, {operator_threads(operator)} threads")
        yield counts, used, memory


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


def operator_threads(operator):
    return len(os.listdir(f"/proc/{operator.component.pid}/task"))


def test_nothing_is_written(idle):
    # Every write wakes every watcher of the object in the whole cluster, and etcd keeps a copy of it.
    counts = {key: n for key, n in idle[0].items() if key[0] in WRITES}
    assert counts == {}


def test_nothing_is_listed(idle):
    # A list of all nodes and pods every few minutes is what makes API servers of large clusters slow.
    counts = {key: n for key, n in idle[0].items() if key[0] == "list"}
    assert counts == {}


def test_processor_time(idle):
    # It runs on a storage node next to the data path.
    assert idle[1] < CPU_SHARE * SECONDS, f"{idle[1]} s in {SECONDS} s"


def test_memory(idle):
    # The Deployment's memory limit would end it, in the middle of a migration.
    assert idle[2] < MEMORY_MIB
