"""Replaces the tools, resources and prompts that the conformance suite expects with those of this server.

Only names are replaced, in requests and in elicitations; results are this server's own. Requests for anything
without a counterpart are passed on unchanged, and refused.
"""

from dataclasses import replace
from typing import Any, NamedTuple

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

DEAD_LETTER = "123"
"""The id of an existing notification."""

Params = dict[str, Any]


class Call(NamedTuple):
    """A tool and the arguments to call it with."""

    tool: str
    arguments: dict[str, object]


_ASKING = Call("requeue_notifications", {})

_TOOLS = {
    "test_simple_text": Call("dashboard_summary", {}),
    "test_image_content": Call("delivery_report", {"chart": True}),
    "test_error_handling": Call("get_notification", {"id": "notif-unknown"}),
    "test_elicitation": _ASKING,
    "test_input_required_result_elicitation": _ASKING,
    "test_input_required_result_request_state": _ASKING,
    "test_input_required_result_tampered_state": _ASKING,
}
_RESOURCES = {
    "test://static-text": "certctl://dashboard",
    "test://template/123/data": f"certctl://notifications/{DEAD_LETTER}",
    "test://watched-resource": "certctl://notifications/dead",
}
_PROMPTS = {"test_simple_prompt": "triage_dead_letters", "test_prompt_with_arguments": "incident_note"}
_ARGUMENTS = {"arg1": "channel", "arg2": "since"}

_THEIR_QUESTION = "user_name"
_OUR_QUESTION = "certctl_mcp.mcp_server.tools.bulk:_requeue_consent"


async def adapt_request(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware that replaces the suite's names in a request."""
    params = dict(ctx.params or {})
    match ctx.method:
        case "tools/call" if params.get("name") in _TOOLS:
            return _question_renamed(await call_next(replace(ctx, params=_call(params))))
        case "resources/read" | "resources/subscribe" | "resources/unsubscribe":
            params = _renamed(params, "uri", _RESOURCES)
        case "prompts/get":
            params = _prompt(params)
        case "completion/complete":
            argument = _renamed(params["argument"], "name", _ARGUMENTS)
            params |= {"ref": _renamed(params["ref"], "name", _PROMPTS), "argument": argument}
        case _:
            return await call_next(ctx)
    return await call_next(replace(ctx, params=params))


def _call(params: Params) -> Params:
    call = _TOOLS[params["name"]]
    answers = params.get("inputResponses")
    if isinstance(answers, dict):
        answers = {_OUR_QUESTION if key == _THEIR_QUESTION else key: said for key, said in answers.items()}
        params = params | {"inputResponses": answers}
    return params | {"name": call.tool, "arguments": call.arguments}


def _prompt(params: Params) -> Params:
    given = params.get("arguments") or {}
    arguments = {_ARGUMENTS.get(name, name): value for name, value in given.items()}
    return _renamed(params, "name", _PROMPTS) | {"arguments": arguments}


def _renamed(params: Params, key: str, names: dict[str, str]) -> Params:
    return {name: names.get(value, value) if name == key else value for name, value in params.items()}


def _question_renamed(result: HandlerResult) -> HandlerResult:
    if isinstance(result, dict) and "inputRequests" in result:
        questions = result["inputRequests"]
        result["inputRequests"] = {
            _THEIR_QUESTION if key == _OUR_QUESTION else key: question for key, question in questions.items()
        }
    return result
