"""From `kubectl apply` of a LinstorCluster until every satellite is rendered and registered in LINSTOR."""

from __future__ import annotations

import time
from collections import Counter

from scenario.storage import CLUSTER, NAMESPACE
from testbed import kube

from .client import ApiClient
from .installation import Installation, make_bed

WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def measure_rollout(nodes: int) -> dict:
    with make_bed(nodes=nodes) as bed:
        installation = Installation(bed)
        installation.install()
        operator = installation.start(flags=["--leader-elect"])
        bed.wait_for(lambda: "breakwater_leader 1" in operator.metrics(), 30, "the operator to lead")
        client = ApiClient(bed.kubeconfig)
        cpu, mark, start = operator.cpu_seconds(), time.time(), time.monotonic()
        installation.create(CLUSTER)
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
        limit = 120 + 2 * nodes

        def rendered() -> bool:
            return len(client.list(path, "app.kubernetes.io/component=linstor-satellite")) >= nodes

        bed.wait_for(rendered, limit, "all satellites rendered", interval=0.25)
        rendered_seconds = time.monotonic() - start
        bed.wait_for(installation.all_online, limit, "all satellites registered", interval=0.25)
        registered_seconds = time.monotonic() - start
        until = time.time()
        cpu = operator.cpu_seconds() - cpu
        return {
            "nodes": nodes, "rendered_seconds": rendered_seconds, "registered_seconds": registered_seconds,
            "cpu_seconds": cpu, "peak_rss_mib": operator.memory_mib("VmHWM"), "rss_mib": operator.memory_mib(),
            **count_requests(kube.audit_entries(bed.audit_log), mark, until)}


def count_requests(entries: list[dict], since: float, until: float) -> dict:
    """Requests by verb; writes for each object that was written, Leases and Events aside.

    The goal is for writes of objects; those of their status (subresource) count for `all_writes_per_object` only.
    """
    verbs: Counter = Counter()
    writes: Counter = Counter()
    status: Counter = Counter()
    for event in entries:
        reference = event.get("objectRef", {})
        resource = reference.get("resource", "")
        if resource == "leases" or not since <= kube.parse_time(event["requestReceivedTimestamp"]) <= until:
            continue
        verbs[event["verb"]] += 1
        if event["verb"] in WRITES and resource != "events":
            key = (resource, reference.get("namespace", ""), reference.get("name", ""))
            (status if reference.get("subresource") == "status" else writes)[key] += 1
    most = [{"object": "/".join(filter(None, key)), "writes": n} for key, n in writes.most_common(5)]
    by_kind: Counter = Counter()
    for (resource, _, _), n in writes.items():
        by_kind[resource] += n
    return {"requests": sum(verbs.values()), "requests_by_verb": dict(verbs.most_common()), "objects": len(writes),
            "writes_per_object": sum(writes.values()) / max(1, len(writes)),
            "status_writes_per_object": sum(status.values()) / max(1, len(status)),
            "all_writes_per_object": sum((writes + status).values()) / max(1, len(writes + status)),
            "writes_by_kind": dict(by_kind), "most_written": most}
