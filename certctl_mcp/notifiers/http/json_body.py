"""Request bodies: compact JSON, whatever characters a message contains."""

import json

from pydantic_core import PydanticSerializationError, to_json

Json = str | int | bool | None | list["Json"] | dict[str, "Json"]


def encode(body: Json) -> bytes:
    """Compact JSON in UTF-8; a lone surrogate, which UTF-8 can't encode, becomes a question mark."""
    try:
        return to_json(body)
    except PydanticSerializationError:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
