"""`python -m certctl_mcp` is `certctl-mcp`."""

from certctl_mcp.cli.main import main

main()
