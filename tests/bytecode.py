"""Keeps compiled modules, even if the environment disables them.

The tests start hundreds of processes, each of which would compile the whole program again, and every worker
of a run would rewrite the assertions of every test.
"""

import os
import sys


def keep_compiled_modules() -> None:
    """Keep them in this process and those started from it."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
