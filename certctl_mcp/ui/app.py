"""The page as an MCP App: the resource that a host fetches at the URI given by its tool."""

from collections.abc import Mapping
from typing import Any, Final

from mcp.server.apps import APP_MIME_TYPE, ResourceCsp
from mcp_types import TextResourceContents

URI: Final = "ui://certctl/notifications"

TOOL_META: Final[Mapping[str, Any]] = {"ui": {"resourceUri": URI}}
"""The part of a tool's description that links the page for its result."""

# The page is self-contained, and contacts only the host.
_NOBODY = ResourceCsp(connect_domains=[], resource_domains=[], frame_domains=[], base_uri_domains=[])
_META = {"ui": {"csp": _NOBODY.model_dump(by_alias=True), "prefersBorder": True}}


def app_page(max_attempts: int) -> TextResourceContents:
    """The page as a host reads it."""
    # Read on first use, because most servers never need it.
    from certctl_mcp.ui.document import app_document

    return TextResourceContents(uri=URI, mime_type=APP_MIME_TYPE, text=app_document(max_attempts), meta=_META)
