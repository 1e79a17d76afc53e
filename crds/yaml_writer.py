"""Writes dicts, lists and scalars as block YAML."""

import json
import re

# Words that a YAML reader could take for something else than a string are quoted.
_PLAIN = re.compile(r"^[A-Za-z./$][A-Za-z0-9 ./_()$-]*$")
_NOT_STRINGS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def _scalar(value):
    if isinstance(value, str):
        plain = _PLAIN.match(value) and value == value.strip() and value.lower() not in _NOT_STRINGS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _lines(value, indent):
    pad = "  " * indent
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                yield f"{pad}{_scalar(key)}:"
                yield from _lines(item, indent + (0 if isinstance(item, list) else 1))
            elif isinstance(item, str) and "\n" in item:
                yield f"{pad}{_scalar(key)}: |-"
                yield from ((f"{pad}  {line}" if line else "") for line in item.split("\n"))
            else:
                yield f"{pad}{_scalar(key)}: {_scalar(item)}"
    else:
        for item in value:
            if isinstance(item, (dict, list)) and item:
                body = list(_lines(item, indent + 1))
                yield f"{pad}- {body[0].lstrip()}"
                yield from body[1:]
            else:
                yield f"{pad}- {_scalar(item)}"


def dump(value):
    """The document as text, ending with a newline."""
    return "\n".join(_lines(value, 0)) + "\n"
