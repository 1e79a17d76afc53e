"""Thousands of Nodes and Pods that change all the time: how far behind is what the operator knows?"""

from __future__ import annotations

import bisect
import threading
import time

from scenario.storage import NAMESPACE

from .client import ApiClient
from .installation import Installation, make_bed
from .stores import StoreCheck, samples

SCRAPE_SECONDS = 0.1  # also the resolution of the lag: a change counts as known at the next scrape
THREADS = 4


def node(index: int) -> dict:
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": f"churn-{index}", "labels": {f"example.com/label-{i}": "x" * 20 for i in range(10)}},
            "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                       "images": [{"names": [f"registry.example.com/image-{i}@sha256:{i:064}"], "sizeBytes": 1}
                                  for i in range(30)]}}


def pod(index: int) -> dict:
    containers = [{"name": f"c{i}", "image": "registry.example.com/image",
                   "env": [{"name": f"VARIABLE_{j}", "value": "x" * 30} for j in range(10)]} for i in range(3)]
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"churn-{index}", "namespace": NAMESPACE, "labels": {"app": "churn"}},
            "spec": {"nodeName": f"churn-{index}", "containers": containers, "serviceAccountName": "default"}}


def measure_churn(count: int, rate: float, seconds: float) -> dict:
    """The operator's Pods are in its namespace only, so the foreign ones are put there: the worst case."""
    with make_bed(nodes=1, simulators=False) as bed:
        installation = Installation(bed)
        installation.install()
        bed.wait_for(lambda: bed.kubectl("get", "serviceaccount", "-n", NAMESPACE, "default"), 30, "a ServiceAccount")
        for name in ("kwok", "nodeserver", "kube-controller-manager", "kube-scheduler"):
            bed.kill(name)  # they would bring these nodes to life: the machine is for the operator
        client = ApiClient(bed.kubeconfig)
        client.parallel(lambda i: client.request("POST", "/api/v1/nodes", node(i)), range(count))
        client.parallel(lambda i: client.request("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", pod(i)), range(count))
        start = time.monotonic()
        operator = installation.start()
        start_seconds = time.monotonic() - start
        StoreCheck(client, operator.metrics).done()
        start_cpu = operator.cpu_seconds()
        updates, scrapes, elapsed = run_churn(client, operator, count, rate, seconds)
        cpu = operator.cpu_seconds() - start_cpu
        bed.wait_for(StoreCheck(client, operator.metrics).done, 30, "the stores to be right in the end")
        lags = sorted(lag(update, scrapes) for update in updates)
        return {"objects": 2 * count, "updates": len(updates), "updates_per_second": len(updates) / elapsed,
                "lag_p50": lags[len(lags) // 2], "lag_p99": lags[int(len(lags) * 0.99)], "lag_max": lags[-1],
                "cpu_share": cpu / elapsed, "start_cpu_seconds": start_cpu, "start_seconds": start_seconds,
                "rss_mib": operator.memory_mib(), "peak_rss_mib": operator.memory_mib("VmHWM")}


def run_churn(client: ApiClient, operator, count: int, rate: float, seconds: float):
    """Returns updates as (resource, version, time of the reply), scrapes as {resource: [(version, time)]}."""
    updates: list[tuple[str, int, float]] = []
    scrapes: dict[str, list[tuple[int, float]]] = {"nodes": [], "pods": []}
    done = threading.Event()

    def scrape() -> None:
        while True:
            last = done.is_set()
            for labels, value in samples(operator.metrics(), "breakwater_store_resource_version"):
                if labels["resource"] in scrapes:
                    scrapes[labels["resource"]].append((int(value), time.monotonic()))
            if last:
                return
            done.wait(SCRAPE_SECONDS)

    def update(thread: int) -> None:
        begin = time.monotonic()
        for i in range(int(rate * seconds / THREADS)):
            # A fixed schedule: a slow reply must not lower the rate of what follows.
            wait = begin + i * THREADS / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            resource, path = (("nodes", "/api/v1/nodes"), ("pods", f"/api/v1/namespaces/{NAMESPACE}/pods"))[i % 2]
            name = f"churn-{(thread + THREADS * i) % count}"
            reply = client.merge(f"{path}/{name}", {"metadata": {"annotations": {"example.com/churn": str(i)}}})
            updates.append((resource, int(reply["metadata"]["resourceVersion"]), time.monotonic()))

    scraper = threading.Thread(target=scrape)
    scraper.start()
    begin = time.monotonic()
    try:
        client.parallel(update, range(THREADS), THREADS)
        elapsed = time.monotonic() - begin
        wait_known(updates, scrapes)
    finally:
        done.set()
        scraper.join()
    return updates, scrapes, elapsed


def wait_known(updates, scrapes, limit: float = 60) -> None:
    newest = {resource: max(version for r, version, _ in updates if r == resource) for resource in scrapes}
    deadline = time.monotonic() + limit
    while any(not seen or seen[-1][0] < newest[resource] for resource, seen in scrapes.items()):
        assert time.monotonic() < deadline, "the operator does not see the last updates"
        time.sleep(SCRAPE_SECONDS)


def lag(update: tuple[str, int, float], scrapes: dict[str, list[tuple[int, float]]]) -> float:
    resource, version, when = update
    seen = scrapes[resource]
    return max(0.0, seen[bisect.bisect_left(seen, (version, 0.0))][1] - when)
