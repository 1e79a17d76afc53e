"""One node that is not to be trusted, and properties of others in LINSTOR: neither fills the operator's memory (REVIEW-2 M2)."""
import re
import sys

import pytest

from conftest import assert_unharmed
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML

HOSTILE = "node3.example.com"
REPORT_BYTES = 31 << 20  # sent; 16 MiB are kept for a node
REQUESTS, PROPERTIES, PROPERTY_BYTES = 9, 50, 100_000  # 45 MB
LIMIT_MIB = 128

# Says what a real agent said, about many more resources, and answers pings.
FLOOD = """
import json, sys
hello, node, resource = open(sys.argv[1]).read().splitlines()
out = sys.stdout
out.write(hello + "\\n" + node + "\\n")
document = json.loads(resource)
sent = 0
while sent < int(sys.argv[2]):
    document["resource"]["name"] = f"flood-{sent:09}"
    line = json.dumps(document, separators=(",", ":")) + "\\n"
    out.write(line)
    sent += len(line)
out.write('{"synced":true}\\n')
out.flush()
for line in sys.stdin:
    message = json.loads(line)
    if "ping" in message:
        out.write(json.dumps({"pong": message["ping"]}) + "\\n")
        out.flush()
"""


@pytest.fixture(scope="module")
def with_agents(volumes):
    volumes.apply(HANDSHAKE_DAEMON_YAML)
    volumes.apply(CLUSTER_TLS_YAML)
    volumes.bed.wait_for(lambda: volumes.encrypted() and volumes.migration_complete(), 150, "everything to be encrypted")
    volumes.bed.wait_for(lambda: said_by(volumes, HOSTILE), 150, "a report of the node that will be hostile")
    volumes.bed.wait_for(lambda: len(connected(volumes)) == 3, 60, "a stream to each agent")
    return volumes


def said_by(storage, node):
    """Hello, facts and one resource of a node's agent, as they went over its stream."""
    for path in sorted((storage.bed.work / "execs").glob(f"{node}-breakwater-agent-*")):
        lines = path.read_text(errors="replace").splitlines()
        hello = next((x for x in lines if x.startswith('{"hello"') and '"node"' in x), None)
        facts = next((x for x in lines if x.startswith('{"node"')), None)
        resource = max((x for x in lines if x.startswith('{"resource"') and x.endswith("}")), key=len, default=None)
        if hello and facts and resource:
            return [hello, facts, resource]
    return None


def connected(storage):
    return [a for a in storage.bed.node("agents", node="")["agents"] if a["workers"]]


def memory_mib(storage, field):
    text = open(f"/proc/{storage.bed.component('operator').pid}/status").read()
    return int(re.search(rf"{field}:\s+(\d+) kB", text).group(1)) / 1024


def test_a_flood_of_reports_and_properties_is_bounded(with_agents, tmp_path):
    storage, bed = with_agents, with_agents.bed
    for i in range(REQUESTS):
        storage.linstor("PUT", "/v1/resource-definitions/pvc-a", {"override_props": {
            f"Aux/somebody-{i}-{k}": "x" * PROPERTY_BYTES for k in range(PROPERTIES)}})
    sample = tmp_path / "said"
    sample.write_text("\n".join(said_by(storage, HOSTILE)))
    (tmp_path / "flood.py").write_text(FLOOD)
    bed.node("impostor", node=HOSTILE, program=[sys.executable, str(tmp_path / "flood.py"), str(sample), str(REPORT_BYTES)])
    bed.wait_for(lambda: flooded(storage), 90, "the flood to be sent")
    # Served are the others: what happens to a volume that has no replica on the hostile node is seen and mended.
    before = storage.tls_status()["connections"]["total"]
    storage.create_volume("pvc-others", "two-copies", 2, nodes=["node1.example.com", "node2.example.com"])
    bed.wait_for(lambda: storage.tls_status()["connections"]["total"] > before, 90, "the new volume to be counted")
    assert storage.encrypted(["pvc-others"])
    peak = memory_mib(storage, "VmHWM")
    print(f"operator: peak {peak:.0f} MiB of {LIMIT_MIB}")
    assert peak < LIMIT_MIB
    bed.node("impostor", node=HOSTILE, program=[])
    bed.wait_for(storage.migration_complete, 120, "the node to be known again")
    assert storage.encrypted()
    assert_unharmed(storage)


def flooded(storage):
    folder = storage.bed.work / "execs"
    return any(path.stat().st_size >= REPORT_BYTES for path in folder.glob(f"{HOSTILE}-breakwater-agent-*"))
