"""Starts a local cluster, claims six volumes that pods write to, and moves them to TLS with the guide's YAML.

Exit status 0 only if every connection of every volume is proven encrypted, no write failed and no block
differs between replicas. The table also goes to build/demo/report.json.
"""
import argparse
import json
import os
import pathlib
import sys
import time

import testbed
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML, NAMESPACE, Storage, claim, pod, storage_class
from scenario.storage import CLUSTER

REPORT = pathlib.Path(os.environ.get("BREAKWATER_DEMO_REPORT", "build/demo/report.json"))
# StorageClasses and their claims: three diskful copies, or two and LINSTOR's tiebreaker on the third node.
CLASSES = {"three-copies": 3, "two-copies": 2}
CLAIMS = {"shop/orders": "three-copies", "shop/metrics": "three-copies", "office/mail": "three-copies",
          "shop/cache": "two-copies", "office/wiki": "two-copies", "office/builds": "two-copies"}
MIGRATION_TIMEOUT = 180


def say(text=""):
    print(text, flush=True)


class Progress:
    """One line that is rewritten on a terminal, or a line for every change elsewhere."""

    def __init__(self):
        self.last = ""
        self.start = time.monotonic()

    def show(self, text):
        if text == self.last:
            return
        self.last = text
        line = f"  [{time.monotonic() - self.start:5.1f} s] {text}"
        if sys.stdout.isatty():
            print("\r\x1b[2K" + line[:150], end="", flush=True)
        else:
            print(line, flush=True)

    def end(self):
        if sys.stdout.isatty():
            print(flush=True)


def progress_text(status, claims):
    connections, resources = status.get("connections", {}), status.get("resources", {})
    running = ", ".join(f"{claims.get(f['resource'], f['resource'])} {f['step']}" + (f" {f['pair']}" if f.get("pair") else "")
                        for f in status.get("inFlight", []))
    return (f"{status.get('phase', 'waiting')}: {connections.get('encrypted', 0)}/{connections.get('total', 0)} "
            f"connections encrypted, {resources.get('migrated', 0)}/{resources.get('total', 0)} volumes"
            + (f" | {running}" if running else ""))


def prepare(storage):
    storage.install()
    say("Creating the LinstorCluster (replication gets certificates of the operator's own authority) and a storage pool on "
        "every node ...")
    storage.create_cluster(cluster={**CLUSTER, "spec": {**CLUSTER["spec"], "replicationTLS": {
        "certificates": {"mode": "Managed"}}}})
    storage.issue_certificates()
    for namespace in sorted({name.split("/")[0] for name in CLAIMS}):
        storage.bed.ensure_namespace(namespace)
    say(f"kubectl apply: {len(CLASSES)} StorageClasses, {len(CLAIMS)} PersistentVolumeClaims, a pod that writes to each ...")
    storage.apply("".join(storage_class(name, count) for name, count in CLASSES.items()) +
                  "".join(claim(name, of) + pod(name) for name, of in CLAIMS.items()))
    storage.wait_pods(*CLAIMS)
    storage.bed.wait_for(storage.all_connected, 60, "all volumes connected and in sync")
    rows = storage.report()
    say(f"  {sum(r['connections'] for r in rows.values())} connections, "
        f"{sum(r['encryptedConnections'] for r in rows.values())} encrypted")


def migrate(storage, strategy, latency_ms):
    """Applies the guide's documents; returns the seconds that it took."""
    bed = storage.bed
    if latency_ms:
        say(f"\nEvery exec and every message between operator and nodes takes {latency_ms} ms longer from now on")
        bed.set_latency(latency_ms)
    if strategy != "Auto":
        storage.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p", json.dumps(
            {"spec": {"replicationTLS": {"migration": {
                # Volumes with two replicas have no other copy while one connection is switched.
                "strategy": strategy, "allowSingleCopy": strategy == "PairByPair"}}}}))
    bed.drbd({"op": "report", "reset": True})
    storage.trace(reset=True)
    say("\nkubectl apply: LinstorSatelliteConfiguration with tlsHandshakeDaemon: true")
    storage.apply(HANDSHAKE_DAEMON_YAML)
    say('kubectl apply: LinstorCluster with DrbdOptions/Net/tls: "yes"\n')
    storage.apply(CLUSTER_TLS_YAML)
    progress, claims, start = Progress(), storage.claims(), time.monotonic()

    def done():
        progress.show(progress_text(storage.tls_status(), claims))
        return storage.migration_complete()

    try:
        bed.wait_for(done, MIGRATION_TIMEOUT, "the migration to complete")
    finally:
        progress.end()
    return time.monotonic() - start


def strategies_used(acts):
    """By volume, from the commands that ran on the nodes: only one strategy suspends, and both disconnect."""
    used = {}
    for volume, command in acts:
        if "suspend-io" in command["argv"]:
            used[volume] = "SuspendIO"
        elif "disconnect" in command["argv"]:
            used.setdefault(volume, "PairByPair")
    return used


def print_table(rows):
    columns = [("claim", "name"), ("strategy", "strategy"), ("freeze ms", "longestStallMs"), ("cut ms", "longestCutMs"),
               ("errors", "errors"), ("differing blocks", "divergedBlocks"), ("resync KiB", "resyncKiB"),
               ("connections", "connections"), ("encrypted", "encryptedConnections")]
    table = [[title for title, _ in columns]] + [[str(row[key]) for _, key in columns] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        say("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def confirm(storage):
    """The guide's own confirmation; returns whether every node's counters prove its connections."""
    bed, fine = storage.bed, True
    say("\n$ kubectl logs -l app.kubernetes.io/component=linstor-satellite -c ktls-utils --tail=2")
    say(storage.kubectl("-n", NAMESPACE, "logs", "-l", "app.kubernetes.io/component=linstor-satellite", "-c", "ktls-utils",
                    "--tail=2").rstrip())
    resources = storage.linstor("GET", "/v1/view/resources")
    nodes_of = {}
    for resource in resources:
        nodes_of.setdefault(resource["name"], set()).add(resource["node_name"])
    for node in bed.nodes:
        counters = dict(line.split() for line in storage.exec(node, "cat", "/proc/net/tls_stat").splitlines() if line)
        expected = 2 * sum(len(nodes) - 1 for nodes in nodes_of.values() if node in nodes)
        transmit = int(counters["TlsCurrTxSw"]) + int(counters["TlsCurrTxDevice"])
        receive = int(counters["TlsCurrRxSw"]) + int(counters["TlsCurrRxDevice"])
        fine = fine and transmit == receive == expected
        say(f"$ kubectl exec {storage.satellite_pod(node)} -- cat /proc/net/tls_stat\n"
            f"  TlsCurrTxSw {transmit}  TlsCurrRxSw {receive}   (2 per connection: {expected} expected)")
    return fine


def main():
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--strategy", default="Auto", choices=["Auto", "PairByPair", "SuspendIO"])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--latency-ms", type=int, default=0,
                        help="added to every exec and every message between the operator and the nodes")
    options = parser.parse_args()
    if options.nodes < 3:
        parser.error("--nodes must be 3 or more: volumes with three copies need three nodes")
    start = time.monotonic()
    nodes = [f"node{i}.example.com" for i in range(1, options.nodes + 1)]
    with testbed.TestBed(nodes=nodes) as bed:
        storage = Storage(bed)
        prepare(storage)
        seconds = migrate(storage, options.strategy, options.latency_ms)
        bed.set_latency(0)
        strategies, report, harm = strategies_used(storage.acts()), storage.report(), storage.harm()
        shown = ("longestStallMs", "longestCutMs", "writes", "errors", "lostWrites", "divergedBlocks", "resyncKiB",
                 "connections", "encryptedConnections")
        rows = [{"name": volume.claim, "volume": volume.name, "strategy": strategies.get(volume.name, "-"),
                 **{key: report[volume.name][key] for key in shown}}
                for volume in storage.volumes]
        print_table(rows)
        counters_fine = confirm(storage)
        total = time.monotonic() - start
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({"volumes": rows, "harm": harm, "seconds": round(total, 1)}, indent=2) + "\n")
    encrypted = all(r["connections"] > 0 and r["encryptedConnections"] == r["connections"] for r in rows)
    say("freeze: the longest time that a write took; cut: the longest time that a pair of replicas was not connected")
    say(f"\nMigration took {seconds:.1f} s, all together {total:.1f} s; report: {REPORT}")
    for sentence in harm:
        say(f"  {sentence}")
    if encrypted and not harm and counters_fine:
        say("Every connection is proven encrypted; no write failed and no block differs.")
        return 0
    say("NOT everything is encrypted and unharmed: see the table above.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
