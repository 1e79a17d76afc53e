"""Alerts: each fires in its scenario and in no other, none in a healthy cluster, and each tells what to do."""
import copy
import json
import re
import subprocess

import pytest
import yaml
from monitoring import ROOT, alerts, documented, others, parse, problems, program, rule_groups

SCENARIOS = yaml.safe_load((ROOT / "tests/monitoring/scenarios.yaml").read_text())
RUNBOOKS = ROOT / "docs/runbooks"
NAMES = sorted({rule["alert"] for rule in alerts()})
SECTIONS = ["What it means", "What is at risk", "How to look", "What to do", "When to call for help"]
HEALTHY_AT = ["6m", "45m", "90m", "3h50m"]


def spelled(series):
    """Prometheus' own notation, the abbreviations written out."""
    for short, labels in SCENARIOS["labels"].items():
        series = series.replace("{" + short, "{" + labels)
    return series


def expected(scenario):
    """The alert as it must fire, with its texts: promtool compares all of it."""
    fires = scenario["fires"]
    rule = next(r for r in alerts() if r["alert"] == scenario["alert"] and
                fires.get("severity", r["labels"]["severity"]) == r["labels"]["severity"])
    labels = {**rule["labels"], **fires["labels"]}

    def rendered(text):
        text = re.sub(r"\{\{ if \$labels\.(\w+) \}\}(.*?)\{\{ end \}\}", lambda m: m.group(2) if labels.get(m.group(1)) else "", text)
        text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda m: labels[m.group(1)], text)
        return re.sub(r"\{\{ \$value( \| \w+)? \}\}", fires["value"], text)

    return {"exp_labels": labels, "exp_annotations": {k: rendered(v) for k, v in rule["annotations"].items()}}


def promtool_test(scenario):
    series = {**SCENARIOS["healthy"], **scenario["series"]}
    checks = []
    fires = scenario.get("fires")
    times = [*scenario.get("silent", []), *([fires["at"]] if fires else [])]
    for name in NAMES:
        mine = name == scenario["alert"]
        if not mine and name in scenario.get("also", []):
            continue
        for at in times:
            firing = [expected(scenario)] if mine and fires and at == fires["at"] else []
            checks.append({"eval_time": at, "alertname": name, "exp_alerts": firing})
    return {"name": scenario["name"], "interval": "1m", "alert_rule_test": checks,
            "input_series": [{"series": spelled(name), "values": values} for name, values in series.items()]}


def healthy_test():
    return promtool_test({"name": "healthy", "alert": None, "series": {}, "silent": HEALTHY_AT})


def promtool(directory, tests, groups):
    """(passed, what it printed)."""
    # JSON is YAML, and much faster to write.
    (directory / "rules.yaml").write_text(json.dumps({"groups": groups}))
    (directory / "tests.yaml").write_text(json.dumps({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([program("promtool"), "test", "rules", "tests.yaml"], cwd=directory, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def with_expression(expression):
    groups = copy.deepcopy(rule_groups())
    for group in groups:
        for rule in group["rules"]:
            rule["expr"] = expression
    return groups


def test_prometheus_accepts_the_rules(tmp_path):
    # Rules that Prometheus cannot load are no alerts at all, and nobody is told.
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": rule_groups()}))
    done = subprocess.run([program("promtool"), "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_silent_when_healthy(tmp_path):
    # Alerts that cry wolf are switched off.
    passed, output = promtool(tmp_path, [healthy_test()], rule_groups())
    assert passed, output


@pytest.fixture(scope="module")
def all_at_once(tmp_path_factory):
    """One promtool is a second; only when it finds something each scenario has its own."""
    return promtool(tmp_path_factory.mktemp("all"), [promtool_test(s) for s in SCENARIOS["scenarios"]], rule_groups())[0]


@pytest.mark.parametrize("scenario", SCENARIOS["scenarios"], ids=lambda s: f"{s['alert']}: {s['name']}")
def test_fires_in_its_scenario(scenario, all_at_once, tmp_path):
    # On-call is told in time, with the object's name, of this and of nothing else.
    assert scenario.get("fires") or scenario.get("silent")
    if not all_at_once:
        passed, output = promtool(tmp_path, [promtool_test(scenario)], rule_groups())
        assert passed, output


def test_every_alert_has_a_scenario():
    # A rule that nobody has seen firing may never do so. Each severity of an alert needs its own.
    seen = {(s["alert"], expected(s)["exp_labels"]["severity"]) for s in SCENARIOS["scenarios"] if s.get("fires")}
    assert seen == {(rule["alert"], rule["labels"]["severity"]) for rule in alerts()}


def test_no_rule_is_told_from_another_by_its_threshold_only():
    # Two rules with one name and the same labels are one alert for Prometheus, which then takes neither.
    names = [(rule["alert"], tuple(rule["labels"].items())) for rule in alerts()]
    assert len(set(names)) == len(names)


def test_the_tests_can_fail(tmp_path):
    # The negative control: rules that never fire, and rules that always do.
    firing = [s for s in SCENARIOS["scenarios"] if s.get("fires")]
    _, output = promtool(tmp_path, [promtool_test(s) for s in firing], with_expression("vector(0) > 1"))
    assert {name for name in NAMES if f"alertname: {name}," in output} == set(NAMES), output
    passed, output = promtool(tmp_path, [healthy_test()], with_expression("vector(1)"))
    assert not passed and all(f"alertname: {name}," in output for name in NAMES), output


@pytest.mark.parametrize("rule", alerts(), ids=lambda r: f"{r['alert']}/{r['labels']['severity']}")
def test_every_alert_asks_for_what_exists(rule):
    # After a metric was renamed its alert is silent for ever.
    assert not problems(parse(rule["expr"]), {**others(), **documented()})


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_its_page(name):
    # Whoever is woken up needs commands, not a definition.
    for rule in (r for r in alerts() if r["alert"] == name):
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}.md")
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS
    assert "```" in page, "no command to look with"
    assert f"[{name}](../runbooks/{name}.md)" in (ROOT / "docs/how-to/monitoring.md").read_text()


def test_no_page_without_an_alert():
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == NAMES
