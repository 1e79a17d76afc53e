"""Measures the operator from outside: `python3 -m bench --help`. The runtime suite uses its parts too."""
