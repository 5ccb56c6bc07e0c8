"""What each provider documents as a success, so that a login page at its URL does not pass for a delivery.

An empty body is accepted everywhere: nothing in it contradicts the status. An answer cut short is too.
"""

import json
from collections.abc import Mapping

from certctl_mcp.notifiers.http_response import HttpResponse
from certctl_mcp.notifiers.json_body import Json

Scalar = str | int | float | bool


def slack_objection(answer: HttpResponse) -> str | None:
    """Slack answers `ok`; its workflow triggers and what is compatible with it answer JSON."""
    text = answer.text.strip()
    if not text or text.lower() == "ok" or _agrees(_parsed(text), "ok", "success"):
        return None
    return "but not as Slack does"


def teams_objection(answer: HttpResponse) -> str | None:
    """A workflow answers 202 with an empty body or its run; an older connector answers 1 or an error text."""
    text = answer.text.strip()
    if answer.is_page or "error" in (text.lower() if _parsed(text) is None else _keys(_parsed(text))):
        return "but not as Teams does"
    return None


def pagerduty_objection(answer: HttpResponse) -> str | None:
    """PagerDuty answers 202 with `{"status": "success", ...}`."""
    body = _parsed(answer.text)
    if not answer.text.strip() or (isinstance(body, dict) and body.get("status") == "success"):
        return None
    return "but not as PagerDuty does"


def opsgenie_objection(answer: HttpResponse) -> str | None:
    """OpsGenie answers 202 with `{"result": "Request will be processed", "requestId": ...}`."""
    if not answer.text.strip() or {"result", "requestId"} & _keys(_parsed(answer.text)):
        return None
    return "but not as OpsGenie does"


def configured_objection(
    answer: HttpResponse, statuses: tuple[int, ...], fields: Mapping[str, Scalar]
) -> str | None:
    """For a receiver of the operator's own, of whose answers the settings say what means success."""
    if statuses and answer.status not in statuses:
        return f"instead of {', '.join(map(str, statuses))}"
    body = _parsed(answer.text)
    for name, expected in fields.items():
        if not isinstance(body, dict) or body.get(name) != expected:
            return f"without {name}: {json.dumps(expected)}"
    return None


def _parsed(text: str) -> Json | float:
    try:
        parsed: Json = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed


def _keys(body: Json | float) -> set[str]:
    return set(body) if isinstance(body, dict) else set()


def _agrees(body: Json | float, *flags: str) -> bool:
    """Whether it is an object with one of `flags`, and none of them is false."""
    if not isinstance(body, dict):
        return False
    values = [body[flag] for flag in flags if flag in body]
    return bool(values) and all(value is True for value in values)
