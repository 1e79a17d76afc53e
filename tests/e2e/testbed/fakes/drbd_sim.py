#!/usr/bin/env python3
"""Speaks drbd-sim's protocol and remembers what it was told: for the self-test of the node server."""

import argparse
import json
import os
import socketserver
import threading
from pathlib import Path

SHIM = """#!/bin/sh
echo "$NODE_NAME $POD_NAMESPACE/$POD_NAME $CONTAINER_NAME: drbdadm $*"
test -S "$DRBD_SIM_SOCKET"
"""
lock = threading.Lock()
history: list[dict] = []


def answer(request: dict) -> dict:
    with lock:
        if request["op"] == "run":
            lines = sum(1 for h in history if h["op"] == "tlshd")
            return {"exit": 0, "stdout": f"tlshd[1]: {request['node']}\n" * lines, "stderr": ""}
        if request["op"] == "history":
            return {"ok": True, "history": history}
        history.append(request)
        return {"ok": True}


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(json.dumps(answer(json.loads(line))).encode() + b"\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    parser.add_argument("--shim-dir", type=Path, required=True)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    shim = options.shim_dir / "drbdadm"
    shim.write_text(SHIM)
    shim.chmod(0o755)
    if os.path.exists(options.socket):
        os.unlink(options.socket)
    server = socketserver.ThreadingUnixStreamServer(options.socket, Handler)
    server.daemon_threads = True
    print("ready", flush=True)
    server.serve_forever()


main()
