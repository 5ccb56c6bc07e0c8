"""What a program computes at its first use, computed at import: schemas of tools, and patterns of secrets."""

from certctl_mcp.mcp_server.tools.catalog import catalog
from certctl_mcp.text.redaction import redact

catalog()
redact("")
