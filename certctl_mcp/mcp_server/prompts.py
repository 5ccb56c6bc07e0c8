"""The prompts, which guide an assistant through three recurring tasks.

Their texts are in `certctl_mcp.mcp_server.prompt_texts`.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    PromptArgument,
    PromptMessage,
    TextContent,
)
from mcp_types import Prompt as ListedPrompt

from certctl_mcp.mcp_server import prompt_texts
from certctl_mcp.mcp_server.prompt_texts import DEFAULT_PERIOD, UNTRUSTED, PromptRequest, Step
from certctl_mcp.mcp_server.tools.arguments import ArgumentError, moment_argument
from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.services.errors import UnknownChannelError
from certctl_mcp.services.explanations import unknown_name

SINCE = "since"
CHANNEL = "channel"

Context = ServerRequestContext[Opening, Any]

_SINCE = PromptArgument(
    name=SINCE, description="How long ago, such as 24h or 7d, or an ISO 8601 time.", required=False
)


@dataclass(frozen=True, slots=True)
class _Prompt:
    name: str
    title: str
    description: str
    arguments: tuple[PromptArgument, ...]
    needs: frozenset[str]
    goal: Callable[[PromptRequest], str]
    steps: Callable[[PromptRequest], Sequence[Step]]

    def text(self, request: PromptRequest, tools: Set[str]) -> str:
        steps = [step.text for step in self.steps(request) if step.applies_to(tools)]
        numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
        return f"{self.goal(request)}\n\n{numbered}\n\n{UNTRUSTED}"


_PROMPTS = (
    _Prompt(
        "triage_dead_letters",
        "Triage the dead letters",
        "What died and why, what to do about it and, with your approval, doing it.",
        (_SINCE,),
        frozenset({"diagnose_dead_letters"}),
        prompt_texts.triage_goal,
        prompt_texts.triage_steps,
    ),
    _Prompt(
        "incident_note",
        "Write an incident note",
        "A one-page note about what went wrong with the delivery of alerts. Changes nothing.",
        (
            _SINCE.model_copy(update={"description": f"{_SINCE.description} Default {DEFAULT_PERIOD}."}),
            PromptArgument(name=CHANNEL, description="Only this channel.", required=False),
        ),
        frozenset({"list_notifications", "get_notification"}),
        prompt_texts.incident_goal,
        prompt_texts.incident_steps,
    ),
    _Prompt(
        "check_channel",
        "Check a channel",
        "Whether a channel delivers, judged by its history and, with your approval, a test.",
        (PromptArgument(name=CHANNEL, description="The name of a configured channel.", required=True),),
        frozenset({"list_channels"}),
        prompt_texts.channel_check_goal,
        prompt_texts.channel_check_steps,
    ),
)


class Prompts:
    """The prompts of a server with these tools."""

    def __init__(self, tools: Set[str]) -> None:
        self._tools = tools
        self._prompts = {prompt.name: prompt for prompt in _PROMPTS if prompt.needs <= tools}

    def __bool__(self) -> bool:
        return bool(self._prompts)

    def arguments(self, name: str) -> tuple[str, ...]:
        """The names of a prompt's arguments. Raises: ArgumentError: there is no such prompt."""
        return tuple(argument.name for argument in self._prompt(name).arguments)

    def text(self, name: str, given: Mapping[str, str], now: datetime, channels: Sequence[str]) -> str:
        """The text of the prompt `name` with these arguments, where these channels are configured.

        Raises:
            ArgumentError: the prompt or an argument is unknown, or an argument is missing or invalid.
            UnknownChannelError: no channel of this name is configured.
        """
        prompt = self._prompt(name)
        known = self.arguments(name)
        for unknown in given.keys() - set(known):
            raise ArgumentError(unknown_name(f"argument of {name}", unknown, known))
        # Hosts send an empty string for a form field that was left empty.
        values = {argument: value.strip() for argument, value in given.items() if value.strip()}
        for argument in prompt.arguments:
            if argument.required and argument.name not in values:
                raise ArgumentError(f"{argument.name} is required: {argument.description}")
        since, channel = _since(values.get(SINCE), now), _channel(values.get(CHANNEL), channels)
        return prompt.text(PromptRequest(since, channel), self._tools)

    def register(self, server: Server[Opening]) -> None:
        """Register the handlers for prompts with `server`."""
        server.add_request_handler("prompts/list", PaginatedRequestParams, self._list)
        server.add_request_handler("prompts/get", GetPromptRequestParams, self._get)

    async def _list(self, _: Context, __: PaginatedRequestParams) -> ListPromptsResult:
        return ListPromptsResult(
            prompts=[
                ListedPrompt(
                    name=prompt.name,
                    title=prompt.title,
                    description=prompt.description,
                    arguments=list(prompt.arguments),
                )
                for prompt in self._prompts.values()
            ]
        )

    async def _get(self, ctx: Context, params: GetPromptRequestParams) -> GetPromptResult:
        opening = ctx.lifespan_context
        text = self.text(params.name, params.arguments or {}, opening.clock(), opening.channels)
        return GetPromptResult(
            description=self._prompts[params.name].description,
            messages=[PromptMessage(role="user", content=TextContent(text=text))],
        )

    def _prompt(self, name: str) -> _Prompt:
        prompt = self._prompts.get(name)
        if prompt is None:
            raise ArgumentError(unknown_name("prompt", name, tuple(self._prompts)))
        return prompt


def _channel(given: str | None, channels: Sequence[str]) -> str | None:
    if given is not None and given not in channels:
        raise UnknownChannelError(given, tuple(channels))
    return given


def _since(given: str | None, now: datetime) -> str | None:
    if given is not None and moment_argument(SINCE, given, now) >= now:
        raise ArgumentError(f"{SINCE}: {given} is not in the past")
    return given
