"""Writes `tests/vectors.json`: `python -m golden` in the folder `tests`."""
