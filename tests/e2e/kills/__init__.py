"""Kills what takes part in a switch, at each of its steps: `python3 -m kills --help`. The suite has a short form."""
from .cases import Case
from .scene import Scene

__all__ = ["Case", "Scene"]
