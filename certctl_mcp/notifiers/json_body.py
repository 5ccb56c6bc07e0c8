"""How does a body become bytes? Compact JSON, whatever characters a message holds."""

import json

Json = str | int | bool | None | list["Json"] | dict[str, "Json"]


def encode(body: Json) -> bytes:
    """Compact JSON in UTF-8; half of a surrogate pair, which has no UTF-8, becomes a question mark."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
