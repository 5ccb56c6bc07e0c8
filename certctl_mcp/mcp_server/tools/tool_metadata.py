"""A tool's argument model, without the SDK's guess that a text which looks like JSON was meant as JSON.

The SDK decodes such texts for every argument that isn't exactly `str`. An optional text that says `null` or
`[1]` would then be lost or refused. Lists that hosts send as JSON text are read by `read_arguments` instead.
"""

from typing import Any

from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata


class PlainFuncMetadata(FuncMetadata):
    """Takes arguments unchanged."""

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        return data


def with_plain_arguments(metadata: FuncMetadata) -> PlainFuncMetadata:
    """The same metadata, with arguments taken unchanged."""
    return PlainFuncMetadata(
        arg_model=metadata.arg_model,
        output_schema=metadata.output_schema,
        output_model=metadata.output_model,
        wrap_output=metadata.wrap_output,
    )
