"""LINSTOR cannot be reached from the start, for instance while its database migrates."""
import time

from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML, NAMESPACE


def test_everything_is_rendered_and_the_wait_is_quiet(storage):
    # An unreachable controller must not freeze the roll-out of satellites, and waiting must be cheap.
    bed = storage.bed
    bed.pause("linstor-sim")
    storage.create({"apiVersion": "piraeus.io/v1", "kind": "LinstorCluster", "metadata": {"name": "linstorcluster"},
                    "spec": {"externalController": {"url": "http://127.0.0.1:9"}}})
    storage.issue_certificates()
    storage.apply(HANDSHAKE_DAEMON_YAML)
    storage.apply(CLUSTER_TLS_YAML)

    def rendered():
        sets = storage.get("-n", NAMESPACE, "daemonsets", "-l", "app.kubernetes.io/component=linstor-satellite")["items"]
        containers = [{c["name"] for c in s["spec"]["template"]["spec"]["containers"]} for s in sets]
        return len(sets) == len(bed.nodes) and all("ktls-utils" in names for names in containers)

    bed.wait_for(rendered, 60, "a satellite DaemonSet with ktls-utils for every node")
    bed.wait_for(lambda: (condition := storage.condition(storage.cluster(), "Available")) and
                 condition["status"] != "True" and "127.0.0.1:9" in condition["message"],
                 60, "a condition that says what is missing")
    # The pods start and are looked at; that is no waiting yet.
    bed.wait_for(lambda: all(storage.condition(satellite, "ReplicationTLSReady").get("status") == "True"
                             for satellite in storage.get("linstorsatellites")["items"]), 90, "every node ready for TLS")
    began = time.time()
    # What the new objects caused is done and the back-off has grown: ten seconds with hardly a request.
    bed.wait_for(lambda: time.time() - began > 10 and sum(bed.audit_counts(time.time() - 10).values()) <= 3, 40,
                 "the operator's requests to become few")
    mark = time.time()
    time.sleep(60)  # the measured period itself, not a wait for something
    counts = {key: n for key, n in bed.audit_counts(mark).items() if key[1] != "leases"}
    bed.resume("linstor-sim")  # the search for secrets asks it
    assert sum(counts.values()) < 10, counts
