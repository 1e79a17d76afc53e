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
