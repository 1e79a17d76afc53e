"""The blocks of commands and documents in the guides, as tests run them.

A comment before each block says which test runs it, or why none does: `<!-- test: name -->`, `<!-- not run: reason -->`.
"""
import re
import textwrap

BLOCK = re.compile(r"^(?: *<!-- (?P<marker>[^\n]*) -->\n)?(?P<indent> *)```\w*\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)


def blocks(path):
    """[(marker, text)] of every block of a guide, "" for one without a marker."""
    return [(match["marker"] or "", textwrap.dedent(match["text"])) for match in BLOCK.finditer(path.read_text())]


def block(path, name):
    """The block that the guide marks with `test: name`."""
    (text,) = [text for marker, text in blocks(path) if marker == f"test: {name}"]
    return text


def unmarked(path, test):
    """Markers of blocks of which neither the text of the module `test` has the name, nor the guide the reason."""
    text = test.read_text()
    return [marker for marker, _ in blocks(path) if not (
        re.match(r"not run: .+$", marker) or
        (re.match(r"test: [\w-]+$", marker) and f'"{marker[6:]}"' in text))]
