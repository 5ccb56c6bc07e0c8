"""Redaction: text from outside without its secrets, cut to a bound, as it is stored and shown.

Every pattern runs in linear time on any text: runs are either bounded, or start at one place only, or always
match once begun.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from urllib.parse import quote, quote_plus, unquote, urlsplit

from certctl_mcp.text.decoding import decode_layers

REDACTED = "[redacted]"

MAX_ERROR_BYTES = 8192
"""The bound of `last_error`."""

_SHORTEST_SECRET = 4
"""Shorter ones stand in any text by chance; removing them would only make it unreadable."""

_SHORTEST_PATH_TOKEN = 16
"""From this length on one segment of a URL's path is taken for a token, not for a word."""

_QUOTE = r"""(?P<quote>\\?["'])?"""
_VALUE = r"""(?(quote)(?:(?!(?P=quote))(?:[^\\]|\\.))*|[^\s&;,"'<>(){}\[\]]+)"""
"""After `_QUOTE`: up to the same quote again, or to the end of the text; without one, up to a separator."""
_IS = r"""\\?["']?[ \t]{0,8}[:=]{1,2}>?[ \t]{0,8}"""
_UNMISTAKABLE_NAME = (
    r"password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key|routing[_-]?key|"
    r"[_-]token|(?:access|refresh|auth|bot)token|sess(?:ion)?[_-]?id"
)
_COMMON_NAME = r"pwd|token|key|sig|signature|auth"
_SCHEME = r"(?:[A-Za-z0-9-]{1,20}[ \t]{1,8})?"
_PARAMETERS = r"""[\w-]{1,40}=(?:"[^"]*"?|[^\s,"]+)(?:,[ \t]{0,8}[\w-]{1,40}=(?:"[^"]*"?|[^\s,"]*))+"""
"""What follows the scheme of an Authorization header, where it is several."""

_PATTERNS = (
    # A private key, also one whose end was cut off.
    r"(?P<kept>)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    # User name and password of a URL.
    r"(?P<kept>://)[^\s/?#\"'<>]+(?=@)",
    # Webhook URLs whose path is the secret.
    r"(?P<kept>(?i:hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/))[^\s\"'<>]+",
    r"(?P<kept>(?i:discord(?:app)?\.com/api/webhooks/))[^\s\"'<>]+",
    r"(?P<kept>(?i:webhook\.office\.com/))[^\s\"'<>]+",
    r"(?P<kept>(?i:api\.telegram\.org/bot))[^\s\"'<>/]+",
    r"(?P<kept>/(?i:hooks?|webhooks?|integrations?)/)(?=[\w-]{0,100}[0-9])[\w-]{16,}",
    # Authorization headers, and their values wherever they stand.
    rf"(?P<kept>(?i:authorization){_IS}{_QUOTE})(?(quote){_VALUE}|{_SCHEME}(?:{_PARAMETERS}|{_VALUE}))",
    # Cookies, which may be many in a line.
    rf"(?P<kept>(?i:\bcookie){_IS}{_QUOTE})(?(quote){_VALUE}|[^\r\n\"']+)",
    r"(?P<kept>\b(?i:bearer|geniekey)[ \t]{1,8})[A-Za-z0-9._~+/=-]{6,}",
    r"(?P<kept>\b(?i:basic)[ \t]{1,8})(?=[a-z/+]{0,200}[A-Z0-9=])[A-Za-z0-9+/]{6,}={0,2}",
    # name=value, name: value and "name": "value"; a common name followed by a colon may be prose.
    rf"(?P<kept>(?i:{_UNMISTAKABLE_NAME}){_IS}{_QUOTE}){_VALUE}",
    rf"(?P<kept>(?<![A-Za-z])(?i:{_COMMON_NAME})(?:=|\\?[\"'][ \t]{{0,8}}:[ \t]{{0,8}}){_QUOTE}){_VALUE}",
    # --name value.
    rf"(?P<kept>--(?i:[a-z]{{1,20}}-)?(?i:password|passphrase|secret|token|key)[ \t]{{1,8}}{_QUOTE}){_VALUE}",
    # Tokens that show what they are.
    r"(?P<kept>)\bwhsec_[A-Za-z0-9+/=_-]+",
    r"(?P<kept>)\b(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}",
    r"(?P<kept>)\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"(?P<kept>)\b(?:github_pat_|glpat-|[sr]k_(?:live|test)_|sk-(?:ant|proj)-|hvs\.|dop_v1_)[\w-]{16,}",
    r"(?P<kept>)\bnpm_[A-Za-z0-9]{30,}",
    r"(?P<kept>)\bAIza[\w-]{35}",
    r"(?P<kept>)\bSG\.[\w-]{16,64}\.[\w-]{16,}",
    r"(?P<kept>)\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    # A JSON Web Token; the look behind lets a run of its characters be tried once only.
    r"(?P<kept>)(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
)
"""`kept` stays in front of what is removed."""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace `secrets` and whatever is recognisably one, as they are or encoded for a URL, JSON or HTML."""
    known = {form for secret in secrets for form in _forms(secret)}
    found = [
        reading.original(begin, end)
        for reading in decode_layers(text)
        for begin, end in (*_known(reading.text, known), *_recognised(reading.text))
    ]
    return _without(text, found)


def truncate(text: str, limit: int = MAX_ERROR_BYTES) -> str:
    """At most `limit` bytes of UTF-8; a longer text ends by saying how many bytes were cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return text
    # The longest ending there can be, so that the text fits whatever the number.
    room = max(0, limit - len(_ending(len(encoded))))
    kept = encoded[:room].decode("utf-8", "ignore")
    return (kept + _ending(len(encoded) - len(kept.encode())))[:limit]


def url_secrets(url: str) -> tuple[str, ...]:
    """The parts of a URL that may open something: its credentials, path, query and long path segments.

    Scheme and host are not among them, nor is a short word of the path on its own.
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
    # At the first use: compiling takes longer than a good part of the start.
    return tuple(re.compile(pattern, re.DOTALL) for pattern in _PATTERNS)


def _known(text: str, secrets: Iterable[str]) -> Iterator[tuple[int, int]]:
    for secret in secrets:
        begin = text.find(secret)
        while begin >= 0:
            yield begin, begin + len(secret)
            begin = text.find(secret, begin + 1)


def _recognised(text: str) -> Iterator[tuple[int, int]]:
    for pattern in _compiled():
        for match in pattern.finditer(text):
            if match.end("kept") < match.end():
                yield match.end("kept"), match.end()


def _without(text: str, parts: Iterable[tuple[int, int]]) -> str:
    """Parts that overlap or touch are replaced together."""
    pieces: list[str] = []
    done = 0
    last = -1
    for begin, end in sorted(parts):
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
