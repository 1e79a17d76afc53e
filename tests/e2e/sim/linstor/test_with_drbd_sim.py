"""linstor-sim on top of the real drbd-sim: what the two make together of the facts about TLS.

drbd-sim is found through DRBD_SIM, else below build/.
"""

import json
import socket
import subprocess
import time
import warnings

import pytest

import conftest

TLS = "DrbdOptions/Net/tls"
YES = {"override_props": {TLS: "yes"}}


class RealDrbd:
    """A drbd-sim process with three nodes."""

    def __init__(self, program, path, nodes):
        self.path, self.nodes = str(path), dict(nodes)
        self.process = subprocess.Popen([program, "--socket", self.path, "--seed", "1"],
                                        stdout=subprocess.PIPE, text=True)
        assert "ready" in self.process.stdout.readline()
        for node, address in nodes.items():
            self.call(op="node", node=node, address=address)
            self.call(op="satellite", node=node, running=True, address=address)
            self.call(op="tlshd", node=node, running=True)

    def call(self, **request):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.path)
            connection.sendall((json.dumps(request) + "\n").encode())
            reply = json.loads(connection.makefile().readline())
        assert "error" not in reply, (request, reply)
        return reply

    def run(self, node, *argv):
        return self.call(op="run", node=node, container="linstor-satellite", argv=list(argv), stdin="")

    def close(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def both(tmp_path):
    program = conftest.built("DRBD_SIM", "drbd-sim")
    if not program:
        message = "SKIPPED: drbd-sim is not built; set DRBD_SIM"
        warnings.warn(message)
        pytest.skip(message)
    drbd = RealDrbd(program, tmp_path / "drbd.sock", conftest.THREE)
    sim = conftest.Sim(tmp_path, {}, drbd=drbd)
    yield sim
    sim.close()


def until(condition, seconds=15):
    deadline = time.time() + seconds
    while time.time() < deadline and not condition():
        time.sleep(0.1)
    return condition()


def view(sim, resource):
    return sim.ok("GET", f"/v1/view/resources?resources={resource}")


def healthy(sim, resource):
    for replica in view(sim, resource):
        connections = replica["layer_object"]["drbd"].get("connections", {})
        if not all(c["connected"] for c in connections.values()):
            return False
        state = replica["volumes"][0].get("state", {}).get("disk_state")
        wanted = "Diskless" if "DISKLESS" in replica.get("flags", []) else "UpToDate"
        if state != wanted:
            return False
    return True


@pytest.fixture
def volume(both):
    both.add_nodes()
    both.add_pools()
    both.add_resource("r1", ["n1", "n2", "n3"])
    assert until(lambda: healthy(both, "r1")), view(both, "r1")
    return both


def test_new_volume_is_up_to_date_without_a_sync(volume):
    assert [r["node_name"] for r in view(volume, "r1")] == ["n1", "n2", "n3"]


def test_two_replicas_and_a_tiebreaker(both):
    both.add_nodes()
    both.add_pools()
    both.add_resource("r2", ["n1", "n2"])
    assert until(lambda: healthy(both, "r2")), view(both, "r2")


def test_tls_on_a_connected_volume_is_refused_and_stays_set(volume):  # DRBD F1, LINSTOR L20
    status, _, reply = volume.call("PUT", "/v1/resource-definitions/r1", YES)
    assert status == 500
    assert "Failed to adjust DRBD resource r1" in reply[-1]["message"]
    report = volume.ok("GET", "/v1/error-reports/" + reply[-1]["error_report_ids"][1])[0]["text"]
    assert "162" in report
    assert volume.ok("GET", "/v1/resource-definitions/r1")["props"][TLS] == "yes"
    assert healthy(volume, "r1")


def test_pair_by_pair(volume):  # LINSTOR.md, "What follows for the migration", 2
    pairs = [("n1", "n2"), ("n1", "n3"), ("n2", "n3")]
    for a, b in pairs:
        assert volume.drbd.run(a, "drbdadm", "disconnect", f"r1:{b}")["exit"] == 0
        volume.ok("PUT", f"/v1/resource-definitions/r1/resource-connections/{a}/{b}", YES)
        assert until(lambda: healthy(volume, "r1"), 30), view(volume, "r1")
    shown = volume.drbd.run("n1", "drbdsetup", "status", "--json")["stdout"]
    assert all(c["tls"] for c in json.loads(shown)[0]["connections"])


def test_removed_volume_is_gone_everywhere(volume):
    volume.ok("DELETE", "/v1/resource-definitions/r1")
    assert view(volume, "r1") == []
    for node in volume.drbd.nodes:
        assert json.loads(volume.drbd.run(node, "drbdsetup", "status", "--json")["stdout"]) == []
    files = volume.drbd.call(op="dump")["nodes"]["n1"]["files"]
    assert "/var/lib/linstor.d/r1.res" not in files


# --- what restored and cloned volumes hold (CSI.md, rows 3 and 4)


def blocks(sim, resource):
    """Digest of what each node's disk holds."""
    nodes = sim.drbd.call(op="dump")["nodes"]
    devices = {n: d["resources"][resource]["devices"]["0"] for n, d in nodes.items()
               if resource in d["resources"]}
    return {n: device["digest"] for n, device in devices.items() if device["disk"] != "Diskless"}


def report(sim, resource):
    return sim.drbd.call(op="report", resource=resource)["resources"][0]


def write(sim, resource, node, seconds):
    sim.drbd.call(op="writer", resource=resource, node=node, interval_ms=5)
    time.sleep(seconds)
    sim.drbd.call(op="writer", resource=resource, node=node, action="stop")


def test_a_restored_volume_holds_what_the_snapshot_saw(volume):
    write(volume, "r1", "n1", 0.5)
    seen = set(blocks(volume, "r1").values())
    assert len(seen) == 1 and seen != {0}
    volume.ok("POST", "/v1/actions/snapshot/multi", {"snapshots": [{"name": "s1", "resource_name": "r1"}]})
    write(volume, "r1", "n1", 0.3)
    assert seen != set(blocks(volume, "r1").values())
    volume.ok("POST", "/v1/resource-definitions", {"resource_definition": {"name": "r2"}})
    restore = "/v1/resource-definitions/r1/snapshot-restore-"
    volume.ok("POST", restore + "volume-definition/s1", {"to_resource": "r2"})
    volume.ok("POST", restore + "resource/s1", {"to_resource": "r2", "nodes": ["n2"]})
    volume.ok("POST", "/v1/resource-definitions/r2/autoplace", {"select_filter": {"place_count": 2}})
    assert until(lambda: healthy(volume, "r2"), 60), view(volume, "r2")
    held = blocks(volume, "r2")
    assert set(held.values()) == seen and len(held) == 2, "the second replica was resynced from the first"
    write(volume, "r2", "n2", 0.3)
    assert set(blocks(volume, "r2").values()) != seen
    counted = report(volume, "r2")
    assert counted["divergedBlocks"] == 0 and counted["lostWrites"] == 0


def test_a_clone_of_a_volume_in_use_is_not_torn(volume):
    volume.drbd.call(op="writer", resource="r1", node="n1", interval_ms=5)
    time.sleep(0.3)
    started = volume.ok("POST", "/v1/resource-definitions/r1/clone", {"name": "r2"})
    assert until(lambda: volume.ok("GET", started["location"])["status"] == "COMPLETE", 30)
    assert until(lambda: healthy(volume, "r2"), 30), view(volume, "r2")
    held = blocks(volume, "r2")
    assert len(held) == 3 and len(set(held.values())) == 1 and set(held.values()) != {0}
    volume.drbd.call(op="writer", resource="r1", node="n1", action="stop")
    for resource in ("r1", "r2"):
        counted = report(volume, resource)
        assert counted["divergedBlocks"] == 0 and counted["lostWrites"] == 0, resource


def test_a_volume_made_again_under_its_name_is_empty_and_up_to_date(both):
    both.add_nodes()
    both.add_pools()
    both.add_resource("r1", ["n1", "n2"])
    assert until(lambda: healthy(both, "r1")), view(both, "r1")
    write(both, "r1", "n1", 0.3)
    both.ok("DELETE", "/v1/resource-definitions/r1")
    both.add_resource("r1", ["n2", "n3"])
    assert until(lambda: healthy(both, "r1")), view(both, "r1")
    assert set(blocks(both, "r1").values()) == {0} and report(both, "r1")["lostWrites"] == 0


def test_a_published_diskless_is_refused_while_open_and_becomes_a_tiebreaker(both):  # rows 1, 5, 6
    both.add_nodes()
    both.add_pools()
    both.add_resource("r1", ["n1", "n2"])
    resource = "/v1/resource-definitions/r1/resources/n3"
    both.ok("POST", resource + "/make-available", {})
    assert until(lambda: healthy(both, "r1")), view(both, "r1")
    both.drbd.call(op="writer", resource="r1", node="n3", interval_ms=20)
    status, _, reply = both.call("DELETE", resource + "?keep_tiebreaker=true")
    assert status == 500 and reply[0]["ret_code"] & 0x3FFFF == 997
    both.drbd.call(op="writer", resource="r1", node="n3", action="stop")
    both.ok("DELETE", resource + "?keep_tiebreaker=true")
    assert "TIE_BREAKER" in both.ok("GET", resource)["flags"]
    both.ok("POST", resource + "/make-available", {"diskful": True})
    assert until(lambda: len(blocks(both, "r1")) == 3 and len(set(blocks(both, "r1").values())) == 1, 60), view(both, "r1")
    assert until(lambda: healthy(both, "r1"), 60), view(both, "r1")
