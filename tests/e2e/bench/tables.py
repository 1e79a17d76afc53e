"""Tables of numbers for people."""

from __future__ import annotations


def text(columns: list[tuple[str, str, str]], rows: list[dict]) -> str:
    """`columns`: (key of the row, title, format)."""
    lines = [[title for _, title, _ in columns]]
    lines += [[format(row[key], form) for key, _, form in columns] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines)
