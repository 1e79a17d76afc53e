#!/usr/bin/env python3
"""Writes the tables of values in charts/*/README.md from values.schema.json and values.yaml.

  scripts/chart_docs.py           writes the tables, between their two markers
  scripts/chart_docs.py --check   fails when one is not up to date

Ends with an error when a value has no description in the schema, or is in one of the two files only.
"""

import argparse
import json
import pathlib
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN = "<!-- Written by scripts/chart_docs.py from values.schema.json and values.yaml -->\n"
END = "<!-- end of the values -->\n"
NOT_LISTED = {"global"}  # Helm hands it to every chart
SAID_ELSEWHERE = "any field of `spec` of a {}: `kubectl explain {}.spec`"


def type_of(schema):
    if "enum" in schema:
        return ", ".join(f"`{value}`" if value else "empty" for value in schema["enum"])
    names = schema.get("type", "any")
    names = " or ".join(name for name in names if name != "null") if isinstance(names, list) else names
    return {"array": "list", "object": "map"}.get(names, names)


def default_of(value):
    if value is None:
        return ""
    return f"`{json.dumps(value, ensure_ascii=False)}`" if value != "" else '`""`'


def rows(schema, values, path):
    """(name, type, default, description) of each value below `path`, in the order of the schema."""
    for name, child in schema.get("properties", {}).items():
        if not path and name in NOT_LISTED:
            continue
        where = f"{path}{name}"
        value = values.get(name) if isinstance(values, dict) else None
        if "$ref" in child:
            kind = child["$ref"].rsplit("/", 1)[1].removesuffix("Spec")
            kind = kind[0].upper() + kind[1:]
            yield where, "map", default_of(value), SAID_ELSEWHERE.format(kind, kind.lower())
            continue
        if not child.get("description"):
            sys.exit(f"{where} has no description")
        items = child.get("items", {})
        if child.get("properties") and child.get("type") == "object":
            yield from rows(child, value, f"{where}.") if value else [(where, "map", default_of(value), child["description"])]
        else:
            yield where, type_of(child), default_of(value), child["description"]
            if items.get("properties") and all("description" in field or "$ref" in field for field in items["properties"].values()):
                yield from rows(items, None, f"{where}[].")


def unknown(schema, values, path=""):
    """Values with a default that the schema does not know, and values of the schema without a default."""
    properties = schema.get("properties", {})
    found = [f"{path}{name} is in values.yaml only" for name in values if name not in properties]
    found += [f"{path}{name} is in values.schema.json only" for name in properties
              if name not in values and not (not path and name in NOT_LISTED)]
    for name, child in properties.items():
        value = values.get(name)
        if child.get("properties") and value:  # {} is a default as a whole: "as if nothing were said"
            found += unknown(child, value, f"{path}{name}.")
    return found


def table(chart):
    schema = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    problems = unknown(schema, values)
    if problems:
        sys.exit(f"{chart.name}: " + "; ".join(problems))
    lines = ["| value | type | default | meaning |", "| --- | --- | --- | --- |"]
    for cells in rows(schema, values, ""):
        name, *others = [str(cell).replace("|", "\\|") for cell in cells]
        lines.append(f"| `{name}` | " + " | ".join(others) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    stale = []
    for chart in sorted(path.parent for path in ROOT.glob("charts/*/Chart.yaml")):
        path = chart / "README.md"
        text = path.read_text(encoding="utf-8")
        if text.count(BEGIN) != 1 or text.count(END) != 1:
            sys.exit(f"{path.relative_to(ROOT)} needs the two lines\n{BEGIN}{END}")
        before, rest = text.split(BEGIN)
        new = before + BEGIN + "\n" + table(chart) + "\n" + END + rest.split(END)[1]
        if new != text:
            stale.append(str(path.relative_to(ROOT)))
            if not arguments.check:
                path.write_text(new, encoding="utf-8")
    if stale and arguments.check:
        sys.exit("not up to date, run scripts/chart_docs.py: " + ", ".join(stale))


if __name__ == "__main__":
    main()
