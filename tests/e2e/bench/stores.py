"""What the operator knows, next to what the API server has: every store's fingerprint against a list."""

from __future__ import annotations

import dataclasses
import re
from typing import Callable

from .client import in_namespace

FNV_OFFSET, FNV_PRIME, MASK = 0xcbf29ce484222325, 0x100000001b3, (1 << 64) - 1
SAMPLE = re.compile(r'^(\w+)\{(.*)\} (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclasses.dataclass(frozen=True)
class Selection:
    """What one store watches."""
    resource: str
    namespace: str
    label_selector: str
    field_selector: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.resource, self.namespace, self.label_selector, self.field_selector)
                        if part)


def samples(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    """All values of one metric in the Prometheus text format, with their labels."""
    found = []
    for line in text.splitlines():
        match = SAMPLE.match(line)
        if match and match[1] == name:
            found.append((dict(LABEL.findall(match[2])), float(match[3])))
        elif line.startswith(name + " "):
            found.append(({}, float(line.split()[1])))
    return found


def total(text: str, name: str, **labels: str) -> float:
    return sum(value for has, value in samples(text, name) if labels.items() <= has.items())


def fingerprints(text: str) -> dict[Selection, int]:
    return {Selection(labels["resource"], labels["namespace"], labels["label_selector"], labels["field_selector"]):
            int(value) for labels, value in samples(text, "breakwater_store_fingerprint")}


def fingerprint(objects: list[dict]) -> int:
    """The same number as operator/runtime/store_metrics.cc computes."""
    result = 0
    for item in objects:
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "")
        value = FNV_OFFSET
        for byte in f"{namespace + '/' if namespace else ''}{metadata['name']}@{metadata['resourceVersion']}".encode():
            value = ((value ^ byte) * FNV_PRIME) & MASK
        result += value
    return result & ((1 << 48) - 1)


class StoreCheck:
    """Waits until each store was equal to the server's list at some moment after this object was made.

    At some moment, not all at once: what the operator does with its knowledge changes other objects all the time.
    """

    def __init__(self, client, read_metrics: Callable[[], str]):
        self._client, self._read_metrics = client, read_metrics
        self._paths = client.resource_paths()
        self.open = set(fingerprints(read_metrics()))
        assert self.open, "the operator exports no store"

    def done(self) -> bool:
        """For wait_for: an AssertionError names the stores that differ."""
        for selection in sorted(self.open, key=str):
            path = in_namespace(self._paths[selection.resource], selection.namespace)
            expected = fingerprint(self._client.list(path, selection.label_selector, selection.field_selector))
            # Read after the list, so that a store that is equal is not an older state that happens to be.
            if fingerprints(self._read_metrics())[selection] == expected:
                self.open.discard(selection)
        assert not self.open, f"stores that differ from the server: {', '.join(map(str, sorted(self.open, key=str)))}"
        return True
