"""Everything that the simulator answers has the form that LINSTOR's OpenAPI file promises."""

import json
import warnings

import pytest

import openapi_check
import samples

READS = [
    "/v1/controller/version", "/v1/controller/properties", "/v1/nodes", "/v1/nodes/n1",
    "/v1/nodes/n1/net-interfaces", "/v1/nodes/n1/net-interfaces/default", "/v1/nodes/n1/storage-pools",
    "/v1/nodes/n1/storage-pools/fthin", "/v1/view/storage-pools", "/v1/storage-pool-definitions",
    "/v1/resource-groups", "/v1/resource-groups/DfltRscGrp", "/v1/resource-groups/rg1/volume-groups",
    "/v1/resource-definitions", "/v1/resource-definitions?with_volume_definitions=true",
    "/v1/resource-definitions/r1", "/v1/resource-definitions/r1/volume-definitions",
    "/v1/resource-definitions/r1/volume-definitions/0", "/v1/resource-definitions/r1/resources",
    "/v1/resource-definitions/r1/resources/n1", "/v1/view/resources",
    "/v1/resource-definitions/r1/resource-connections",
    "/v1/resource-definitions/r1/resource-connections/n1/n2", "/v1/node-connections",
    "/v1/error-reports", "/v1/error-reports?withContent=true", "/v1/view/snapshots",
    "/v1/resource-definitions/r1/sync-status", "/v1/stats/nodes", "/v1/physical-storage",
    "/v1/key-value-store", "/v1/key-value-store/csi-backup-mapping", "/v1/key-value-store/none",
    "/v1/remotes/s3", "/v1/remotes/linstor", "/v1/remotes/ebs",
    "/v1/nodes/none", "/v1/resource-definitions/none", "/v1/view/resources?nodes=none",
]


@pytest.fixture(scope="module")
def checker():
    found = openapi_check.load()
    if found is None:
        message = f"SKIPPED: no OpenAPI file at {openapi_check.path_of_file()}; set BREAKWATER_LINSTOR_OPENAPI"
        warnings.warn(message)
        pytest.skip(message)
    return found


def deviations_of_the_record(checker):
    """Where a real LINSTOR's own exchanges do not keep to its file: the simulator may do the same."""
    found = set()
    for path in sorted(samples.SAMPLES.glob("*.txt")):
        for exchange in samples.read(path.name):
            if exchange.status < 300:
                try:
                    body = json.loads(exchange.body) if exchange.body else None
                except ValueError:
                    body = None
                found.update(checker.check_request(exchange.method, exchange.path, body))
            elif exchange.status == 404 and "not found" in str(exchange.reply):
                found.update(checker.check_request(exchange.method, exchange.path, None))
            if isinstance(exchange.reply, (dict, list)):
                found.update(checker.check_reply(
                    exchange.method, exchange.path, exchange.status, exchange.reply))
    return found


def test_every_answer_keeps_the_contract(make_sim, checker):
    cluster = make_sim("--reflinks", "no")  # as in the record: FILE_THIN refuses snapshots
    cluster.add_nodes()
    cluster.add_pools()
    allowed = deviations_of_the_record(checker)
    problems = []

    def call(method, path, body=None, wanted=None):
        status, _, reply = cluster.call(method, path, body)
        if wanted is None or wanted < 300:
            problems.extend(p for p in checker.check_request(method, path, body) if p not in allowed)
        problems.extend(p for p in checker.check_reply(method, path, status, reply) if p not in allowed)
        if wanted:
            assert status == wanted, (method, path, status, reply)

    tls = {"override_props": {"DrbdOptions/Net/tls": "yes"}}
    call("POST", "/v1/resource-groups", {"name": "rg1", "select_filter": {"place_count": 2}}, 201)
    call("POST", "/v1/resource-groups/rg1/volume-groups", {}, 201)
    call("POST", "/v1/resource-groups/rg1/spawn",
         {"resource_definition_name": "r1", "volume_sizes": [65536]}, 201)
    call("PUT", "/v1/resource-definitions/r1", tls, 200)
    call("PUT", "/v1/resource-definitions/r1/resource-connections/n1/n2", tls, 200)
    call("PUT", "/v1/node-connections/n1/n2", tls, 200)
    call("PUT", "/v1/resource-groups/rg1", tls, 200)
    call("POST", "/v1/controller/properties", tls, 201)
    call("POST", "/v1/controller/properties", {"override_props": {"nonsense": "1"}}, 500)
    call("PUT", "/v1/nodes/n1", {"override_props": {"Aux/zone": "a"}}, 200)
    call("PUT", "/v1/nodes/n1/net-interfaces/default", {"address": "10.77.0.1"}, 200)
    call("POST", "/v1/nodes/n1/net-interfaces", {"name": "nic2", "address": "10.8.0.1"}, 201)
    call("PUT", "/v1/nodes/n1/storage-pools/fthin", {"override_props": {"Aux/k": "v"}}, 200)
    cluster.call("POST", "/sim/fault", {"kind": "refuse-adjust", "node": "n2", "times": 1})
    call("PUT", "/v1/resource-definitions/r1", {"delete_props": ["DrbdOptions/Net/tls"]}, 500)
    call("POST", "/v1/resource-definitions/r1/snapshots", {"name": "snap1"}, 500)  # FILE_THIN, as recorded
    for node in ("n1", "n2"):
        call("POST", f"/v1/nodes/{node}/storage-pools",
             {"storage_pool_name": "thin", "provider_kind": "LVM_THIN", "props": {"StorDriver/StorPoolName": "vg/thin"}}, 201)
    call("POST", "/v1/resource-groups", {"name": "rg2", "select_filter": {"place_count": 2, "storage_pool": "thin"}}, 201)
    call("POST", "/v1/resource-groups/rg2/volume-groups", {}, 201)
    call("POST", "/v1/resource-groups/rg2/spawn",
         {"resource_definition_name": "r2", "volume_sizes": [65536]}, 201)
    call("POST", "/v1/resource-definitions/r2/snapshots", {"name": "snap1"}, 201)
    call("POST", "/v1/actions/snapshot/multi", {"snapshots": [{"resource_name": "r2", "name": "snap2"}]}, 201)
    restore = "/v1/resource-definitions/r2/snapshot-restore-"
    call("POST", "/v1/resource-definitions", {"resource_definition": {"name": "r3"}}, 201)
    call("POST", restore + "volume-definition/snap1", {"to_resource": "r3"}, 200)
    call("POST", restore + "resource/snap1", {"to_resource": "r3", "nodes": ["n1"]}, 200)
    call("POST", "/v1/resource-definitions/r2/clone", {"name": "r4", "use_zfs_clone": True}, 201)
    call("GET", "/v1/resource-definitions/r2/clone/r4", None, 200)
    call("GET", "/v1/resource-definitions/r2/clone/none", None, 404)
    call("POST", "/v1/resource-definitions/r3/resources/n3/make-available", {"diskful": False}, 200)
    call("POST", "/v1/resource-definitions/r3/resources/n3/make-available", {}, 200)
    call("POST", "/v1/resource-definitions/r3/autoplace",
         {"select_filter": {"place_count": 1, "additional_place_count": 1, "node_name_list": ["n2"]}}, 201)
    call("DELETE", "/v1/resource-definitions/r3/resources/n3?keep_tiebreaker=true", None, 200)
    call("DELETE", "/v1/resource-definitions/r3/resources/n3?keep_tiebreaker=false", None, 200)
    call("DELETE", "/v1/resource-definitions/r3/volume-definitions/0", None, 200)
    call("PUT", "/v1/key-value-store/csi-backup-mapping", {"override_props": {"a": "b"}}, 200)
    call("PUT", "/v1/resource-groups/rg2", {"override_props": {"DrbdOptions/auto-quorum": "disabled"},
                                            "select_filter": {"replicas_on_different": ["Aux/zone"]}}, 200)
    for path in [*READS, "/v1/resource-definitions/r2/snapshots", "/v1/resource-definitions/r2/snapshots/snap1"]:
        call("GET", path)
    call("DELETE", "/v1/resource-definitions/r2/snapshots/snap1", None, 200)
    call("DELETE", "/v1/resource-definitions/r2/snapshots/none", None, 200)
    call("DELETE", "/v1/key-value-store/csi-backup-mapping", None, 200)
    call("DELETE", "/v1/nodes/n1/net-interfaces/nic2", None, 200)
    call("DELETE", "/v1/resource-definitions/r1/resources/n1", None, 200)
    call("DELETE", "/v1/resource-definitions/r1", None, 200)
    call("DELETE", "/v1/resource-groups/rg1", None, 200)
    assert not problems, "\n".join(problems)
    assert checker.checked > 40


def test_python_client_sends_what_the_contract_allows(cluster, checker):
    """The requests of python-linstor, as the simulator logged them."""
    linstor = pytest.importorskip("linstor")
    with linstor.Linstor(f"linstor://127.0.0.1:{cluster.port}") as client:
        client.node_list()
        client.resource_group_create("rgx", place_count=2, storage_pool=["fthin"])
        client.volume_group_create("rgx")
        client.resource_group_spawn("rgx", "spawned", ["64M"])
    problems = []
    for request in cluster.ok("GET", "/sim/requests")["requests"]:
        if "linstor" in request["user_agent"].lower():
            body = json.loads(request["body"]) if request["body"] else None
            problems += checker.check_request(request["method"], request["path"], body)
    assert not problems, "\n".join(problems)
