"""How does a body become bytes? Compact JSON, whatever characters a message holds."""

import json

Json = str | int | bool | None | list["Json"] | dict[str, "Json"]

# `json.dumps` with options makes an encoder for every call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode(body: Json) -> bytes:
    """Compact JSON in UTF-8; half of a surrogate pair, which has no UTF-8, becomes a question mark."""
    return _ENCODER.encode(body).encode("utf-8", "replace")
