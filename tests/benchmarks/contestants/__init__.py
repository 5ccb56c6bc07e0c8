"""Programs that are measured, each run in a process of its own: `python -m` its name and its arguments.

Each prints what it measured as one JSON object: names of figures and their values.
"""
