"""Which metrics and labels a query uses. Not a parser: promtool says whether a query is one."""
import re
from dataclasses import dataclass, field

TOKEN = re.compile(r"""
    (?P<space>\s+) | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*') | (?P<range>\[[^\]]*\]) | (?P<number>\d[\w.]*)
  | (?P<name>[a-zA-Z_:][\w:]*) | (?P<operator>=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>])""", re.VERBOSE)
LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "offset", "bool"}


@dataclass
class Query:
    selectors: list = field(default_factory=list)  # [(metric, [(label, operator, value)])]
    labels: set = field(default_factory=set)       # those that it groups or matches by


def parse(expression):
    tokens = []
    position = 0
    while position < len(expression):
        match = TOKEN.match(expression, position)
        if not match:
            raise ValueError(f"not understood: {expression[position:position + 40]!r} in {expression!r}")
        position = match.end()
        if match.lastgroup != "space":
            tokens.append((match.lastgroup, match.group()))
    tokens.append(("end", ""))
    return _walk(tokens)


def _walk(tokens):
    query, i = Query(), 0
    while tokens[i][0] != "end":
        kind, text = tokens[i]
        following = tokens[i + 1][1]
        if kind == "operator" and text == "{":
            raise ValueError("a selector without a name")
        if kind != "name" or text in WORDS:
            i += 1
        elif text in LABEL_LISTS:
            names, i = _until(tokens, i + 2, ")")
            query.labels |= {name for name_kind, name in names if name_kind == "name"}
        elif following == "(" or following in LABEL_LISTS:
            i += 1  # a function or an aggregation
        elif following == "{":
            inside, i = _until(tokens, i + 2, "}")
            words = [token for token in inside if token[1] != ","]
            query.selectors.append((text, [(words[n][1], words[n + 1][1], words[n + 2][1][1:-1])
                                           for n in range(0, len(words), 3)]))
        else:
            query.selectors.append((text, []))
            i += 1
    return query


def _until(tokens, start, end):
    stop = next(n for n in range(start, len(tokens)) if tokens[n][1] == end)
    return tokens[start:stop], stop + 1
