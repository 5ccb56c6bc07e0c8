"""A client as tests use it: it has launched the server, calls tools, and may support elicitation."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

PATIENCE = 60
"""Seconds, for one call."""

Answer = Mapping[str, Any]
"""The user's answer to an elicitation, in the protocol's terms."""

NO: Answer = {"action": "decline"}
YES: Answer = {"action": "accept", "content": {"confirm": True}}


class Client(Protocol):
    """A connected client."""

    @property
    def asked(self) -> list[str]:
        """The questions that the server has asked its user."""

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The structured answer; the text must say the same."""


def structured(result: Mapping[str, Any]) -> dict[str, Any]:
    assert not result.get("isError"), result
    (content,) = result["content"]
    found: dict[str, Any] = result["structuredContent"]
    assert json.loads(content["text"]) == found
    return found
