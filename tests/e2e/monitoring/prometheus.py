"""A Prometheus of its own for a test, on loopback."""
import functools
import json
import pathlib
import subprocess
import urllib.parse
import urllib.request

import yaml

from .files import ROOT


def _fetched(what):
    done = subprocess.run([ROOT / "scripts/prometheus.sh", f"--print-{what}"], check=True, stdout=subprocess.PIPE, text=True)
    return pathlib.Path(done.stdout.strip())


@functools.lru_cache(maxsize=None)
def program(name):
    """prometheus or promtool, of Debian's package; fetched when missing."""
    return _fetched("dir") / name


def definitions():
    """The directory with the CustomResourceDefinitions that the Prometheus Operator brings, those that are used here."""
    return _fetched("definitions")


class Prometheus:
    """Scrapes `targets` every second and evaluates `groups` as often; ends with the test.

    A target is its address, its labels, and how to scrape it, as in a scrape configuration.
    """

    def __init__(self, component, directory, address, targets, groups):
        directory.mkdir(parents=True)
        (directory / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
        (directory / "prometheus.yaml").write_text(yaml.safe_dump({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": labels["pod"], "static_configs": [{"targets": [target], "labels": labels}], **how}
                               for target, labels, how in targets]}))
        self.url = f"http://{address}"
        self.process = component(
            "prometheus", [program("prometheus"), f"--config.file={directory}/prometheus.yaml", f"--web.listen-address={address}",
                           f"--storage.tsdb.path={directory}/data"],
            directory.parent / "logs" / "prometheus.log", ready=lambda _: self.answers("/-/ready"))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.kill()

    def answers(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5):
                return True
        except OSError:
            return False

    def get(self, path, **parameters):
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as reply:
            return json.loads(reply.read())["data"]

    def query(self, expression):
        return self.get("query", query=expression)["result"]

    def alerts(self, state="firing"):
        """{alert: [its labels]} of those in that state."""
        found = {}
        for alert in self.get("alerts")["alerts"]:
            if alert["state"] == state:
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    def rules(self):
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]
