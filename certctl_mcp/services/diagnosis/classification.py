"""Classifies a stored error by kind of failure, based on the sentences of this program and of certctl.

A sentence is recognised by its beginning, which is ours. If the receiver's response determines the kind, it
is looked up in the tables that deliveries use. Other texts are searched for typical messages of systems and
libraries.
"""

import re
from collections.abc import Callable, Iterable
from itertools import takewhile

from certctl_mcp.notifiers.apprise_refusals import apprise_failure_kind
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.http.refusals import http_failure_kind
from certctl_mcp.notifiers.smtp.refusals import Step, smtp_failure_kind
from certctl_mcp.text.redaction import redact

_SMTP_ONLY = frozenset({432, *range(450, 460), *range(531, 560)})
"""Replies that only an SMTP relay gives, never an HTTP server."""


_SHORTEST_SENTENCE, _LONGEST_SENTENCE = 6, 100
"""In characters, for `common_sentence`."""
_PLAIN = re.compile(r"[A-Za-z0-9 .,:()\[\]_-]+")
"""The characters of host names and English text, but not of a recipient's address."""


def classify(error: str | None, *, abandoned: bool = False) -> FailureKind:
    """The kind of failure indicated by `error`, or by its first few hundred characters.

    `abandoned`: some attempt never had an outcome, which explains a failure without a recorded error.
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
    """The HTTP status in `error`; None if it has none."""
    text = _unwrapped(error)
    found = next(
        (found for sentence, kind in _SENTENCES if kind is _answered and (found := sentence.match(text))),
        None,
    )
    status = int(found["code"]) if found else None
    return None if status in _SMTP_ONLY else status


def common_sentence(errors: Iterable[str | None]) -> str | None:
    """The part of a sentence of this program or of certctl that all these errors contain; None if it is too
    short to search for. It contains no address, no secret, and nothing that a receiver wrote."""
    sentences: list[str] = []
    for error in errors:
        text = _unwrapped(error)
        found = next((match for sentence, _ in _SENTENCES if (match := sentence.match(text))), None)
        if found is None or not _PLAIN.fullmatch(found[0]) or redact(found[0]) != found[0]:
            return None
        sentences.append(found[0])
    # What the first and the last in alphabetical order have in common, all between them have too.
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(min(sentences), max(sentences), strict=False))
    common = "".join(character for character, _ in alike)[:_LONGEST_SENTENCE]
    if any(sentence != common for sentence in sentences):
        common = common[: common.rfind(" ") + 1]
    return common.strip() if len(common.strip()) >= _SHORTEST_SENTENCE else None


def _unwrapped(error: str | None) -> str:
    return _WRAPPED.sub("", (error or "").lstrip(), count=1)


def _answered(found: re.Match[str]) -> FailureKind:
    code, said = int(found["code"]), found.string[found.end() :]
    if code in _SMTP_ONLY:
        return smtp_failure_kind(Step.SESSION, code, said)
    return http_failure_kind(code, said)


def _replied(step: Step, otherwise: FailureKind) -> Callable[[re.Match[str]], FailureKind]:
    def kind(found: re.Match[str]) -> FailureKind:
        if not found["code"]:
            return otherwise
        return smtp_failure_kind(step, int(found["code"]), found.string[found.end() :])

    return kind


def _phrased(otherwise: FailureKind) -> Callable[[re.Match[str]], FailureKind]:
    def kind(found: re.Match[str]) -> FailureKind:
        return _by_phrase(found.string[found.end() :], otherwise)

    return kind


def _apprise_failure(found: re.Match[str]) -> FailureKind:
    said = found.string[found.end() :]
    return apprise_failure_kind(said) or classify(said)


def _by_phrase(text: str, otherwise: FailureKind) -> FailureKind:
    return next((kind for phrase, kind in _PHRASES if phrase.search(text)), otherwise)


_WRAPPED = re.compile(r"failed to send (?:alert|event) (?:email|via webhook): |email: ")
"""The prefixes that certctl's server puts in front of some of its sentences."""

_SENTENCES: tuple[tuple[re.Pattern[str], FailureKind | Callable[[re.Match[str]], FailureKind]], ...] = tuple(
    (re.compile(beginning, re.ASCII | re.DOTALL), kind)
    for beginning, kind in (
        (r"the proxy \S+ |no connection to the proxy |the connection to the proxy ", FailureKind.PROXY),
        # An HTTP status, although relays use the code too.
        (r"\S+ answered 451 Unavailable For Legal Reasons", FailureKind.UNKNOWN),
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
        (
            r"\S+ refused the (?:sender|session): (?P<code>[0-9]{3})?",
            _replied(Step.SESSION, FailureKind.SENDER),
        ),
        (r"\S+ refused the message: (?P<code>[0-9]{3})?", _replied(Step.MESSAGE, FailureKind.REFUSED)),
        (
            r"\S+ (?:took the mail for .{1,200} and )?refused .{0,200}?@\S{1,255} \((?P<code>[0-9]{3}) ",
            _replied(Step.RECIPIENT, FailureKind.RECIPIENT),
        ),
        (r"\S+ (?:took the mail for|refused) ", FailureKind.RECIPIENT),
        (
            r"the notification has no recipient|not an e-mail address: |[\"'].{0,2600} is no e-mail address$",
            FailureKind.RECIPIENT,
        ),
        (r"no notifier configured for channel ", FailureKind.NO_NOTIFIER),
        # Databases hold both wordings of the second.
        (
            r"abandoned [0-9]+ times: "
            r"|interrupted before the receiver responded: |broken off before it was answered: ",
            FailureKind.ABANDONED,
        ),
        (r"the notifier failed: ", _phrased(FailureKind.DEFECT)),
        (r"Apprise could not deliver: (?:[0-9]+ of [0-9]+ rooms are missing: )?", _apprise_failure),
        (r"no time was left for the other rooms", FailureKind.TIMEOUT),
        (r".{1,400}? can't be used(?: as it is set up)?: ", FailureKind.SETUP),
        # Sentences of certctl's server, and similarly brief ones from notifiers of other packages.
        (r"(?:[a-z]+: (?:webhook|API) returned )?HTTP (?P<code>[1-9][0-9]{2})\b", _answered),
        (r"webhook returned status (?P<code>[1-9][0-9]{2})\b", _answered),
        (r"[a-z]+: request failed: |failed to send webhook request: ", _phrased(FailureKind.CONNECTION)),
        (
            r"failed to (?:connect|connect via TLS|reach [^:]+(?::[0-9]+)?): ",
            _phrased(FailureKind.CONNECTION),
        ),
        (r"failed to create SMTP client: (?P<code>[0-9]{3})?", _replied(Step.SESSION, FailureKind.SENDER)),
        (r"SMTP authentication failed: ", FailureKind.CREDENTIALS),
        (r"failed to set sender: (?P<code>[0-9]{3})?", _replied(Step.SESSION, FailureKind.SENDER)),
        (r"failed to set recipient: (?P<code>[0-9]{3})?", _replied(Step.RECIPIENT, FailureKind.RECIPIENT)),
        (r"invalid recipient: |recipient address is required", FailureKind.RECIPIENT),
        (
            r"failed to (?:get data writer|write message): (?P<code>[0-9]{3})?",
            _replied(Step.MESSAGE, FailureKind.REFUSED),
        ),
        (r"failed to (?:format message|marshal payload): |invalid subject: ", FailureKind.REFUSED),
        (r"webhook url rejected: |failed to create request: |invalid sender: ", FailureKind.SETUP),
    )
)
"""The beginning of each sentence, and its kind. The first match counts."""

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
"""The first match counts: a lookup that timed out is a DNS failure."""
