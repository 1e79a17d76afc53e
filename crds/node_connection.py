"""Schema of LinstorNodeConnection."""

from shared import AGE, array, condition_column, conditions, literal_properties, map_list, obj, rules, string

KIND = "LinstorNodeConnection"
DESCRIPTION = "Properties and network paths of the connections between pairs of nodes."
COLUMNS = [
    condition_column("Configured", "Configured", "Whether the connections are as wanted"),
    AGE,
]


def spec():
    match = obj("A condition on one label of both nodes.", {
        "key": string("Name of the label.", minLength=1),
        "op": string(
            "Exists, DoesNotExist: the label is on both nodes, or on none. In, NotIn: both values are among the "
            "values, or none is. Same, NotSame: the values are equal, or differ.",
            enum=["Exists", "DoesNotExist", "In", "NotIn", "Same", "NotSame"], default="Exists"),
        "values": array("For In and NotIn.", {"type": "string"}),
    }, required=["key"], **rules(
        ("self.op in ['In', 'NotIn'] || !has(self.values) || size(self.values) == 0",
         "values are only for In and NotIn")))
    term = obj("All conditions of a term must hold.", {
        "matchLabels": array("Conditions.", match, maxItems=64),
    }, required=["matchLabels"])
    return obj("Which connections, and how they should be.", {
        "selector": array("A pair of nodes is matched when one of the terms matches. Empty: every pair.", term,
                          maxItems=64),
        "properties": literal_properties("Properties of the connection."),
        "paths": map_list("Network paths of the connection.", obj("A path.", {
            "name": string("Name of the path."),
            "interface": string("Name of the network interface on both nodes."),
        }, required=["name", "interface"])),
    })


def status():
    return obj("State.", {"conditions": conditions()})
