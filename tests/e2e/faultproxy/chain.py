"""Both proxies in front of a test bed's API server, and a kubeconfig that leads through them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import yaml

from testbed.pki import write_private

from .answers import AnswerProxy
from .tcp import FaultProxy


class FaultChain:
    """operator -> `network` (TCP faults) -> `server` (HTTP faults) -> API server."""

    def __init__(self, bed, kubeconfig: Path, name: str = "faults"):
        server = urlsplit(bed.server)
        assert server.hostname and server.port
        directory = bed.work / name
        directory.mkdir()
        authority = bed.control_plane.ca
        certificate = authority.issue("fault-proxy", ips=["127.0.0.1"], dns=["localhost"])
        self.server = AnswerProxy(server.hostname, server.port, authority.pem, certificate, directory)
        self._original, self._directory = kubeconfig, directory

    def __enter__(self) -> "FaultChain":
        self.server.start()
        self.network = FaultProxy("127.0.0.1", self.server.port).start()
        document = yaml.safe_load(self._original.read_text())
        document["clusters"][0]["cluster"]["server"] = self.network.url
        self.kubeconfig = write_private(self._directory / "kubeconfig", yaml.safe_dump(document))
        return self

    def __exit__(self, *_: object) -> None:
        self.network.stop()
        self.server.stop()
