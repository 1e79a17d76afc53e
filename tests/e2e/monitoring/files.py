"""The shipped files."""
import copy
import functools
import json
import pathlib
import os
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILES = ROOT / "charts/breakwater/files/monitoring"
RULES = FILES / "prometheus-rule.yaml"
DASHBOARD = FILES / "dashboard.json"
OBJECTS = {("Service", "piraeus-operator-metrics"), ("ServiceMonitor", "piraeus-operator"), ("PodMonitor", "linstor-controller"),
           ("PodMonitor", "linstor-satellite"), ("PrometheusRule", "breakwater"), ("ConfigMap", "breakwater-dashboard")}


def rule_groups():
    """What Prometheus itself reads of the PrometheusRule."""
    return yaml.safe_load(RULES.read_text())["spec"]["groups"]


def alerts():
    """All rules, in the order of the file. An alert with two thresholds is there twice."""
    return [rule for group in rule_groups() for rule in group["rules"]]


def dashboard_queries():
    """[(panel, expression, legend)], with a value for each of Grafana's variables of time."""
    found = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            expression = re.sub(r"\$__(rate_)?interval", "5m", target["expr"]).replace("$__range", "1h")
            found.append((panel["title"], expression, target["legendFormat"]))
    return found


def hurried(groups, seconds):
    """The same rules for a test that has no hour: every `for`, range and offset becomes `seconds`.

    What is compared, and with what, stays: only waiting is shorter. So that nobody takes a test with these rules for one of the
    times in them; those are for promtool (tests/monitoring).
    """
    groups = copy.deepcopy(groups)
    for group in groups:
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[\d+[smhd]\]", f"[{seconds}s]", rule["expr"])
            rule["expr"] = re.sub(r"\boffset \d+[smhd]\b", f"offset {seconds}s", rule["expr"])
            if "for" in rule:
                rule["for"] = f"{seconds}s"
    return groups


def runbook_commands():
    """Every line of the pages' blocks that begins with kubectl, once, without what follows a pipe."""
    found = set()
    for page in sorted((ROOT / "docs/runbooks").glob("*.md")):
        for block in re.findall(r"^ *```\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL):
            found |= {line.split(" | ")[0].strip() for line in block.splitlines() if line.strip().startswith("kubectl")}
    return sorted(found)


def kustomized(directory, components, base="default"):
    """The manifests of an overlay of deploy/default (or another base) with components of deploy/, as docs/how-to/monitoring.md has it."""
    deploy = os.path.relpath(ROOT / "deploy", directory)
    (directory / "kustomization.yaml").write_text(yaml.safe_dump({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [f"{deploy}/{base}"],
        "components": [f"{deploy}/{name}" for name in components]}))
    return subprocess.run([f"{_tools()}/kubectl", "kustomize", directory], check=True, stdout=subprocess.PIPE, text=True).stdout


@functools.lru_cache(maxsize=None)
def _tools():
    return subprocess.run([ROOT / "scripts/tools.sh", "--print-dir"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
