"""YAML as Go's yaml.v3 reads it into untyped values: what kustomize's output means to whoever takes it from there."""
import re

import yaml

LOADER = getattr(yaml, "CLoader", yaml.Loader)
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None,
         "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def integer(text):
    """strconv.ParseInt(text, 0, 64), or nothing."""
    sign, digits = (text[0], text[1:]) if text[:1] in "+-" and text else ("", text)
    for prefix, base, allowed in [("0x", 16, "0123456789abcdef"), ("0b", 2, "01"), ("0o", 8, "01234567"),
                                  ("0", 8, "01234567"), ("", 10, "0123456789")]:
        body = digits.lower()
        if body.startswith(prefix) and len(body) > len(prefix):
            body = body[len(prefix):]
            if not set(body) <= set(allowed):
                return None
            value = int(sign + body, base)
            return value if -2**63 <= value < 2**64 else None
    return 0 if digits == "0" else None


def scalar(text):
    if text in WORDS:
        return WORDS[text]
    plain = text.replace("_", "")
    value = integer(plain) if plain and plain[0] in "+-0123456789" else None
    if value is not None:
        return value
    if FLOAT.fullmatch(plain):
        number = float(plain)
        return int(number) if number.is_integer() and abs(number) <= 2**53 else number
    return text


class Builder:
    """Values from events, which still know what was quoted."""

    def __init__(self, text):
        self.events = iter(yaml.parse(text, Loader=LOADER))
        self.anchors = {}

    def documents(self):
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors = {}
                yield self.value(next(self.events))

    def value(self, event):
        if isinstance(event, yaml.AliasEvent):
            return self.anchors[event.anchor]
        if isinstance(event, yaml.ScalarEvent):
            value = scalar(event.value) if event.implicit[0] and not event.tag else event.value
            if event.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool"):
                value = scalar(event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
                value.append(self.value(item))
        else:
            value, merged = {}, []
            while not isinstance(item := next(self.events), yaml.MappingEndEvent):
                key, member = item.value, self.value(next(self.events))
                if key == "<<" and item.implicit[0]:
                    merged += member if isinstance(member, list) else [member]
                else:
                    value[key] = member
            for other in merged:
                value = {**other, **value}
        if event.anchor:
            self.anchors[event.anchor] = value
        return value


def load_all(text):
    return list(Builder(text).documents())
