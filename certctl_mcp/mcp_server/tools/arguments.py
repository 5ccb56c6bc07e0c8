"""The arguments that several tools take, and the expansion of an argument model into a tool's parameters."""

import inspect
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import wraps
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from certctl_mcp.services.errors import RequestError, quoted
from certctl_mcp.services.filters import FilterArguments
from certctl_mcp.services.ids import parse_id
from certctl_mcp.services.moments import advice, parse_moment

Result = TypeVar("Result")

NotificationId = Annotated[
    str, Field(min_length=1, description="As list_notifications returns it."), AfterValidator(parse_id)
]


class ArgumentError(RequestError):
    """An argument has a value that is not allowed. The message names it and says what is allowed."""


def moment_argument(name: str, given: str, now: datetime) -> datetime:
    """The point in time given in the argument `name`.

    Raises:
        ArgumentError: it is not a point in time.
    """
    try:
        return parse_moment(given, now)
    except ValueError:
        raise ArgumentError(f"{name}: {quoted(given)} is not a point in time; {advice(given, now)}") from None


def flatten_filter(function: Callable[..., Awaitable[Result]]) -> Callable[..., Awaitable[Result]]:
    """Replace the parameter `wanted` of `function` with one parameter for each field of its model.

    The SDK makes a tool's schema from its signature, and a schema of flat arguments is easiest to fill in.
    """
    signature = inspect.signature(function, eval_str=True)
    model: type[FilterArguments] = signature.parameters["wanted"].annotation
    fields = inspect.signature(model, eval_str=True).parameters
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "wanted"]
    parameters = [
        *(parameter for parameter in own if parameter.default is parameter.empty),
        *fields.values(),
        *(parameter for parameter in own if parameter.default is not parameter.empty),
    ]
    keywords = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in parameters]

    @wraps(function)
    async def flat(**given: object) -> Result:
        # The SDK has already validated them with the same annotations.
        filters = {name: given.pop(name) for name in fields.keys() & given.keys()}
        return await function(wanted=model(**filters), **given)  # type: ignore[arg-type]

    flat.__signature__ = signature.replace(parameters=keywords)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    flat.__annotations__["return"] = signature.return_annotation
    return flat
