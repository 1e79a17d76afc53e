#!/usr/bin/env python3
"""Stands for breakwater-agent: `run` serves a socket and answers each line in capitals, `connect` is the bridge to it."""

import os
import signal
import socket
import sys
import threading
import time

path = os.path.join(sys.argv[sys.argv.index("--run-dir") + 1], "agent.sock")


def serve() -> None:
    signal.signal(signal.SIGTERM, lambda *_: (print("terminated", flush=True), time.sleep(0.5), sys.exit(0)))
    print("running on", os.environ["NODE_NAME"], *sys.argv[1:], flush=True)
    if os.path.exists(path):
        os.unlink(path)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    while True:
        client, _ = server.accept()
        threading.Thread(target=answer, args=(client,), daemon=True).start()


def answer(client: socket.socket) -> None:
    for line in client.makefile("rb"):
        client.sendall(line.upper())


def connect() -> None:
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)

    def back() -> None:
        while data := server.recv(4096):
            os.write(1, data)
        os._exit(3)
    threading.Thread(target=back, daemon=True).start()
    while data := os.read(0, 4096):
        server.sendall(data)


{"run": serve, "connect": connect}[sys.argv[1]]()
