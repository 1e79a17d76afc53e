#!/usr/bin/env python3
"""Writes the four CustomResourceDefinitions of this folder.

  crds/generate.py           writes the files
  crds/generate.py --check   fails when a file is not up to date

The schemas share many parts (patches, TLS blocks, pools, conditions); they are said once, in shared.py.
Only Python's standard library is used.
"""

import argparse
import pathlib
import sys

import cluster
import node_connection
import satellite
import satellite_configuration
import yaml_writer

FOLDER = pathlib.Path(__file__).resolve().parent
KINDS = [cluster, node_connection, satellite, satellite_configuration]


def definition(module):
    """The whole object for a module with KIND, DESCRIPTION, COLUMNS, spec() and status()."""
    kind = module.KIND
    plural = kind.lower() + "s"
    spec = module.spec()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": plural + ".piraeus.io"},
        "spec": {
            "group": "piraeus.io",
            "names": {"kind": kind, "listKind": kind + "List", "plural": plural, "singular": kind.lower()},
            "scope": "Cluster",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": module.COLUMNS,
                    "schema": {
                        "openAPIV3Schema": {
                            "description": module.DESCRIPTION,
                            "type": "object",
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": module.status(),
                            },
                        }
                    },
                }
            ],
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    stale = []
    for module in KINDS:
        path = FOLDER / f"piraeus.io_{module.KIND.lower()}s.yaml"
        text = "# Written by generate.py: change the schema there.\n" + yaml_writer.dump(definition(module))
        if arguments.check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(path.name)
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.exit("not up to date, run crds/generate.py: " + ", ".join(stale))


if __name__ == "__main__":
    main()
