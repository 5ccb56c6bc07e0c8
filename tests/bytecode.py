"""Why does a run keep compiled modules? Its tests start hundreds of processes, each of which would compile
the whole program again; and every worker of a run would rewrite the assertions of every test."""

import os
import sys


def keep_compiled_modules() -> None:
    """Here and in the processes started from here, whatever the environment says."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
