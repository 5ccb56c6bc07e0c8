"""Computes at import what a program computes on first use: schemas of tools, and patterns of secrets."""

from certctl_mcp.mcp_server.tools.catalog import catalog
from certctl_mcp.text.redaction import redact

catalog()
redact("")
