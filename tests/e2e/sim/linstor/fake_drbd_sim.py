"""Stand-in for drbd-sim in tests: every command succeeds, is recorded, or fails by pattern.

Speaks drbd-sim's protocol: one JSON object per line over a UNIX socket.
"""

import json
import os
import re
import socketserver
import threading
import time

XML_HELP = '<command name="{0}"><option name="{1}" type="boolean"></option></command>\n'


class FakeDrbd:
    """Nodes with satellites that are up, files, recorded calls and a switch per node."""

    def __init__(self, path, nodes):
        self.path = path
        self.nodes = dict(nodes)  # node -> address
        self.running = {node: True for node in nodes}
        self.files = {}  # (node, path) -> content
        self.calls = []  # (time, node, argv)
        self.failures = []  # (node regex, argv regex, exit, stderr, seconds)
        self.suspended = set()  # (node, resource)
        self.snapshots = set()  # (node, resource, name)
        self.restored = []  # (node, resource)
        self.standalone = set()  # (node, resource, peer)
        self.primary = set()  # (node, resource)
        self.version = "0x091F00"
        self.versions = {}  # node -> version, where it differs
        self.adjustable = []
        self.xml_tls = {}
        self.lock = threading.Lock()
        if os.path.exists(path):
            os.unlink(path)
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                for line in self.rfile:
                    reply = outer.answer(json.loads(line))
                    self.wfile.write((json.dumps(reply) + "\n").encode())
                    self.wfile.flush()

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self.server = Server(path, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request):
        if request["op"] == "satellites":
            return {"satellites": [{"node": n, "address": a, "running": self.running[n]}
                                   for n, a in self.nodes.items()]}
        if request["op"] == "put-file":
            with self.lock:
                self.files[(request["node"], request["path"])] = request["content"]
            return {"ok": True}
        if request["op"] == "remove-file":
            with self.lock:
                self.files.pop((request["node"], request["path"]), None)
            return {"ok": True}
        if request["op"] in ("volume", "drop-snapshot", "remove-disks"):
            return {"ok": True}
        if request["op"] == "snapshot":
            with self.lock:
                self.snapshots.add((request["node"], request["resource"], request["name"]))
            return {"ok": True}
        if request["op"] == "restore":
            with self.lock:
                self.restored.append((request["node"], request["to_resource"]))
                known = (request["node"], request["resource"], request["name"]) in self.snapshots
            return {"ok": True} if known else {"error": "no such snapshot"}
        if request["op"] == "run":
            return self.run(request["node"], request["argv"])
        return {"error": "unknown op"}

    def run(self, node, argv):
        command = " ".join(argv)
        with self.lock:
            self.calls.append((time.time(), node, command))
            failures = list(self.failures)
        for node_pattern, pattern, code, stderr, seconds in failures:
            if re.fullmatch(node_pattern, node) and re.search(pattern, command):
                time.sleep(seconds)
                if code:
                    return {"exit": code, "stdout": "", "stderr": stderr}
        return {"exit": 0, "stdout": self.output(node, argv, command), "stderr": ""}

    def output(self, node, argv, command):
        if command == "drbdadm --version":
            return f"DRBDADM_API_VERSION=2\nDRBDADM_VERSION_CODE={self.versions.get(node, self.version)}\n"
        if "xml-help" in argv:
            option = "tls" if self.xml_tls.get(node, True) else "timeout"
            return XML_HELP.format(argv[-1], option)
        if command == "drbdadm sh-list-adjustable all":
            return "\n".join(self.adjustable) + "\n"
        if command == "drbdsetup status":
            return "".join(
                f"{res} role:Secondary suspended:user\n  disk:UpToDate\n"
                for where, res in self.suspended if where == node)
        if command == "drbdsetup status --json":
            return json.dumps(self.status(node))
        return ""

    def status(self, node):
        """Every resource whose file is there, connected to all peers its file names."""
        out = []
        for (where, path), content in sorted(self.files.items()):
            if where != node:
                continue
            name = re.search(r'resource "([^"]+)"', content).group(1)
            peers = [p for p in re.findall(r'on "([^"]+)"', content) if p != node]
            minor = re.search(r"device\s+minor (\d+)", content)
            connections = []
            for peer in peers:
                cut = (node, name, peer) in self.standalone
                connections.append({
                    "name": peer,
                    "connection-state": "StandAlone" if cut else "Connected",
                    "peer_devices": [{
                        "volume": 0,
                        "replication-state": "Off" if cut else "Established",
                        "peer-disk-state": "DUnknown" if cut else "UpToDate",
                    }],
                })
            out.append({
                "name": name,
                "role": "Primary" if (node, name) in self.primary else "Secondary",
                "devices": [{"volume": 0, "minor": int(minor[1]), "disk-state": "UpToDate"}] if minor else [],
                "connections": connections,
            })
        return out

    def res(self, node, resource):
        return self.files.get((node, f"/var/lib/linstor.d/{resource}.res"), "")

    def commands(self, pattern, since=0.0):
        """(seconds after `since`, node, command) of the calls that match."""
        with self.lock:
            return [(at - since, node, command) for at, node, command in self.calls
                    if at >= since and re.search(pattern, command)]
