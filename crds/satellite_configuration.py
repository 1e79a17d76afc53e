"""Schema of LinstorSatelliteConfiguration."""

from satellite_parts import common_spec
from shared import (AGE, array, column, condition_column, conditions, integer, node_affinity, node_selector, obj,
                    pod_template)

KIND = "LinstorSatelliteConfiguration"
DESCRIPTION = ("Settings for the satellites on all nodes that it matches. Several that match one node are merged "
               "in the order of their names.")
COLUMNS = [
    column("Selector", ".spec.nodeSelector", description="Labels of the nodes that it matches"),
    condition_column("Applied", "Applied", "Whether it was applied"),
    column("Matched", ".status.matched", "integer", description="Number of satellites that it is part of"),
    column("Satellites", ".status.appliedTo", priority=10, description="Satellites that it is part of"),
    AGE,
]


def spec():
    return obj("Settings of satellites.", {
        "nodeSelector": node_selector(),
        "nodeAffinity": node_affinity(),
        "podTemplate": pod_template("the satellites"),
        **common_spec(),
    })


def status():
    return obj("Where the settings are used.", {
        "conditions": conditions(),
        "appliedTo": array("Names of the satellites.", {"type": "string"}),
        "matched": integer("Number of satellites.", 64),
    })
