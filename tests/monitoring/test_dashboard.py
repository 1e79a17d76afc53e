"""The dashboard: queries that Prometheus accepts, about metrics, labels and values that exist."""
import json
import re
import subprocess

import pytest
import yaml
from monitoring import DASHBOARD, dashboard_queries, documented, others, parse, problems, program


@pytest.mark.parametrize("panel,expression,legend", dashboard_queries(), ids=lambda value: value[:40])
def test_every_query_asks_for_what_exists(panel, expression, legend):
    # An empty panel looks like "nothing wrong".
    query = parse(expression)
    assert query.selectors
    assert not problems(query, {**others(), **documented()})
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= query.labels, "the legend has a label that is aggregated away"
    for metric, matchers in query.selectors[:1]:
        assert ("namespace", "=", "$namespace") in matchers, f"{metric} of all namespaces"


def test_prometheus_accepts_every_query(tmp_path):
    rules = [{"record": f"panel:{number}", "expr": expression} for number, (_, expression, _) in enumerate(dashboard_queries())]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    # Panels may ask the same.
    done = subprocess.run([program("promtool"), "check", "rules", "--lint=none", tmp_path / "rules.yaml"], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_reference_is_shown_or_known_not_to_be():
    # A metric that is in no panel is found by nobody; what needs none is listed here.
    hidden = {"breakwater_store_resource_version", "breakwater_store_fingerprint",      # for comparing two replicas
              "breakwater_certificates_written_total", "breakwater_certificate_authorities_total"}
    shown = {metric for _, expression, _ in dashboard_queries() for metric, _ in parse(expression).selectors}
    shown |= {re.sub(r"_(bucket|count|sum)$", "", metric) for metric in shown}
    assert set(documented()) - shown == hidden


def test_panels_have_numbers_and_places_of_their_own():
    # Grafana lays two panels over each other without a word.
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [(x, y) for panel in panels for p in [panel["gridPos"]]
             for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
