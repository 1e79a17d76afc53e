#!/usr/bin/env python3
"""Answers every request and counts the POSTs by path: for the self-test of the node server."""

import argparse
import collections
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


posts: collections.Counter = collections.Counter()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/posts/"):
            self.answer(str(posts[self.path[len("/posts"):]]).encode())
        else:
            self.answer(b"linstor")

    def do_POST(self) -> None:
        posts[self.path] += 1
        self.answer(b"{}")

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--drbd-sim")
    parser.add_argument("--state-dir")
    host, port = parser.parse_args().listen.rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), Handler)
    print("ready", flush=True)
    server.serve_forever()


main()
