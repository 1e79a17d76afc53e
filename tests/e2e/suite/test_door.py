"""The door to LINSTOR and the bounds of patches, as a person sees them; and that the rights of deploy/default suffice for it all."""
import json

from scenario.storage import NAMESPACE, SERVICE_ACCOUNT
from testbed import kube

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
BINDING = {"target": {"kind": "ClusterRoleBinding"},
           "patch": json.dumps([{"op": "add", "path": "/subjects/-", "value": {"kind": "User", "name": "mallory"}}])}
HOST_PATH = {"target": {"kind": "Deployment", "name": "there-is-none"},
             "patch": json.dumps([{"op": "add", "path": "/spec/template/spec/volumes/-",
                                   "value": {"name": "root", "hostPath": {"path": "/"}}}])}


def patch(storage, *patches):
    storage.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p", json.dumps({"spec": {"patches": patches}}))


def condition(storage, name):
    return storage.condition(storage.cluster(), name)


def requests(storage):
    """What the operator asked for, with the answers: {(verb, resource, subresource): {code, ...}}."""
    found = {}
    for event in kube.audit_entries(storage.bed.audit_log):
        what = event.get("objectRef", {})
        key = (event["verb"], what.get("resource", event["requestURI"]), what.get("subresource", ""))
        found.setdefault(key, set()).add(event.get("responseStatus", {}).get("code"))
    return found


def test_an_open_api_is_said(storage):
    """REVIEW-2 S6: LINSTOR's REST serves everybody until apiTLS is set; that must not go unsaid."""
    storage.create_cluster()
    storage.bed.wait_for(lambda: condition(storage, "APIUnprotected").get("status") == "True", 30, "APIUnprotected")
    assert "spec.apiTLS" in condition(storage, "APIUnprotected")["message"]


def test_a_patch_on_rights_is_refused(storage):
    """REVIEW-2 S4: an editor of the LinstorCluster does not become the LINSTOR controller."""
    patch(storage, HOST_PATH, BINDING)
    applied = storage.bed.wait_for(
        lambda: (c := condition(storage, "Applied")).get("status") == "False" and c, 30, "the refusal")
    assert "spec.patches[1]" in applied["message"] and 'ClusterRoleBinding "linstor-controller"' in applied["message"]
    assert "mallory" not in storage.kubectl("get", "clusterrolebinding", "linstor-controller", "-o", "json")
    patch(storage)
    storage.bed.wait_for(lambda: condition(storage, "Applied").get("status") == "True", 30, "Applied again")


def test_a_dangerous_patch_is_announced(storage):
    """REVIEW-2 S4: allowed, but never silent."""
    patch(storage, HOST_PATH)
    event = storage.bed.wait_for(
        lambda: [e for e in storage.bed.get("events.events.k8s.io", "-n", "default")
                 if e["reason"] == "DangerousPatch" and "spec.patches[0]: hostPath" in e["note"]], 30, "the Warning")[0]
    assert event["type"] == "Warning" and event["regarding"]["name"] == "linstorcluster"
    patch(storage)


def test_nothing_was_refused_to_the_operator(storage):
    """The bounds leave room: commands in satellites, the new Lease and roles, events; T7 for what the suite does here."""
    storage.create_group("two-copies", 2)
    storage.create_volume("pvc-a", "two-copies", 2)
    storage.bed.wait_for(lambda: any(key[2] == "exec" for key in requests(storage)), 90, "a command in a satellite")
    seen = requests(storage)
    assert {key: codes for key, codes in seen.items() if 403 in codes} == {}
    assert any(key[1] == "events" for key in seen) and any(key[1] == "roles" for key in seen)
    storage.kubectl("delete", "linstorcluster", "linstorcluster", "--timeout=60s")
