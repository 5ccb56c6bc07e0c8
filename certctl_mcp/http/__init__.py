"""The server over HTTP: MCP, REST, metrics, health and the page, in one process.

But for the settings nothing here is imported unless it is to be served.
"""
