"""What each provider documents as a success, so that a login page at its URL does not pass for a delivery.

An empty body is accepted everywhere, because it doesn't contradict the status. So is an incomplete one,
unless it is a page.
"""

import json
from collections.abc import Mapping

from certctl_mcp.notifiers.http.json_body import Json
from certctl_mcp.notifiers.http.response import HttpResponse

Scalar = str | int | float | bool


_ERROR = 400
"""The lowest status that means failure."""


def slack_objection(answer: HttpResponse) -> str | None:
    """Slack returns `ok`; its workflow triggers and compatible services return JSON."""
    text = answer.text.strip()
    return _objection(answer, "Slack", text.lower() == "ok" or _agrees(_parsed(text), "ok", "success"))


def teams_objection(answer: HttpResponse) -> str | None:
    """A workflow returns 202 with an empty body or its run; an older connector returns 1 or an error text."""
    body = _parsed(answer.text)
    if isinstance(body, dict):
        status = body.get("statusCode")
        failed = "error" in body or any(body.get(flag) is False for flag in ("ok", "success"))
        failed = failed or (isinstance(status, int) and status >= _ERROR)
    else:
        failed = "error" in answer.text.lower()
    return _objection(answer, "Teams", not failed)


def pagerduty_objection(answer: HttpResponse) -> str | None:
    """PagerDuty returns 202 with `{"status": "success", ...}`."""
    body = _parsed(answer.text)
    return _objection(answer, "PagerDuty", isinstance(body, dict) and body.get("status") == "success")


def opsgenie_objection(answer: HttpResponse) -> str | None:
    """OpsGenie returns 202 with `{"result": "Request will be processed", "requestId": ...}`."""
    body = _parsed(answer.text)
    return _objection(answer, "OpsGenie", isinstance(body, dict) and "result" in body)


def configured_objection(
    answer: HttpResponse, statuses: tuple[int, ...], fields: Mapping[str, Scalar]
) -> str | None:
    """For the operator's own receiver: the settings define which responses mean success."""
    if statuses and answer.status not in statuses:
        return f"instead of {', '.join(map(str, statuses))}"
    if answer.cut_short:
        return None
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


def _objection(answer: HttpResponse, provider: str, agrees: bool) -> str | None:
    says_nothing = answer.cut_short or not answer.text.strip()
    if (agrees or says_nothing) and not answer.is_page:
        return None
    return f"but not as {provider} does"


def _agrees(body: Json | float, *flags: str) -> bool:
    """Whether the value is an object with one of `flags`, none of which is false."""
    if not isinstance(body, dict):
        return False
    values = [body[flag] for flag in flags if flag in body]
    return bool(values) and all(value is True for value in values)
