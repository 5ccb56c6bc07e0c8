"""The programs that are measured, each run in its own process with `python -m` and arguments.

Each prints its measurements as one JSON object of names and values.
"""
