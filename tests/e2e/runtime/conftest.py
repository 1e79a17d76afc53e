"""Fixtures of the runtime suite: one test bed for each module, no simulators unless a module asks for them."""
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
