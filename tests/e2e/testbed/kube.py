"""kubectl, conditions, kubeconfig files and the audit log."""

from __future__ import annotations

import base64
import datetime
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import yaml

from .pki import write_private

T = TypeVar("T")


class Refused(RuntimeError):
    """A server of the test bed answered with an error."""


class KubectlError(Refused):
    """kubectl ended with an error; the message is what it printed."""

    def __init__(self, argv: list[str], code: int, stdout: str, stderr: str):
        super().__init__(f"{' '.join(argv)}: exit code {code}\n{stderr or stdout}".rstrip())
        self.code, self.stdout, self.stderr = code, stdout, stderr


class WaitTimeout(AssertionError):
    """A condition did not come true in time."""


def wait_for(condition: Callable[[], T], timeout: float, what: str, interval: float = 0.1) -> T:
    """Polls until the condition returns something true and returns that.

    An error that a state on its way can cause (a refusal, a lost connection, a field that is not there yet) means
    "not yet"; the last one is part of the report.
    """
    deadline = time.monotonic() + timeout
    while True:
        trouble: Optional[BaseException] = None
        try:
            result = condition()
            if result:
                return result
        except (Refused, OSError, AssertionError, LookupError, ValueError) as error:
            trouble = error
        if time.monotonic() > deadline:
            reason = f": {trouble!r}" if trouble else ""
            message = f"timed out after {timeout:g} s waiting for {what}{reason}"
            print(message, flush=True)
            raise WaitTimeout(message) from trouble
        time.sleep(interval)


def write_kubeconfig(path: Path, server: str, ca_pem: str, *, cert: str = "", key: str = "",
                     token_file: Optional[Path] = None, namespace: str = "default") -> Path:
    def b64(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    user: dict[str, Any] = {}
    if token_file:
        user["tokenFile"] = str(token_file)
    else:
        user.update({"client-certificate-data": b64(cert), "client-key-data": b64(key)})
    return write_private(path, yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "testbed",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority-data": b64(ca_pem)}}],
        "users": [{"name": "testbed", "user": user}],
        "contexts": [{"name": "testbed",
                      "context": {"cluster": "testbed", "user": "testbed", "namespace": namespace}}],
    }))


def audit_policy(user: str) -> str:
    return yaml.safe_dump({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "users": [user]}, {"level": "None"}],
    })


def parse_time(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def audit_entries(log: Path) -> list[dict[str, Any]]:
    """The first audit event of each request, in the order of the log."""
    if not log.exists():
        return []
    seen: dict[str, dict[str, Any]] = {}
    for line in log.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            continue  # being written
        event = json.loads(line)
        # A long request (watch, exec) has one event at its start and one at its end.
        seen.setdefault(event["auditID"], event)
    return list(seen.values())


def used_rights(entries: list[dict[str, Any]]) -> set[tuple[str, str, str, str, str, bool]]:
    """(verb, API group, resource or resource/subresource, namespace, name, whether it was allowed) of each request."""
    used = set()
    for event in entries:
        reference = event.get("objectRef")
        if reference is None or "resource" not in reference:
            continue  # a path without a resource, /version for instance: every account may read these
        resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
        allowed = event.get("annotations", {}).get("authorization.k8s.io/decision") != "forbid"
        used.add((event["verb"], reference.get("apiGroup", ""), resource, reference.get("namespace", ""),
                  reference.get("name", ""), allowed))
    return used


def audit_counts(entries: list[dict[str, Any]], since: float, until: float, leases: bool) -> Counter:
    result: Counter = Counter()
    for event in entries:
        if not since <= parse_time(event["requestReceivedTimestamp"]) <= until:
            continue
        reference = event.get("objectRef", {})
        resource = reference.get("resource") or event["requestURI"].split("?")[0]
        if resource == "leases" and not leases:
            continue
        result[(event["verb"], resource, reference.get("subresource", ""))] += 1
    return result
