"""A language model behind an HTTP endpoint, in Anthropic's or OpenAI's shape."""

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

Json = dict[str, Any]

MAX_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for."""

    id: str
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model says in one turn."""

    text: str
    calls: tuple[ToolCall, ...]
    tokens: int
    """Read and written, as the endpoint counts them."""


class Conversation(Protocol):
    """A conversation in an endpoint's own format."""

    def request(self, model: str) -> Json: ...

    def read(self, answer: Json) -> Turn: ...

    def add_results(self, results: list[tuple[ToolCall, str]]) -> None: ...


@dataclass
class Anthropic:
    """The Messages API."""

    system: str
    tools: list[Json]
    question: str
    messages: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.messages.append({"role": "user", "content": self.question})

    def request(self, model: str) -> Json:
        tools = [
            {"name": tool["name"], "description": tool["description"], "input_schema": tool["schema"]}
            for tool in self.tools
        ]
        return {
            "model": model,
            "max_tokens": MAX_TOKENS,
            "system": self.system,
            "tools": tools,
            "messages": self.messages,
        }

    def read(self, answer: Json) -> Turn:
        content = answer["content"]
        self.messages.append({"role": "assistant", "content": content})
        text = "".join(block["text"] for block in content if block["type"] == "text")
        calls = tuple(
            ToolCall(block["id"], block["name"], block["input"])
            for block in content
            if block["type"] == "tool_use"
        )
        usage = answer.get("usage", {})
        return Turn(text, calls, usage.get("input_tokens", 0) + usage.get("output_tokens", 0))

    def add_results(self, results: list[tuple[ToolCall, str]]) -> None:
        blocks = [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in results]
        self.messages.append({"role": "user", "content": blocks})


@dataclass
class OpenAI:
    """The Chat Completions API, which many local servers speak too."""

    system: str
    tools: list[Json]
    question: str
    messages: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.messages += [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.question},
        ]

    def request(self, model: str) -> Json:
        tools = [
            {
                "type": "function",
                "function": {
                    "name": tool["name"],
                    "description": tool["description"],
                    "parameters": tool["schema"],
                },
            }
            for tool in self.tools
        ]
        return {"model": model, "max_tokens": MAX_TOKENS, "tools": tools, "messages": self.messages}

    def read(self, answer: Json) -> Turn:
        message = answer["choices"][0]["message"]
        self.messages.append(message)
        calls = tuple(
            ToolCall(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"] or "{}"))
            for call in message.get("tool_calls") or ()
        )
        return Turn(message.get("content") or "", calls, answer.get("usage", {}).get("total_tokens", 0))

    def add_results(self, results: list[tuple[ToolCall, str]]) -> None:
        self.messages += [
            {"role": "tool", "tool_call_id": call.id, "content": text} for call, text in results
        ]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model is, and who asks."""

    url: str
    key: str
    model: str

    @property
    def is_anthropic(self) -> bool:
        return self.url.rstrip("/").endswith("/messages")

    def conversation(self, system: str, tools: list[Json], question: str) -> Conversation:
        return (Anthropic if self.is_anthropic else OpenAI)(system, tools, question)

    async def post(self, session: aiohttp.ClientSession, request: Json) -> Json:
        headers = (
            {"x-api-key": self.key, "anthropic-version": "2023-06-01"}
            if self.is_anthropic
            else {"Authorization": f"Bearer {self.key}"}
        )
        async with session.post(self.url, json=request, headers=headers) as response:
            if response.status != 200:
                raise RuntimeError(
                    f"the endpoint answered {response.status}: {(await response.text())[:300]}"
                )
            answer: Json = await response.json()
            return answer
