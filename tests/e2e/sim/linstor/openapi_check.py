"""Checks requests and replies against LINSTOR's own OpenAPI file.

The file is not part of this project: BREAKWATER_LINSTOR_OPENAPI names it, else it is looked for next to
the repository.
"""

import os
import pathlib
import re

import jsonschema
import yaml

DEFAULT = pathlib.Path(__file__).parents[5] / "shared" / "facts" / "linstor-rest-v1-openapi.yaml"


def path_of_file():
    return pathlib.Path(os.environ.get("BREAKWATER_LINSTOR_OPENAPI", DEFAULT))


def load():
    """None when the file is not there."""
    return Checker(path_of_file()) if path_of_file().exists() else None


def loosen(node):
    """oneOf without discriminator fits several layers at once: any of them will do."""
    if isinstance(node, dict):
        return {"anyOf" if key == "oneOf" else key: loosen(item) for key, item in node.items()}
    if isinstance(node, list):
        return [loosen(item) for item in node]
    return node


class Checker:
    def __init__(self, path):
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        with open(path, encoding="utf-8") as text:
            self.document = loosen(yaml.load(text, Loader=loader))
        self.routes = []
        for template, operations in self.document["paths"].items():
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            if template.endswith("/{key}"):
                pattern = pattern[:-len("[^/]+")] + ".+"
            self.routes.append((re.compile(pattern + "$"), template, operations))
        self.routes.sort(key=lambda route: "{" in route[1])  # fixed paths first
        self.checked = 0

    def find(self, method, path):
        for pattern, template, operations in self.routes:
            if pattern.match(path) and method.lower() in operations:
                return template, operations[method.lower()]
        return None, None

    def schema(self, content):
        for kind, media in (content or {}).items():
            if "json" in kind:
                return media.get("schema")
        return None

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.document
            for part in node["$ref"].lstrip("#/").split("/"):
                target = target[part]
            node = target
        return node

    def validate(self, value, schema):
        """Problems found: jsonschema's, and fields that the schema does not know."""
        root = {"components": self.document["components"], **schema}
        validator = jsonschema.Draft4Validator(root)
        problems = ["/".join("[]" if isinstance(part, int) else part for part in e.absolute_path)
                    + f": {e.validator} {e.validator_value if e.validator in ('type', 'required') else ''} "
                    + ("" if e.validator == "type" else e.message[:200])
                    for e in validator.iter_errors(value)]
        self.unknown(value, schema, "", problems)
        return problems

    def properties(self, schema):
        """All properties of an object schema, or None when it takes anything."""
        schema = self.resolve(schema)
        found = dict(schema.get("properties", {}))
        for part in schema.get("allOf", []):
            found.update(self.properties(part) or {})
        if schema.get("additionalProperties") or not found:
            return None
        return found

    def unknown(self, value, schema, where, problems):
        schema = self.resolve(schema or {})
        if schema.get("anyOf"):
            return
        if isinstance(value, list):
            for item in value:
                self.unknown(item, schema.get("items", {}), where + "[]", problems)
        elif isinstance(value, dict):
            known = self.properties(schema)
            if known is None:
                return
            for key, item in value.items():
                if key not in known:
                    problems.append(f"{where}/{key}: not in the schema")
                else:
                    self.unknown(item, known[key], f"{where}/{key}", problems)

    def check_request(self, method, path, body):
        template, operation = self.find(method, path.split("?")[0])
        if operation is None:
            known = [t for pattern, t, _ in self.routes if pattern.match(path.split("?")[0])]
            return [f"{method} {known[0] if known else path}: not in the OpenAPI file"]
        schema = self.schema(self.resolve(operation.get("requestBody", {})).get("content"))
        if schema is None or body is None:
            return []
        return [f"request of {method} {template}: {p}" for p in self.validate(body, schema)]

    def check_reply(self, method, path, status, reply):
        template, operation = self.find(method, path.split("?")[0])
        if operation is None:
            return []
        responses = operation["responses"]
        response = self.resolve(responses.get(str(status), responses.get(status)))
        if response is None:
            # The file lists few errors; all of them are lists of ApiCallRc.
            schema = {"$ref": "#/components/schemas/ApiCallRcList"} if status >= 400 else None
            if schema is None:
                return [f"{method} {template}: status {status} is not in the OpenAPI file"]
        else:
            schema = self.schema(response.get("content"))
        if schema is None or not isinstance(reply, (dict, list)):
            return []
        self.checked += 1
        return [f"reply {status} of {method} {template}: {p}" for p in self.validate(reply, schema)]
