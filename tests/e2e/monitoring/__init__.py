"""What the checks of alerts and dashboard share: rules and dashboard as shipped, their queries, the metrics that exist."""
from .files import DASHBOARD, FILES, ROOT, RULES, alerts, dashboard_queries, hurried, rule_groups
from .metrics import documented, exposed, others, problems
from .prometheus import Prometheus, program
from .promql import Query, parse

__all__ = ["DASHBOARD", "FILES", "ROOT", "RULES", "Prometheus", "Query", "alerts", "dashboard_queries", "documented", "exposed",
           "hurried", "others", "parse", "problems", "program", "rule_groups"]
