"""What kind of failure does a stored error tell of? Read from the sentences of this program and of certctl's.

A sentence is recognised from its beginning, which is ours: what a receiver said stands behind it and decides
nothing. Where no sentence is known, the text is searched for what systems and libraries say.
"""

import re
from collections.abc import Callable

from certctl_mcp.services.diagnosis.kinds import FailureKind

_BY_HTTP_STATUS = {
    **dict.fromkeys((401, 402, 403, 407), FailureKind.CREDENTIALS),
    **dict.fromkeys((404, 405, 410), FailureKind.GONE),
    **dict.fromkeys((408, 504), FailureKind.TIMEOUT),
    **dict.fromkeys((425, 429), FailureKind.RATE_LIMITED),
    **dict.fromkeys((400, 406, 411, 413, 414, 415, 422, 431), FailureKind.REFUSED),
    421: FailureKind.OUTAGE,
}

_LOGIN_REPLIES = frozenset({530, 534, 535, 538})

_SMTP_ONLY = frozenset({432, *range(450, 460), *range(531, 560)})
"""Replies of a relay that are no answers of an HTTP server, so that their sentences are told apart."""


def of_http_status(status: int) -> FailureKind:
    """What an answer other than 2xx tells."""
    if status in _BY_HTTP_STATUS:
        return _BY_HTTP_STATUS[status]
    if status >= 500:
        return FailureKind.OUTAGE
    return FailureKind.GONE if 300 <= status < 400 else FailureKind.UNKNOWN


def of_smtp_reply(code: int, for_good: FailureKind) -> FailureKind:
    """What a relay's reply tells; `for_good` is what a refusal for good of that step means."""
    if code in _LOGIN_REPLIES:
        return FailureKind.CREDENTIALS
    return FailureKind.OUTAGE if 400 <= code < 500 else for_good


def classify(error: str | None, *, abandoned: bool = False) -> FailureKind:
    """The kind of failure that `error`, or its first few hundred characters, tells of.

    `abandoned`: some attempt was never answered, which explains a failure for which no error is recorded.
    """
    if not error and abandoned:
        return FailureKind.ABANDONED
    text = _unwrapped(error)
    for sentence, kind in _SENTENCES:
        found = sentence.match(text)
        if found is not None:
            return kind(found) if callable(kind) else kind
    return _by_phrase(text, FailureKind.UNKNOWN)


def http_status(error: str | None) -> int | None:
    """The status of the answer that `error` tells of."""
    text = _unwrapped(error)
    found = next(
        (found for sentence, kind in _SENTENCES if kind is _answered and (found := sentence.match(text))),
        None,
    )
    status = int(found["code"]) if found else None
    return None if status in _SMTP_ONLY else status


def _unwrapped(error: str | None) -> str:
    return _WRAPPED.sub("", (error or "").lstrip(), count=1)


def _answered(found: re.Match[str]) -> FailureKind:
    code = int(found["code"])
    return of_smtp_reply(code, FailureKind.SENDER) if code in _SMTP_ONLY else of_http_status(code)


def _replied(for_good: FailureKind) -> Callable[[re.Match[str]], FailureKind]:
    def kind(found: re.Match[str]) -> FailureKind:
        return of_smtp_reply(int(found["code"]), for_good) if found["code"] else for_good

    return kind


def _phrased(otherwise: FailureKind) -> Callable[[re.Match[str]], FailureKind]:
    def kind(found: re.Match[str]) -> FailureKind:
        return _by_phrase(found.string[found.end() :], otherwise)

    return kind


def _apprised(found: re.Match[str]) -> FailureKind:
    said = found.string[found.end() :]
    status = _APPRISE_STATUS.search(said)
    return of_http_status(int(status[1])) if status else _by_phrase(said, FailureKind.UNKNOWN)


def _by_phrase(text: str, otherwise: FailureKind) -> FailureKind:
    return next((kind for phrase, kind in _PHRASES if phrase.search(text)), otherwise)


_APPRISE_STATUS = re.compile(r"error=([1-5][0-9]{2})\b", re.ASCII)

_WRAPPED = re.compile(r"failed to send (?:alert|event) (?:email|via webhook): |email: ")
"""What certctl's server puts in front of some of its own sentences."""

_SENTENCES: tuple[tuple[re.Pattern[str], FailureKind | Callable[[re.Match[str]], FailureKind]], ...] = tuple(
    (re.compile(beginning, re.ASCII | re.DOTALL), kind)
    for beginning, kind in (
        (r"\S+ answered (?P<code>[1-9][0-9]{2})\b", _answered),
        (r"\S+ answered something that is not ", FailureKind.SETUP),
        (r"\S+ redirected ", FailureKind.GONE),
        (r"the TLS certificate of |TLS with \S+ failed: ", FailureKind.TLS),
        (r"the name of \S+ could not be resolved: ", FailureKind.DNS),
        (
            r"no (?:connection to|answer from) \S+ within |no answer within the send timeout",
            FailureKind.TIMEOUT,
        ),
        (r"the connection to \S+ (?:failed|broke): ", _phrased(FailureKind.CONNECTION)),
        (r"\S+ closed the connection", FailureKind.CONNECTION),
        (r"\S+ refused the login: ", FailureKind.CREDENTIALS),
        (r"\S+ refused the (?:sender|session): (?P<code>[0-9]{3})?", _replied(FailureKind.SENDER)),
        (r"\S+ refused the message: (?P<code>[0-9]{3})?", _replied(FailureKind.REFUSED)),
        (r"\S+ (?:refused \S+@\S+ \([0-9]|took the mail for )", FailureKind.RECIPIENT),
        (r"the notification has no recipient|[\"'].{0,2600} is no e-mail address$", FailureKind.RECIPIENT),
        (r"no notifier configured for channel ", FailureKind.NO_NOTIFIER),
        (r"abandoned [0-9]+ times: |broken off before it was answered", FailureKind.ABANDONED),
        (r"the notifier failed: ", _phrased(FailureKind.DEFECT)),
        (r"Apprise could not deliver: ", _apprised),
        (r".{1,400}? can't be used(?: as it is set up)?: ", FailureKind.SETUP),
        # certctl's server, and notifiers of other packages that say it as briefly.
        (r"(?:[a-z]+: (?:webhook|API) returned )?HTTP (?P<code>[1-9][0-9]{2})\b", _answered),
        (r"webhook returned status (?P<code>[1-9][0-9]{2})\b", _answered),
        (r"[a-z]+: request failed: |failed to send webhook request: ", _phrased(FailureKind.CONNECTION)),
        (
            r"failed to (?:connect|connect via TLS|reach [^:]+(?::[0-9]+)?): ",
            _phrased(FailureKind.CONNECTION),
        ),
        (r"failed to create SMTP client: (?P<code>[0-9]{3})?", _replied(FailureKind.SENDER)),
        (r"SMTP authentication failed: ", FailureKind.CREDENTIALS),
        (r"failed to set sender: (?P<code>[0-9]{3})?", _replied(FailureKind.SENDER)),
        (
            r"failed to set recipient: |invalid recipient: |recipient address is required",
            FailureKind.RECIPIENT,
        ),
        (r"failed to (?:get data writer|write message): (?P<code>[0-9]{3})?", _replied(FailureKind.REFUSED)),
        (r"failed to (?:format message|marshal payload): |invalid subject: ", FailureKind.REFUSED),
        (r"webhook url rejected: |failed to create request: |invalid sender: ", FailureKind.SETUP),
    )
)
"""How each sentence begins, and its kind. None begins like another, but for those that stand before it."""

_PHRASES = tuple(
    (re.compile(phrase, re.IGNORECASE | re.ASCII), kind)
    for phrase, kind in (
        (
            r"no such host|name or service not known|name resolution|no address associated with hostname|"
            r"nodename nor servname|getaddrinfo|\blookup [\w.-]{1,253}(?: on \S{1,60})?: ",
            FailureKind.DNS,
        ),
        (r"tim(?:ed?|ing)[ -]?out|deadline exceeded", FailureKind.TIMEOUT),
        (r"x509: |\btls: |certificate verify failed|\[ssl", FailureKind.TLS),
        (
            r"connection ?(?:refused|reset|aborted|closed|error)|no route to host|unreachable|broken pipe|"
            r"\bEOF\b",
            FailureKind.CONNECTION,
        ),
        (r"too many requests|rate[ -]?limit", FailureKind.RATE_LIMITED),
        (
            r"unauthori[sz]ed|forbidden|authentication failed|"
            r"invalid (?:token|credentials|password|api[ _-]?key)",
            FailureKind.CREDENTIALS,
        ),
    )
)
"""In the order in which they count: a lookup that timed out is a failure of DNS."""
