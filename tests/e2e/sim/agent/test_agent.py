"""breakwater-agent as it runs in a pod, on top of the real drbd-sim, by the shims: three nodes, each with its
supervisor, worker, socket and journal.

Programs are found through BREAKWATER_AGENT, DRBD_SIM, else below build/.
"""

import contextlib
import json
import os
import pathlib
import queue
import signal
import socket
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[4]
NODES = {"node1": "10.77.0.1", "node2": "10.77.0.2", "node3": "10.77.0.3"}


def built(variable, name):
    if os.environ.get(variable):
        return os.environ[variable]
    found = sorted(map(str, ROOT.glob(f"build/*/bin/{name}")), key=os.path.getmtime)
    return found[-1] if found else pytest.fail(f"{name} is not built; set {variable}")


def until(condition, seconds=30):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    return condition()


def res_text(name, node, minor, tls):
    """A .res file as LINSTOR writes it for `node`."""
    port = 7000 + minor
    hosts = "".join(
        f'on "{host}" {{ volume 0 {{ disk {"/dev/vdb" if host == node else "/dev/drbd/this/is/not/used"}; '
        f'meta-disk internal; device minor {minor}; }} node-id {number}; }}\n'
        for number, host in enumerate(NODES))
    connections = "".join(
        f'connection {{ host "{node}" address ipv4 {NODES[node]}:{port}; host "{peer}" address ipv4 {NODES[peer]}:{port}; }}\n'
        for peer in NODES if peer != node)
    return (f'resource "{name}" {{ options {{ on-no-data-accessible suspend-io; on-no-quorum suspend-io; quorum majority; }}\n'
            f'net {{ shared-secret "must-not-leave"; tls {"yes" if tls else "no"}; }}\n{hosts}{connections}}}\n')


class Sim:
    def __init__(self, folder):
        self.path, self.shims = str(folder / "drbd.sock"), folder / "shims"
        self.shims.mkdir()
        self.process = subprocess.Popen([built("DRBD_SIM", "drbd-sim"), "--socket", self.path, "--shim-dir", self.shims,
                                         "--seed", "1"], stdout=subprocess.PIPE, text=True)
        assert "ready" in self.process.stdout.readline()
        for node, address in NODES.items():
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

    def put_res(self, name, minor, tls=False):
        for node in NODES:
            self.call(op="put-file", node=node, path=f"/var/lib/linstor.d/{name}.res", content=res_text(name, node, minor, tls))

    def add(self, name, minor):
        self.call(op="volume", resource=name, volume=0, size_kib=1024)
        self.put_res(name, minor)
        for node in NODES:
            reply = self.run(node, "drbdadm", "adjust", name)
            assert reply["exit"] == 0, reply

    def report(self, name):
        return self.call(op="report", resource=name)["resources"][0]

    def close(self):
        self.process.terminate()
        self.process.wait(10)


class Agent:
    """The container breakwater-agent of one node."""

    def __init__(self, sim, node, folder):
        self.node, self.run_dir, self.log = node, folder / f"run-{node}", folder / f"{node}.log"
        self.program = built("BREAKWATER_AGENT", "breakwater-agent")
        self.environment = dict(os.environ, PATH=f"{sim.shims}:{os.environ['PATH']}", DRBD_SIM_SOCKET=sim.path,
                                NODE_NAME=node)
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.program, "run", "--run-dir", self.run_dir, "--files-by-cat"],
                                        env=self.environment, stderr=self.log.open("a"))

    def worker(self):
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1]) == self.process.pid:
                        if (entry / "comm").read_text().startswith("breakwater-work"):
                            return int(entry.name)
                except (OSError, IndexError):
                    continue
        return None

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


class Link:
    """An operator's stream to one agent."""

    def __init__(self, agent, epoch=1):
        self.agent, self.epoch = agent, epoch
        self.resources, self.facts, self.results, self.progress, self.synced = {}, {}, {}, {}, False
        self.bridge = None
        self.connect()

    def connect(self):
        if self.bridge:
            self.close()
        self.synced = False
        self.bridge = subprocess.Popen([self.agent.program, "connect", "--run-dir", self.agent.run_dir],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, args=(self.bridge.stdout, self.lines), daemon=True).start()
        self.say({"hello": {"protocol": 2, "oldest": 1, "version": "test", "epoch": self.epoch}})

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.put(line)
        lines.put(None)

    def say(self, message):
        self.bridge.stdin.write((json.dumps(message) + "\n").encode())

    def take(self):
        """Everything that has come; connects again when the agent has ended."""
        while not self.lines.empty():
            line = self.lines.get()
            if line is None:
                self.connect()
                return self
            assert b"must-not-leave" not in line  # REVIEW-2 M5
            message = json.loads(line)
            if "resource" in message:
                self.resources[message["resource"]["name"]] = message["resource"]["report"]
            elif "gone" in message:
                self.resources.pop(message["gone"])
            elif "node" in message:
                self.facts = message["node"]
            elif "result" in message:
                self.results[message["result"]["id"]] = message["result"]["result"]
            elif "progress" in message:
                self.progress[message["progress"]["id"]] = message["progress"]
            elif "synced" in message:
                self.synced = True
        return self

    def ask(self, identity, kind, resource, peers, within, **more):
        self.say({"request": {"id": identity, "epoch": self.epoch, "kind": kind, "resource": resource, "peers": peers,
                              "withinMs": within, **more}})

    def result(self, identity, seconds=60):
        return until(lambda: self.take().results.get(identity), seconds)

    def close(self):
        self.bridge.kill()
        self.bridge.wait()


@pytest.fixture
def bed(tmp_path):
    with contextlib.ExitStack() as stack:
        sim = Sim(tmp_path)
        stack.callback(sim.close)
        sim.add("r1", 1000)
        agents, links, codes = {}, {}, {}
        for node in NODES:
            agents[node] = agent = Agent(sim, node, tmp_path)
            stack.callback(lambda agent=agent: codes.update({agent.node: agent.stop()}))
        for node, agent in agents.items():
            links[node] = Link(agent)
            stack.callback(links[node].close)
        assert until(lambda: healthy(links, tls=False))
        sim.call(op="writer", resource="r1", node="node1", action="start", interval_ms=20)
        yield sim, agents, links
    assert codes == {node: 0 for node in NODES}


def healthy(links, tls):
    """Every node says that its connections are good, and those with node1 as wanted: a suspended switch leaves the pair
    of the Secondaries to a Lead."""
    for node, link in links.items():
        report = link.take().resources.get("r1")
        if not report or len(report["status"]["connections"]) != 2:
            return False
        for connection in report["status"]["connections"]:
            device = connection["devices"][0]
            if (connection["state"], device["replication"], device["peerDisk"]) != ("Connected", "Established", "UpToDate"):
                return False
            if "node1" in (node, connection["peer"]) and bool(connection.get("tls")) != tls:
                return False
    return True


def assert_intact(sim, freeze_limit_ms):
    report = sim.report("r1")
    assert report["errors"] == 0 and report["lostWrites"] == 0 and report["divergedBlocks"] == 0, report
    assert not report["suspendedUser"] and report["stalePeers"] == 0, report
    assert report["longestFreezeMs"] <= freeze_limit_ms, report
    assert sim.call(op="check")["violations"] == []


def begin_switch(links, within=8000):
    for node in ("node2", "node3"):
        links[node].ask(f"follow-{node}", "Follow", "r1", ["node1"], 30000, tls=True)
        assert until(lambda node=node: links[node].take().progress.get(f"follow-{node}", {}).get("armed"))
    links["node1"].ask("switch", "SuspendedSwitch", "r1", ["node2", "node3"], within, tls=True, allowSingleCopy=True)


def test_reports_a_node_and_its_changes(bed):
    sim, _, links = bed
    link = links["node1"]
    assert until(lambda: link.take().synced and link.facts.get("complete")), link.facts
    assert until(lambda: link.take().resources["r1"]["status"]["role"] == "Primary")
    assert until(lambda: link.take().resources["r1"].get("res", {}).get("tls") == {"node2": False, "node3": False})
    assert link.facts.get("problem", "") == ""
    sim.run("node1", "drbdsetup", "disconnect", "r1", "2")
    assert until(lambda: any(c["state"] == "StandAlone" for c in link.take().resources["r1"]["status"]["connections"]))
    sim.put_res("r1", 1000, tls=True)  # what LINSTOR does when a property changes
    assert until(lambda: link.take().resources["r1"]["res"]["tls"] == {"node2": True, "node3": True})


def test_a_suspended_switch(bed):
    sim, _, links = bed
    begin_switch(links)
    result = links["node1"].result("switch")
    assert result and result["outcome"] == "Done", result
    assert until(lambda: links["node2"].result("follow-node2") and links["node3"].result("follow-node3"))
    assert_intact(sim, 8000)
    print("frozen:", result.get("frozenMs"), "cut:", result.get("cutMs"), "writer:", sim.report("r1")["longestStallMs"], "ms")


@pytest.mark.parametrize("phase", ["Suspend", "Cut", "Set", "Connect", "Resume"])
def test_a_worker_killed_in_a_suspended_switch(bed, phase):
    """REVIEW-1 C4, C5: whoever dies, the volume is frozen no longer than was asked for."""
    sim, agents, links = bed
    begin_switch(links)
    until(lambda: links["node1"].take().progress.get("switch", {}).get("phase") == phase
          or "switch" in links["node1"].results, 10)
    worker = agents["node1"].worker()
    os.kill(worker, signal.SIGKILL)
    result = links["node1"].result("switch")
    assert result and result["outcome"] in ("Done", "Undone"), result
    assert until(lambda: len(links["node2"].take().results) == 1 and len(links["node3"].take().results) == 1, 60)
    assert until(lambda: healthy(links, tls=result["outcome"] == "Done"))
    assert_intact(sim, 9000)


def test_a_worker_that_stands_still_while_suspended(bed):
    """REVIEW-1 C3: the guardian ends the suspension; the next worker brings the rest to its end."""
    sim, agents, links = bed
    begin_switch(links, within=3000)
    assert until(lambda: sim.report("r1")["suspendedUser"])
    worker = agents["node1"].worker()
    os.kill(worker, signal.SIGSTOP)
    assert until(lambda: agents["node1"].worker() not in (None, worker))
    result = links["node1"].result("switch")
    assert result, links["node1"].progress
    assert until(lambda: healthy(links, tls=True) or healthy(links, tls=False), 60)
    assert_intact(sim, 4000)


def test_sigterm_in_a_suspended_switch(bed):
    """REVIEW-1 C5: an upgrade abandons nothing."""
    sim, agents, links = bed
    begin_switch(links)
    assert until(lambda: sim.report("r1")["suspendedUser"])
    assert agents["node1"].stop() == 0
    assert not sim.report("r1")["suspendedUser"]
    agents["node1"].start()
    assert until(lambda: healthy(links, tls=True) or healthy(links, tls=False), 60)
    assert_intact(sim, 9000)
