"""Whether the operator has the rights that it uses, and uses those that it has.

    BREAKWATER_RIGHTS=build/rights PYTHONPATH=tests/e2e python3 -m pytest tests/e2e/suite
    PYTHONPATH=tests/e2e python3 -m rights build/rights

Reads what every test bed found in its audit log and the roles of deploy/default. A right is a verb on a resource. Ends with 1
when one is never used and has no reason below, when one has a reason and is used, or when the API server refused a request.
"""
import json
import pathlib
import subprocess
import sys

import yaml
from testbed.bed import OPERATOR_SERVICE_ACCOUNT, ROOT

OPENSHIFT = "where owner references that block a deletion are checked, on OpenShift; and its security context constraints"
UNUSED = {
    ("update", "piraeus.io", "linstorclusters/finalizers"): OPENSHIFT,
    ("update", "piraeus.io", "linstorsatellites/finalizers"): OPENSHIFT,
    ("use", "security.openshift.io", "securitycontextconstraints"): OPENSHIFT,
    ("create", "", "pods/exec"): "asked for by newer API servers for a websocket, which has \"get\" here",
}


def documents(text):
    return [d for d in yaml.safe_load_all(text) if d]


def rights_of(rules):
    return {(verb, group, resource) for rule in rules for verb in rule["verbs"] for group in rule.get("apiGroups", [])
            for resource in rule.get("resources", [])}


def granted():
    """Rights of the operator's account in deploy/default."""
    tools = subprocess.run([ROOT / "scripts/tools.sh", "--print-dir"], check=True, capture_output=True, text=True).stdout.strip()
    text = subprocess.run([f"{tools}/kubectl", "kustomize", ROOT / "deploy/default"], check=True, capture_output=True, text=True).stdout
    everything = documents(text)
    roles = {(d["kind"], d["metadata"]["name"]): d.get("rules", []) for d in everything if d["kind"] in ("Role", "ClusterRole")}
    found = set()
    for binding in everything:
        if binding["kind"] in ("RoleBinding", "ClusterRoleBinding") and any(
                s["name"] == OPERATOR_SERVICE_ACCOUNT for s in binding["subjects"]):
            found |= rights_of(roles[(binding["roleRef"]["kind"], binding["roleRef"]["name"])])
    return found


def passed_on():
    """Rights in the roles that the operator makes: whoever makes a role must have what is in it."""
    found = set()
    for path in (ROOT / "operator/core/render/manifests").glob("*.yaml"):
        for document in documents(path.read_text()):
            if document["kind"] in ("Role", "ClusterRole"):
                found |= rights_of(document["rules"])
    return found


def main(folder):
    files = list(pathlib.Path(folder).glob("*.json"))
    if not files:
        print(f"rights: nothing in {folder}: run the end-to-end tests with BREAKWATER_RIGHTS={folder}")
        return 1
    rows = {tuple(row) for path in files for row in json.loads(path.read_text())}
    used = {row[:3] for row in rows if row[5]}
    # Server-side apply is a patch; of an object that is not there yet it needs the right to create it, too.
    used |= {("create", group, resource) for verb, group, resource in used if verb == "patch"}
    refused = sorted(row[:5] for row in rows if not row[5])
    have, given = granted(), passed_on()
    unused = sorted(have - used - given - set(UNUSED))
    stale = sorted(set(UNUSED) & used) + sorted(set(UNUSED) - have)
    for title, lines in (("granted and never used", unused), ("has a reason to be unused, and is used or not granted", stale),
                         ("refused", refused)):
        for line in lines:
            print(f"rights: {title}: {' '.join(line)}")
    print(f"rights: {len(have)} granted, {len(have & used)} used, {len((have & given) - used)} only passed on, "
          f"{len(set(UNUSED) & have)} for other kinds of clusters, {len(unused)} unused, {len(refused)} refused "
          f"({len(files)} test beds)")
    return 1 if unused or stale or refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
