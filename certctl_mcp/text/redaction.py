"""Redaction of secrets in untrusted text, and truncation.

It takes time linear in the length of the text: a rule is tried only where one of its literal triggers occurs,
and an attempt there either fails after a bounded number of characters or consumes what it has read.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter
from urllib.parse import quote, quote_plus, unquote, urlsplit

from certctl_mcp.text.decoding import decode_layers

REDACTED = "[redacted]"

MAX_ERROR_BYTES = 8192
"""The maximum length of `last_error`."""

_SHORTEST_SECRET = 4
"""Shorter secrets occur in ordinary text; removing them would only make it unreadable."""

_SHORTEST_PATH_TOKEN = 16
"""A path segment of a URL that is at least this long counts as a token."""

LOOK_AHEAD = 1024
"""How many characters beyond the required part are read, to recognise a secret that begins in it."""

_QUOTE = r"""(?P<quote>\\?["'])?"""
_UNQUOTED = r"""[^\s&;,"'<>(){}\[\]]++"""
_VALUE = rf"""(?(quote)(?:(?!(?P=quote))(?:[^\\]|\\.))*+|{_UNQUOTED})"""
"""After `_QUOTE`: up to the same quote again, or to the end of the text; without one, up to a separator."""
_IS = r"""\\?["']?[ \t]{0,8}[:=]{1,2}>?[ \t]{0,8}"""
_SCHEME = r"(?:[A-Za-z0-9-]{1,20}[ \t]{1,8})?"
# The first value ends where an unquoted value does, so that failing to find a second one costs no more than
# that.
_PARAMETERS = (
    rf"""[\w-]{{1,40}}=(?:"[^"]*+"?|{_UNQUOTED})(?:,[ \t]{{0,8}}[\w-]{{1,40}}=(?:"[^"]*+"?|[^\s,"]*+))++"""
)
"""The rest of an Authorization header with several parameters, after the scheme."""

# Where a name begins: not within a word, or at a capital as in apiToken. PagerDuty's dedup_key is not secret.
_NAME_BEGINS = r"(?:(?<![A-Za-z])(?<!dedup_)|(?<=[a-z])(?=[A-Z]))"

_JOINED_NAMES = tuple(
    f"{first}{joint}{second}"
    for first, second in (
        *((first, "key") for first in ("api", "access", "account", "private", "routing", "signing")),
        *((first, "token") for first in ("access", "api", "auth", "bot", "client", "refresh", "user")),
        ("sess", "id"),
        ("session", "id"),
    )
    for joint in ("", "_", "-")
)
_UNMISTAKABLE_NAMES = ("password", "passwd", "passphrase", "secret", "_token", "-token", *_JOINED_NAMES)
_COMMON_NAMES = ("pwd", "pass", "token", "key", "signature", "sig", "auth")


@dataclass(frozen=True, slots=True)
class _Rule:
    """A kind of secret. The text that `kept` matches stays in front of the removed part."""

    triggers: tuple[str, ...]
    """The triggers, in lower case. A match begins with one of them."""
    pattern: str


def _any_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))


_RULES = (
    # A private key, even if its end was cut off.
    _Rule(
        ("-----begin ",),
        r"(?P<kept>)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
        r"(?:[^-]|-(?!----END [A-Z ]{0,40}PRIVATE KEY-----))*+(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?",
    ),
    # User name and password of a URL.
    _Rule(("://",), r"(?P<kept>://)[^\s/?#\"'<>]+(?=@)"),
    # Webhook URLs whose path is the secret.
    _Rule(
        ("hooks.slack",),
        r"(?P<kept>(?i:hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/))[^\s\"'<>]++",
    ),
    _Rule(
        ("discord.com/", "discordapp.com/"),
        r"(?P<kept>(?i:discord(?:app)?\.com/api/(?:v[0-9]{1,3}/)?webhooks/))[^\s\"'<>]++",
    ),
    _Rule(("webhook.office.com/",), r"(?P<kept>(?i:webhook\.office\.com/))[^\s\"'<>]++"),
    _Rule(("api.telegram.org/bot",), r"(?P<kept>(?i:api\.telegram\.org/bot))[^\s\"'<>/]++"),
    _Rule(
        ("/hook", "/webhook", "/integration"),
        r"(?P<kept>/(?i:hooks?|webhooks?|integrations?)/)(?=[\w-]{0,100}[0-9])[\w-]{16,}+",
    ),
    # Authorization headers and their values.
    _Rule(
        ("authorization",),
        rf"(?P<kept>(?i:authorization){_IS}{_QUOTE})(?(quote){_VALUE}|{_SCHEME}(?:{_PARAMETERS}|{_VALUE}))",
    ),
    # Cookies: there may be several in a line.
    _Rule(("cookie",), rf"(?P<kept>\b(?i:cookie){_IS}{_QUOTE})(?(quote){_VALUE}|[^\r\n\"']++)"),
    _Rule(
        ("bearer", "geniekey"),
        r"(?P<kept>\b(?i:bearer|geniekey)[ \t]{1,8})[A-Za-z0-9._~+/=-]{6,}+",
    ),
    _Rule(
        ("basic",),
        r"(?P<kept>\b(?i:basic)[ \t]{1,8})(?=[a-z/+]{0,200}[A-Z0-9=])[A-Za-z0-9+/]{6,}+={0,2}",
    ),
    # name=value, name: value and "name": "value".
    _Rule(_UNMISTAKABLE_NAMES, rf"(?P<kept>(?i:{_any_of(_UNMISTAKABLE_NAMES)}){_IS}{_QUOTE}){_VALUE}"),
    # A common word followed by a colon may be prose.
    _Rule(
        _COMMON_NAMES,
        rf"(?P<kept>{_NAME_BEGINS}(?i:{_any_of(_COMMON_NAMES)})"
        rf"(?:=|\\?[\"'][ \t]{{0,8}}:[ \t]{{0,8}}){_QUOTE}){_VALUE}",
    ),
    # --name value.
    _Rule(
        ("--",),
        r"(?P<kept>--(?i:[a-z]{1,20}-)?(?i:password|passphrase|secret|token|key)[ \t]{1,8}"
        rf"{_QUOTE}){_VALUE}",
    ),
    # Tokens with a prefix that identifies them.
    _Rule(("whsec_",), r"(?P<kept>)\bwhsec_[A-Za-z0-9+/=_-]++"),
    _Rule(("xox", "xapp-"), r"(?P<kept>)\b(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}+"),
    _Rule(("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"(?P<kept>)\bgh[pousr]_[A-Za-z0-9]{20,}+"),
    _Rule(
        ("github_pat_", "glpat-", "sk_", "rk_", "sk-", "hvs.", "dop_v1_"),
        r"(?P<kept>)\b(?:github_pat_|glpat-|[sr]k_(?:live|test)_|sk-(?:ant|proj)-|hvs\.|dop_v1_)[\w-]{16,}+",
    ),
    _Rule(("npm_",), r"(?P<kept>)\bnpm_[A-Za-z0-9]{30,}+"),
    _Rule(("aiza",), r"(?P<kept>)\bAIza[\w-]{35}"),
    _Rule(("sg.",), r"(?P<kept>)\bSG\.[\w-]{16,64}\.[\w-]{16,}+"),
    _Rule(("akia", "asia"), r"(?P<kept>)\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    # A JSON Web Token. Because of the lookbehind, each run of its characters is tried only once.
    _Rule(
        ("eyj",),
        r"(?P<kept>)(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?",
    ),
)

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{12,400}={0,2}(?![A-Za-z0-9+/=])")
_CREDENTIALS = re.compile(rb"[!-9;-~]{1,100}:[ -~]{3,200}")

_LOWER = {capital: capital + 32 for capital in range(ord("A"), ord("Z") + 1)}


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace `secrets` and recognisable secrets, whether plain or encoded for a URL, JSON or HTML."""
    return redact_beginning(text, len(text), secrets)


def redact_beginning(text: str, length: int, secrets: Iterable[str] = ()) -> str:
    """The first `length` characters of `text`, redacted. The text after them helps to recognise secrets."""
    window = text[: length + LOOK_AHEAD]
    known = {form for secret in secrets for form in _forms(secret)}
    found = [
        layer.original(begin, end)
        for layer in decode_layers(window)
        for begin, end in (*_known(layer.text, known), *_recognised(layer.text))
    ]
    return _without(window[:length], found)


def redact_error(text: str, secrets: Iterable[str] = ()) -> str:
    """`text`, redacted and within `MAX_ERROR_BYTES`; only the beginning of a long text is read."""
    beginning = redact_beginning(text, MAX_ERROR_BYTES, secrets)
    unread = len(text[MAX_ERROR_BYTES:].encode("utf-8", "replace"))
    return truncate(beginning, cut=unread)


def truncate(text: str, limit: int = MAX_ERROR_BYTES, *, cut: int = 0) -> str:
    """At most `limit` bytes of UTF-8. A shortened text ends with the number of bytes cut.

    `cut` bytes have already been cut.
    """
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit and not cut:
        return text
    # Room for the longest ending, so that the text fits with any number.
    room = max(0, limit - len(_ending(len(encoded) + cut)))
    kept = encoded[:room].decode("utf-8", "ignore")
    return (kept + _ending(len(encoded) + cut - len(kept.encode())))[:limit]


def url_secrets(url: str) -> tuple[str, ...]:
    """The parts of a URL that may grant access: credentials, path, query and long path segments.

    Scheme and host are not included, nor is a short path segment on its own.
    """
    parts = urlsplit(url)
    credentials = (parts.netloc.rpartition("@")[0], parts.password or "")
    segments = [segment for segment in parts.path.split("/") if len(segment) >= _SHORTEST_PATH_TOKEN]
    values = [value for pair in parts.query.split("&") for _, _, value in [pair.partition("=")]]
    path = parts.path if parts.path.strip("/") else ""
    found = (url, *credentials, path, parts.query, *segments, *values)
    return tuple(dict.fromkeys(part for part in found if len(part) >= _SHORTEST_SECRET))


@cache
def _compiled() -> tuple[re.Pattern[str], ...]:
    # On first use, because compiling takes a good part of the start-up time.
    return tuple(re.compile(rule.pattern, re.DOTALL) for rule in _RULES)


@cache
def _any_trigger() -> re.Pattern[str]:
    """Finds the beginning of any possible match. Most texts have none, and need no slower search."""
    triggers = sorted({trigger for rule in _RULES for trigger in rule.triggers})
    # Grouped, so that a search compares only those that begin with the character it is at.
    groups = groupby(triggers, itemgetter(0))
    return re.compile(
        "|".join(
            f"{re.escape(first)}(?:{_any_of(trigger[1:] for trigger in those)})" for first, those in groups
        )
    )


def _known(text: str, secrets: Iterable[str]) -> Iterator[tuple[int, int]]:
    for secret in secrets:
        begin = text.find(secret)
        while begin >= 0:
            end = begin + len(secret)
            # Occurrences that overlap are one part.
            last = begin
            while (last := text.find(secret, last + 1, end + len(secret) - 1)) >= 0:
                end = last + len(secret)
            yield begin, end
            begin = text.find(secret, end)


def _recognised(text: str) -> Iterator[tuple[int, int]]:
    lowered = text.lower()
    if len(lowered) != len(text):
        # Some capitals have a longer lower case, which would shift everything after them.
        lowered = text.translate(_LOWER)
    if _any_trigger().search(lowered):
        for rule, pattern in zip(_RULES, _compiled(), strict=True):
            for trigger in rule.triggers:
                # Creating a generator for each trigger would cost several times as much.
                if trigger in lowered:
                    yield from _matches(pattern, text, lowered, trigger)
    for run in _BASE64.finditer(text):
        if _holds_credentials(run[0]):
            yield run.span()


def _matches(pattern: re.Pattern[str], text: str, lowered: str, trigger: str) -> Iterator[tuple[int, int]]:
    begin = lowered.find(trigger)
    while begin >= 0:
        match = pattern.match(text, begin)
        after = begin + 1
        if match is not None and match.end("kept") < match.end():
            yield match.end("kept"), match.end()
            after = match.end()
        begin = lowered.find(trigger, after)


def _holds_credentials(encoded: str) -> bool:
    """Whether it is the value of a Basic Authorization header: user, colon and password in base64."""
    try:
        padding = "=" * (-len(encoded) % 4)
        return _CREDENTIALS.fullmatch(base64.b64decode(encoded + padding, validate=True)) is not None
    except binascii.Error:
        return False


def _without(text: str, parts: Iterable[tuple[int, int]]) -> str:
    """Parts that overlap or touch are replaced together; those beyond the end are ignored."""
    pieces: list[str] = []
    done = 0
    last = -1
    for begin, end in sorted(parts):
        if begin >= len(text):
            break
        if begin > last:
            pieces += (text[done:begin], REDACTED)
        done = last = max(end, last)
    return "".join(pieces) + text[done:]


def _forms(secret: str) -> Iterator[str]:
    if len(secret) >= _SHORTEST_SECRET:
        yield secret
        yield quote(secret, safe="")
        yield quote(secret)
        yield quote_plus(secret)
        yield unquote(secret)
        yield json.dumps(secret)[1:-1]


def _ending(cut: int) -> str:
    return f" [{cut} more bytes cut]"
