"""The options with which commands filter notifications, and their errors in terms of these options."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from certctl_mcp.cli.commands.completion import complete_channel, complete_status, complete_type

if TYPE_CHECKING:
    from certctl_mcp.services.filters import FilterArguments
    from storage.models import NotificationStatus, Urgency

Result = TypeVar("Result")

_OPTIONS: dict[str, object] = {
    "status": Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="pending, sent, failed, dead, read or other; separate several by commas, or repeat it.",
            autocompletion=complete_status,
        ),
    ],
    "channel": Annotated[
        str | None,
        typer.Option("--channel", metavar="NAME", help="On this channel.", autocompletion=complete_channel),
    ],
    "type": Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="Of this type.", autocompletion=complete_type),
    ],
    "certificate_id": Annotated[
        str | None, typer.Option("--certificate", metavar="ID", help="About this certificate.")
    ],
    "recipient": Annotated[
        str | None, typer.Option("--recipient", metavar="ADDRESS", help="To this recipient.")
    ],
    "text": Annotated[
        str | None,
        typer.Option(
            "--text", metavar="PART", help="With this text in the message or the error; case is ignored."
        ),
    ],
    "created_after": Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="Accepted since this time: 24h, yesterday, 2026-01-31 or 2026-01-31T08:00 (UTC).",
        ),
    ],
    "created_before": Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Accepted before this time.")
    ],
    "urgency": Annotated[
        str | None,
        typer.Option(
            "--urgency",
            metavar="URGENCY",
            help="settled (certificate renewed or revoked since), open (all others), or urgent (open, and "
            "expiring within a day).",
        ),
    ],
}
"""The option for each field of `FilterArguments`."""

_NAMES = {
    "certificate_id": "--certificate",
    "created_after": "--since",
    "created_before": "--until",
    "created_from": "--since",
    "created_until": "--until",
    "idempotency_key": "--idempotency-key",
    "ids": "ID",
}


def filter_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give `command` the options that filter notifications, instead of its parameter `wanted`."""
    signature = inspect.signature(command)
    given = [parameter for parameter in signature.parameters.values() if parameter.name != "wanted"]
    required = [parameter for parameter in given if parameter.default is parameter.empty]
    optional = [parameter for parameter in given if parameter.default is not parameter.empty]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in _OPTIONS.items()
    ]

    @wraps(command)
    def flat(**values: object) -> Result:
        from certctl_mcp.services.filters import FilterArguments

        filters = {name: values.pop(name) for name in _OPTIONS}
        with option_errors():
            filters["urgency"] = parse_urgency(filters["urgency"])  # type: ignore[arg-type]
            filters["status"] = parse_statuses(filters["status"] or ())  # type: ignore[arg-type]
            return command(wanted=FilterArguments(**filters), **values)  # type: ignore[arg-type]

    keywords = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in (*required, *optional)]
    flat.__signature__ = signature.replace(parameters=[*options, *keywords])  # type: ignore[attr-defined]
    flat.__annotations__ = {name: kind for name, kind in command.__annotations__.items() if name != "wanted"}
    return flat


def is_empty(wanted: "FilterArguments") -> bool:
    """Whether no option is given."""
    return not any(getattr(wanted, name) for name in _OPTIONS)


def parse_statuses(given: Sequence[str]) -> "tuple[NotificationStatus, ...]":
    """Raises: typer.BadParameter."""
    from storage.models import NotificationStatus

    names = [name.strip().lower() for each in given for name in each.split(",")]
    for name in names:
        if name not in set(NotificationStatus):
            allowed = ", ".join(NotificationStatus)
            raise typer.BadParameter(f"{name!r} is not one of {allowed}", param_hint="--status")
    return tuple(dict.fromkeys(NotificationStatus(name) for name in names))


def parse_urgency(given: str | None) -> "Urgency | None":
    """Raises: typer.BadParameter."""
    from storage.models import Urgency

    if given is None:
        return None
    name = given.strip().lower()
    if name not in set(Urgency):
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(Urgency)}", param_hint="--urgency")
    return Urgency(name)


@contextmanager
def option_errors() -> Iterator[None]:
    """Raise a typer.BadParameter, under its option's name, for the first value that a model refuses."""
    from pydantic import ValidationError

    from certctl_mcp.services.filters import FilterError

    try:
        yield
    except ValidationError as refused:
        problem = refused.errors(include_url=False)[0]
        raise typer.BadParameter(problem["msg"], param_hint=_option(str(problem["loc"][0]))) from None
    except FilterError as refused:
        reason = re.sub(
            r"\b[a-z]{1,30}_[a-z_]{1,60}", lambda name: _option(name[0]), refused.reason, flags=re.ASCII
        )
        raise typer.BadParameter(reason, param_hint=_option(refused.argument)) from None


def _option(field: str) -> str:
    return _NAMES.get(field, f"--{field.replace('_', '-')}")
