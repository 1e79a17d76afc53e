"""What the checks of alerts and dashboard share: rules and dashboard as shipped, their queries, the metrics that exist."""
from .files import DASHBOARD, FILES, OBJECTS, ROOT, alerts, dashboard_queries, hurried, kustomized, rule_groups, runbook_commands
from .metrics import OPTIONAL, documented, exposed, others, problems
from .prometheus import Prometheus, definitions, program
from .promql import Query, parse

__all__ = ["DASHBOARD", "FILES", "OBJECTS", "OPTIONAL", "ROOT", "Prometheus", "Query", "alerts", "dashboard_queries", "definitions", "documented",
           "exposed", "hurried", "kustomized", "others", "parse", "problems", "program", "rule_groups",
           "runbook_commands"]
