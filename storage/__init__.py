"""The shared asynchronous repository of notifications; it knows nothing of MCP, HTTP or notifiers."""
