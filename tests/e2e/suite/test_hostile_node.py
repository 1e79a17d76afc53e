"""One node that is not to be trusted, and properties of others in LINSTOR: neither fills the operator's memory, nor keeps the
volumes of other nodes in plaintext (REVIEW-2 M2).
"""
import re
import sys

import pytest

from conftest import NODES, assert_unharmed
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML
from scenario.storage import TLS

HOSTILE = NODES[2]
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
    """Agents everywhere, all volumes in plaintext, one of them without a replica on the node that will be hostile."""
    # Of three nodes the third would be its tiebreaker, which is a connection as well.
    volumes.create_group("alone", 2, {"DrbdOptions/auto-add-quorum-tiebreaker": "False"})
    volumes.create_volume("pvc-others", "alone", 2, nodes=NODES[:2])
    volumes.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p",
                    '{"spec":{"replicationTLS":{"migration":{"allowSingleCopy":true}}}}')
    volumes.apply(HANDSHAKE_DAEMON_YAML)
    volumes.bed.wait_for(lambda: said_by(volumes, HOSTILE), 150, "a report of the node that will be hostile")
    volumes.bed.wait_for(lambda: len(connected(volumes)) == 3, 60, "a stream to each agent")
    volumes.bed.wait_for(volumes.all_connected, 60, "all volumes connected and in sync")
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
    # Served are the others: the volume that has no replica on the hostile node moves to TLS meanwhile, and nothing else does.
    storage.apply(CLUSTER_TLS_YAML)
    bed.wait_for(lambda: storage.encrypted(["pvc-others"]), 90, "the volume of the other nodes to be encrypted")
    bed.wait_for(lambda: HOSTILE in storage.condition(storage.cluster(), "ReplicationEncrypted").get("message", ""), 30,
                 "the condition to name the node")
    assert storage.plaintext(["pvc-a", "pvc-b", "pvc-c"])
    # The satellite there would follow the cluster's value, and whether it has the pins nobody knows.
    assert TLS not in storage.linstor("GET", "/v1/controller/properties")
    peak = memory_mib(storage, "VmHWM")
    print(f"operator: peak {peak:.0f} MiB of {LIMIT_MIB}")
    assert peak < LIMIT_MIB
    bed.node("impostor", node=HOSTILE, program=[])
    bed.wait_for(lambda: storage.encrypted() and storage.migration_complete(), 200, "all volumes to be encrypted")
    assert_unharmed(storage)


def flooded(storage):
    folder = storage.bed.work / "execs"
    return any(path.stat().st_size >= REPORT_BYTES for path in folder.glob(f"{HOSTILE}-breakwater-agent-*"))
