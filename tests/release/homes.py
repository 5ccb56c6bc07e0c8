"""A public home of the project for tests."""

from release.home import Home

HOME = Home(
    owner="octo-org", repository="certctl-mcp", on_package_index=True, security_contact="security@example.com"
)
NOT_ON_INDEX = HOME.model_copy(update={"on_package_index": False, "security_contact": ""})
