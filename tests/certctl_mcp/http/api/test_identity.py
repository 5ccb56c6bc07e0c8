"""certctl's command line and page can find out who the caller is and what it may do."""

import pytest

from certctl_mcp import __version__
from tests.certctl_mcp.http.conftest import ADMIN, OPERATOR, READER, Served


@pytest.mark.parametrize(
    ("key", "name", "role", "may_edit"),
    [
        (ADMIN, "ada", "r-admin", True),
        (OPERATOR, "otto", "r-operator", True),
        (READER, "rita", "r-viewer", False),
    ],
)
async def test_the_caller_has_certctls_role_and_permissions(
    served: Served, key: str, name: str, role: str, may_edit: bool
) -> None:
    async with served.client(key) as client:
        me = (await client.get("/api/v1/auth/me")).json()
        check = (await client.get("/api/v1/auth/check")).json()
    permissions = {permission["permission"]: permission for permission in me.pop("effective_permissions")}
    assert me == {
        "actor_id": name,
        "actor_type": "APIKey",
        "tenant_id": "t-default",
        "admin": key == ADMIN,
        "roles": [role],
    }
    assert permissions["notification.read"] == {"permission": "notification.read", "scope_type": "global"}
    assert ("notification.edit" in permissions) is may_edit
    assert me.items() <= check.items()
    assert (check["status"], check["user"], check["admin_via_role"]) == ("authenticated", name, key == ADMIN)


async def test_the_version_needs_no_key(served: Served) -> None:
    async with served.client() as client:
        version = (await client.get("/api/v1/version")).json()
    assert version["version"] == __version__
    assert version.keys() == {"version", "commit", "modified", "build_time", "go_version"}
