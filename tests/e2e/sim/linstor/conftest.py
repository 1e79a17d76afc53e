"""linstor-sim with a stand-in for drbd-sim below it.

The program is found through LINSTOR_SIM, else in the build folders of this tree.
"""

import http.client
import json
import os
import pathlib
import subprocess

import pytest

from fake_drbd_sim import FakeDrbd

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[3]


def built(variable, name):
    """The program that the variable names, else the newest one below build/; None when there is none."""
    if os.environ.get(variable):
        return os.environ[variable]
    found = sorted(map(str, ROOT.glob(f"build/*/bin/{name}")), key=os.path.getmtime)
    return found[-1] if found else None


def find_binary():
    return built("LINSTOR_SIM", "linstor-sim") or pytest.fail("linstor-sim is not built; set LINSTOR_SIM")


class Sim:
    """A running linstor-sim and its nodes: a FakeDrbd, or what else has `path`, `nodes` and close()."""

    def __init__(self, folder, nodes, *flags, drbd=None):
        self.folder = pathlib.Path(folder)
        self.flags = flags
        self.drbd = drbd or FakeDrbd(str(self.folder / "drbd.sock"), nodes)
        self.process = None
        self.start()

    def start(self):
        quick = {"--first-adjust": "0.05", "--poll": "0.1", "--full-sync": "0.02", "--snapshot": "0.05"}
        quick.update(zip(self.flags[::2], self.flags[1::2]))
        flags = [word for pair in quick.items() for word in pair]
        with open(self.folder / "linstor-sim.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [find_binary(), "--listen", "127.0.0.1:0", "--drbd-sim", self.drbd.path,
                 "--state-dir", str(self.folder / "state"), "--verbose", *flags],
                stdout=subprocess.PIPE, stderr=log, text=True)
        ready = self.process.stdout.readline()
        assert ready.startswith("ready"), ready
        self.port = int(ready.split("port=")[1].split()[0])
        self.tls_port = int(ready.split("tls-port=")[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0

    def close(self):
        self.stop()
        self.drbd.close()

    def call(self, method, path, body=None, raw=None, timeout=60):
        """(status, headers, parsed body or text)"""
        data = raw if raw is not None else None if body is None else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, data, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            status, headers, text = reply.status, reply.headers, reply.read().decode()
        finally:
            connection.close()
        try:
            return status, headers, json.loads(text)
        except ValueError:
            return status, headers, text

    def ok(self, method, path, body=None):
        status, _, reply = self.call(method, path, body)
        assert status < 300, (status, reply)
        return reply

    def add_nodes(self):
        for node, address in self.drbd.nodes.items():
            self.ok("POST", "/v1/nodes", {
                "name": node, "type": "Satellite",
                "net_interfaces": [{"name": "default", "address": address, "satellite_port": 3366,
                                    "satellite_encryption_type": "PLAIN"}]})

    def add_pools(self):
        for node in self.drbd.nodes:
            self.ok("POST", f"/v1/nodes/{node}/storage-pools", {
                "storage_pool_name": "fthin", "provider_kind": "FILE_THIN",
                "props": {"StorDriver/StorPoolName": f"/lab/{node}/pool"}})

    def add_resource(self, name, nodes, size=65536):
        self.ok("POST", "/v1/resource-definitions", {"resource_definition": {"name": name}})
        self.ok("POST", f"/v1/resource-definitions/{name}/volume-definitions",
                {"volume_definition": {"size_kib": size}})
        return self.ok("POST", f"/v1/resource-definitions/{name}/resources",
                       [{"resource": {"node_name": n, "props": {"StorPoolName": "fthin"}}} for n in nodes])


THREE = {"n1": "10.77.0.1", "n2": "10.77.0.2", "n3": "10.77.0.3"}


@pytest.fixture
def make_sim(tmp_path):
    made = []

    def make(*flags, nodes=None):
        folder = tmp_path / f"sim{len(made)}"
        folder.mkdir()
        made.append(Sim(folder, THREE if nodes is None else nodes, *flags))
        return made[-1]

    yield make
    for sim in made:
        sim.close()


@pytest.fixture
def sim(make_sim):
    return make_sim()


@pytest.fixture
def cluster(sim):
    """Three online nodes with a pool each."""
    sim.add_nodes()
    sim.add_pools()
    return sim
