"""Parts that several schemas have in common: types, validation rules, conditions."""

# An absolute path without ".", ".." or empty parts.
CLEAN_PATH = r"^(/([^/.]|\.[^/.]|\.\.[^/])[^/]*)+$"
CLEAN_DEVICE = r"^/dev(/([^/.]|\.[^/.]|\.\.[^/])[^/]*)+$"
DURATION = r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$"
LVM_NAME = r"^[A-Za-z0-9.+_-]*$"


def string(description, **more):
    return {"description": description, "type": "string", **more}


def boolean(description, **more):
    return {"description": description, "type": "boolean", **more}


def integer(description, width=32, **more):
    return {"description": description, "type": "integer", "format": f"int{width}", **more}


def obj(description, properties, **more):
    return {"description": description, "type": "object", "properties": properties, **more}


def array(description, items, **more):
    return {"description": description, "type": "array", "items": items, **more}


def map_list(description, items, key="name", **more):
    """A list whose elements are told apart by a key: two of them with one name are refused."""
    return array(description, items, **more,
                 **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]})


def rules(*pairs):
    """CEL rules as (expression, message)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def column(name, path, kind="string", priority=0, description=""):
    result = {"name": name, "type": kind, "jsonPath": path}
    if description:
        result["description"] = description
    if priority:
        result["priority"] = priority
    return result


def condition_column(name, kind, description, priority=0):
    return column(name, f".status.conditions[?(@.type=='{kind}')].status", "string", priority, description)


AGE = column("Age", ".metadata.creationTimestamp", "date")


def node_selector():
    return {
        "description": "Labels that a node must have. Empty: every node.",
        "type": "object",
        "additionalProperties": {"type": "string"},
    }


def node_affinity():
    requirement = obj("A condition on one label or field.", {
        "key": {"type": "string"},
        "operator": string("In, NotIn, Exists, DoesNotExist, Gt or Lt."),
        "values": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"},
    }, required=["key", "operator"])
    requirements = {"type": "array", "items": requirement, "x-kubernetes-list-type": "atomic"}
    term = {
        "description": "All conditions of a term must hold; a term without conditions matches nothing.",
        "type": "object",
        "properties": {"matchExpressions": requirements, "matchFields": requirements},
        "x-kubernetes-map-type": "atomic",
    }
    return obj("Nodes that are matched, in addition to nodeSelector.", {
        "nodeSelectorTerms": array("A node is matched when one of the terms matches.", term,
                                   **{"x-kubernetes-list-type": "atomic"}),
    }, required=["nodeSelectorTerms"], **{"x-kubernetes-map-type": "atomic"})


def patches(what):
    target = obj("Objects that the patch is applied to. Names and kinds are regular expressions for the whole "
                 "word.", {
        "group": {"type": "string"},
        "version": {"type": "string"},
        "kind": {"type": "string"},
        "name": string("Name of the object; for satellites without the node's name."),
        "namespace": {"type": "string"},
        "labelSelector": string("Label selector on the object's labels."),
        "annotationSelector": string("Label selector on the object's annotations."),
    })
    return array(f"Kustomize patches for {what}, applied in this order after the operator's own.", obj(
        "A strategic merge patch or a JSON patch.", {
            "patch": string("The patch, as YAML or JSON.", minLength=1),
            "target": target,
            "options": {
                "description": "allowNameChange, allowKindChange: whether the patch may change them.",
                "type": "object",
                "additionalProperties": {"type": "boolean"},
            },
        }, required=["patch"]))


def pod_template(what):
    return {
        "description": f"Merged into the pod template of {what}; may be sparse.",
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "x-kubernetes-preserve-unknown-fields": True,
    }


def ca_reference():
    return obj("Certificates of the authorities to trust, instead of ca.crt in the TLS secret.", {
        "kind": string("Kind of the object.", enum=["ConfigMap", "Secret"], default="Secret"),
        "name": string("Name of the object."),
        "key": string("Key in the object.", default="ca.crt"),
        "optional": boolean("Whether the object may be missing."),
    }, required=["name"])


def issuer(description):
    return obj(description, {
        "name": {"type": "string"},
        "kind": string("Issuer or ClusterIssuer."),
        "group": {"type": "string"},
    }, required=["name"])


def tls_config(description, handshake_daemon):
    properties = {
        "secretName": string("Secret with tls.key, tls.crt and ca.crt."),
        "certManager": issuer("Issuer of cert-manager: a Certificate is created for the secret."),
        "caReference": ca_reference(),
    }
    if handshake_daemon:
        properties["tlsHandshakeDaemon"] = boolean(
            "Run tlshd beside the satellite, so that DRBD can encrypt its replication.")
    # Nullable, because `{}` (TLS with default names) and null (no TLS) must be told apart in apply.
    return obj(description, properties, nullable=True)


def literal_properties(description, *item_rules):
    more = rules(*item_rules) if item_rules else {}
    return map_list(description, obj("A property.", {
        "name": string("Name of the property.", minLength=1),
        "value": string("Value of the property."),
    }, required=["name"], **more))


def node_properties(description, max_items):
    value_from = obj("Value of one field of the Node.", {
        "nodeFieldRef": string(
            "metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'] or "
            "metadata.annotations['KEY'].",
            minLength=1, pattern=r"^metadata\.(name|namespace|uid|(labels|annotations)\['[^*']+'\])$"),
    }, required=["nodeFieldRef"])
    expand_from = obj("Values of several fields of the Node.", {
        "nodeFieldRef": string(
            "metadata.labels, metadata.annotations, or one of them with a key that ends in '*'.",
            minLength=1, pattern=r"^metadata\.(labels|annotations)(\['[^*']*\*'\])?$"),
        "nameTemplate": string("One property per field, with this added to its name; $1 is the key, $2 the value."),
        "valueTemplate": string("The value of each field; $1 is the key, $2 the value."),
        "delimiter": string("Put between the values when they are joined into one property."),
    }, required=["nodeFieldRef"], **rules(
        ("!(has(self.nameTemplate) && self.nameTemplate != '' && has(self.delimiter) && self.delimiter != '')",
         "nameTemplate makes several properties: it has no use for a delimiter")))
    return map_list(description, obj("A property.", {
        "name": string("Name of the property.", minLength=1),
        "value": string("Literal value."),
        "valueFrom": value_from,
        "expandFrom": expand_from,
        "optional": boolean("Leave the property out when the value is empty."),
    }, required=["name"], **rules(
        ("[has(self.value) && self.value != '', has(self.valueFrom), has(self.expandFrom)].exists_one(x, x)",
         "must have exactly one of value, valueFrom and expandFrom"))), maxItems=max_items)


def conditions():
    condition = obj("One aspect of the state.", {
        "type": {"type": "string", "maxLength": 316,
                 "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
                            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": {"type": "string", "minLength": 1, "maxLength": 1024,
                   "pattern": r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
        "message": {"type": "string", "maxLength": 32768},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
    }, required=["type", "status", "reason", "message", "lastTransitionTime"])
    return map_list("State, in the form that Kubernetes tools know.", condition, key="type")


def capacity():
    return {
        "availableCapacityBytes": integer("Size of all storage pools together, in bytes.", 64),
        "freeCapacityBytes": integer("Free space of all storage pools together, in bytes.", 64),
        "capacity": string("Used and total capacity, for people."),
        "numberOfVolumes": integer("Number of volumes."),
        "numberOfSnapshots": integer("Number of snapshots."),
    }
