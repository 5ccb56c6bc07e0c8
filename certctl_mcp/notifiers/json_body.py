"""Request bodies: compact JSON, whatever characters a message contains."""

import json

Json = str | int | bool | None | list["Json"] | dict[str, "Json"]

# `json.dumps` with options creates an encoder for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode(body: Json) -> bytes:
    """Compact JSON in UTF-8; a lone surrogate, which UTF-8 can't encode, becomes a question mark."""
    return _ENCODER.encode(body).encode("utf-8", "replace")
