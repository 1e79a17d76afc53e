#!/usr/bin/env python3
"""Checks the table "Attack, measure, proof" of docs/explanation/security-model.md: every finding of the review has its row,
every test that a row names is there, and a test or source names the finding. A row without a test must say why.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/explanation/security-model.md"
FINDINGS = {*(f"S{i}" for i in range(1, 7)), *(f"M{i}" for i in range(1, 9)), "low", "agent"}
NAMES = re.compile(r"`(?P<file>\w+_test|test_\w+\.py)`(?: \((?P<cases>[\w, …]+)[:)])?")


def rows():
    """(number, attack, measure, proof) of each row of the table."""
    text = DOCUMENT.read_text().split("## Attack, measure, proof", 1)[1]
    for line in re.findall(r"^\| (?!#|---)(.*) \|$", text, re.M):
        cells = [cell.strip() for cell in line.split(" | ")]
        yield cells


def files():
    """Every test by its name, and the text of all of them and of the sources."""
    found = {}
    for folder in ("operator", "tests", "images"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".cc", ".h", ".py") and "testdata" not in path.parts:
                name = path.name if path.suffix == ".py" else path.stem
                found[name] = found.get(name, "") + path.read_text(errors="replace")
    return found


def main():
    problems, seen, texts = [], set(), files()
    named = set()
    for text in texts.values():
        for match in re.findall(r"REVIEW-2,? (S\d|M\d|[Ll]ow|agent)((?:, [SM]\d)*)", text):
            named |= {match[0].lower() if len(match[0]) > 2 else match[0], *re.findall(r"[SM]\d", match[1])}
    for cells in rows():
        if len(cells) != 4:
            problems.append(f"a row with {len(cells)} cells: {cells[0]} {cells[1][:40]}")
            continue
        number, attack, measure, proof = cells
        seen.add(number)
        if proof == "–" and len(measure.split()) < 5:
            problems.append(f"{number} ({attack}): neither a test nor a reason")
        for match in NAMES.finditer(proof):
            if match["file"] not in texts:
                problems.append(f"{number}: there is no {match['file']}")
                continue
            for case in filter(None, (match["cases"] or "").split(", ")):
                if case.rstrip("…") not in texts[match["file"]]:
                    problems.append(f"{number}: {match['file']} has no {case}")
    problems += [f"{number} has no row" for number in sorted(FINDINGS - seen)]
    problems += [f"{number}: nothing under operator/, tests/ or images/ names REVIEW-2 {number}"
                 for number in sorted(FINDINGS - named)]
    for problem in problems:
        print(f"{DOCUMENT.relative_to(ROOT)}: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
