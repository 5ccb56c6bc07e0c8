"""The smallest possible MCP server: the SDK and one tool that does nothing."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("bare")


@server.tool()
async def nothing() -> None:
    """Do nothing."""


if __name__ == "__main__":
    server.run("stdio")
