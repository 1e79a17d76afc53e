"""The metrics that exist: {name: {label: values}}; values is None where any may come."""
import re

from .files import ROOT

DOCUMENTS = [ROOT / "docs/reference/metrics.md", ROOT / "docs/reference/replication-tls.md"]
SAMPLES = ROOT / "tests/monitoring/exposition"
# Which a series of the operator has where there is something to say.
OPTIONAL = {"claim_namespace", "persistentvolumeclaim"}
# What Prometheus adds to each series, as the shipped monitors make it. `node` is a relabeling of the satellites' PodMonitor.
TARGET = {"namespace", "pod", "container", "endpoint", "job", "instance", "service"}
ADDED = {"drbd_": TARGET | {"node"}, "drbdreactor_": TARGET | {"node"}}
SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$")
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


def documented():
    """Those of the operator, from the tables of its reference, which a user reads."""
    found = {}
    for path in DOCUMENTS:
        labels = {}
        for line in path.read_text().splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            names = re.findall(r"`(breakwater_\w+)`", cells[0])
            if not line.startswith("|") or not names or len(cells) != 3:
                continue
            more = _labels(cells[1])
            labels = {**labels, **more} if cells[1].startswith("the same") else more
            found.update({name: labels for name in names})
    return found


def _labels(cell):
    """"`a`, `b`" and "`a`: `value`, `value`", several of them divided by a semicolon."""
    found = {}
    for part in filter(None, (part.strip() for part in cell.split(";"))):
        names, colon, values = part.partition(":")
        listed = set(re.findall(r"`([^`]+)`", values))
        open_ended = not colon or bool(re.search(r"\b(the|class)\b", values))
        found.update({name: None if open_ended else listed for name in re.findall(r"`(\w+)`", names)})
    return found


def exposed(text):
    """Those of a reply to a scrape."""
    found = {}
    for line in text.splitlines():
        match = SAMPLE.match(line)
        if match:
            labels = found.setdefault(match.group(1), {})
            for name, value in LABEL.findall(match.group(2) or ""):
                labels.setdefault(name, set()).add(value)
    return found


def others():
    """Those of LINSTOR, drbd-reactor and kube-state-metrics: samples in tests/monitoring/exposition, any value."""
    found = {}
    for path in sorted(SAMPLES.glob("*.txt")):
        found.update({name: dict.fromkeys(labels) for name, labels in exposed(path.read_text()).items()})
    assert found, f"nothing in {SAMPLES}"
    # Prometheus makes it itself, one per target.
    return {**found, "up": {}}


def problems(query, existing):
    """What a query asks for and does not exist, one sentence each."""
    found, known = [], set()
    for metric, matchers in query.selectors:
        labels = _of(metric, existing)
        if labels is None:
            found.append(f"no metric {metric}")
            continue
        added = next((names for prefix, names in ADDED.items() if metric.startswith(prefix)), TARGET)
        known |= set(labels) | added | (OPTIONAL if "resource" in labels else set())
        for label, operator, value in matchers:
            if label not in labels and label not in added:
                found.append(f"{metric} has no label {label}")
            elif operator in ("=", "=~") and labels.get(label) is not None and not value.startswith("$"):
                wanted = set(value.split("|")) if operator == "=~" else {value}
                found += [f"{metric} has no {label} {word!r}" for word in sorted(wanted - labels[label])]
    return found + [f"no series of the query has the label {label}" for label in sorted(query.labels - known)]


def _of(metric, existing):
    if metric in existing:
        return existing[metric]
    for suffix in ("_bucket", "_sum", "_count"):
        base = metric.removesuffix(suffix)
        if base != metric and base in existing:
            return {**existing[base], **({"le": None} if suffix == "_bucket" else {})}
    return None
