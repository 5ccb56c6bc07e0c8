"""The table of unsuccessful HTTP responses: the kind of failure for each.

Only a response about the alert's own content is permanent. Failures caused by a setting, a quota or the
receiver's state are retried, whatever the status code: providers respond to a wrong key with 400 as well.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from certctl_mcp.notifiers.failure_kinds import FailureKind


def http_failure_kind(status: int, said: str) -> FailureKind:
    """The kind of failure indicated by `status` and the rest of the error text, `said`."""
    for rule in _RULES:
        if status in rule.statuses and rule.says.search(said):
            return rule.kind
    if 300 <= status < 400:
        return FailureKind.GONE
    if 200 <= status < 300:
        return FailureKind.SETUP
    return FailureKind.OUTAGE if status >= 500 else FailureKind.UNKNOWN


@dataclass(frozen=True, slots=True)
class _Rule:
    statuses: frozenset[int]
    says: re.Pattern[str]
    kind: FailureKind


def _rule(statuses: Iterable[int], kind: FailureKind, says: str = "") -> _Rule:
    return _Rule(frozenset(statuses), re.compile(says, re.IGNORECASE | re.ASCII), kind)


_UNUSABLE_REQUEST = (400, 406, 411, 414, 415, 422, 431)
"""Statuses that are used for a wrong key or an archived channel as well as for a field of the alert."""

_KEYS = (
    r"(?:routing|integration|service|api|genie)[ _-]?key|key format|"
    r"\binvalid[ _](?:key|token|auth)|\btoken_(?:revoked|expired)|\bno_(?:service|team)\b|"
    r"account_inactive|token_is_inactive|not_authed|unauthori[sz]ed|authenticat|signature"
)
_DESTINATIONS = (
    r"\b(?:user|channel|chat|team|webhook|workflow|flow)[ _](?:was |is )?(?:not[ _]found|disabled|deleted)|"
    r"is_archived|no_active_hooks|team_disabled|posting_to_general_channel_denied|action_prohibited|"
    r"TriggerIsNotEnabled|WorkflowTrigger"
)
_SETTINGS = r"\bseverity\b|\bpriority\b|\bevent_action\b|\busername\b|\binvalid_channel\b"
_CONTENT = (
    # PagerDuty names the field.
    r"\bpayload\.(?:summary|source|timestamp|component|group|class|custom_details)\b|\bdedup_key\b|"
    # OpsGenie returns an object of errors by field.
    r'"errors"[ ]?:[ ]?\{[ ]?"(?:message|alias|description|entity|details|note|source|tags)"|'
    # Slack has a code for each.
    r"\b(?:invalid_payload|no_text|missing_text_or_fallback_or_attachments|msg_too_long|msg_blocks_too_long|"
    r"invalid_blocks(?:_format)?|invalid_attachments|too_many_attachments)\b|"
    # Others use a sentence.
    r"\b(?:message|text|description|summary|content|title)\W{0,3}(?:is |was )?"
    r"(?:too (?:long|large|big)|(?:missing|blank|empty)\b|can ?not be empty)"
)

# The first matching rule applies. Whatever the operator can correct comes first: a response that names both a
# key and a field must not be permanent.
_RULES = (
    _rule((401, 402, 403, 407), FailureKind.CREDENTIALS),
    _rule((404, 405, 410), FailureKind.GONE),
    _rule((408, 504), FailureKind.TIMEOUT),
    _rule((425, 429), FailureKind.RATE_LIMITED),
    _rule((421,), FailureKind.OUTAGE),
    _rule((413,), FailureKind.RATE_LIMITED, r"^[^:]{0,80}, retry after "),
    _rule((413,), FailureKind.REFUSED),
    _rule((*_UNUSABLE_REQUEST, 200), FailureKind.CREDENTIALS, _KEYS),
    _rule((*_UNUSABLE_REQUEST, 200), FailureKind.GONE, _DESTINATIONS),
    _rule(_UNUSABLE_REQUEST, FailureKind.SETUP, _SETTINGS),
    _rule(_UNUSABLE_REQUEST, FailureKind.REFUSED, _CONTENT),
    _rule(_UNUSABLE_REQUEST, FailureKind.REQUEST),
)
