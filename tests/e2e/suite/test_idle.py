"""A converged, encrypted cluster costs nothing: no write, no list, also after a restart of the operator."""
import signal
import time

from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML


def test_idle_writes_and_lists_nothing(volumes):
    # An idle operator must not load the API server: only its Lease, reads of nodes and open watches.
    bed = volumes.bed
    volumes.apply(HANDSHAKE_DAEMON_YAML)
    volumes.apply(CLUSTER_TLS_YAML)
    bed.wait_for(lambda: volumes.encrypted() and volumes.migration_complete(), 120, "nothing to do")
    settle(volumes)
    mark = time.time()
    time.sleep(60)  # the measured period itself, not a wait for something
    counts = bed.audit_counts(mark)
    assert writes(counts) == {}, counts
    assert {key: n for key, n in counts.items() if key[0] == "list"} == {}, counts


def test_restart_with_nothing_changed_writes_nothing(volumes):
    # An upgrade or eviction of the operator must not touch a running storage cluster.
    bed = volumes.bed
    mark = time.time()
    bed.kill_operator(signal.SIGTERM)
    volumes.start_operator()
    bed.wait_for(volumes.operator_ready, 60, "the operator to be ready again")
    bed.wait_for(lambda: any(key[0] == "watch" for key in bed.audit_counts(mark)), 60, "its watches")
    settle(volumes)
    assert writes(bed.audit_counts(mark)) == {}, bed.audit_counts(mark)


def writes(counts):
    """Creates, updates, patches and deletes, those of events too, other than those of the leader's Lease."""
    return {key: n for key, n in counts.items()
            if key[0] in ("create", "update", "patch", "delete", "deletecollection") and key[1] != "leases"}


def settle(storage):
    """Waits until 35 s passed without a write: what was started before the measurement is done.

    The last note of a series of events is written up to 30 s after its first.
    """
    bed = storage.bed
    mark = {"at": time.time(), "since": time.monotonic()}

    def quiet():
        if writes(bed.audit_counts(mark["at"])):
            mark["at"], mark["since"] = time.time(), time.monotonic()
        return time.monotonic() - mark["since"] > 35

    bed.wait_for(quiet, 150, "35 seconds without a write", interval=1)
