"""The event loop of the HTTP server and the worker: uvloop, if the platform has it.

A server on stdio has one client and gains nothing from it.
"""

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar, TypeVarTuple, Unpack

import anyio

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


def run(main: Callable[[Unpack[Arguments]], Awaitable[Result]], *arguments: *Arguments) -> Result:
    """Run `main` and return its result."""
    use_uvloop = find_spec("uvloop") is not None
    return anyio.run(main, *arguments, backend_options={"use_uvloop": use_uvloop})
