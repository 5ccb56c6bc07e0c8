"""No foreign page can make a browser call the server, neither cross-origin nor by DNS rebinding."""

import pytest

from tests.certctl_mcp.http.conftest import KEYS, OPERATOR, Serve

INFO = "/api/v1/auth/info"


@pytest.mark.parametrize(
    "host", ["localhost:8080", "localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1"]
)
async def test_the_names_of_loopback_are_accepted(serve: Serve, host: str) -> None:
    served = await serve()
    async with served.client(Host=host) as client:
        assert (await client.get(INFO)).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "attacker.example:8080", "localhost.attacker.example", "", "127.0.0.1.nip.io"],
)
async def test_requests_for_another_host_name_are_refused(serve: Serve, host: str) -> None:
    served = await serve()
    async with served.client(Host=host) as client:
        for path in (INFO, "/health", "/mcp", "/"):
            assert (await client.get(path)).status_code == 421


async def test_further_host_names_can_be_configured(serve: Serve) -> None:
    served = await serve(CERTCTL_SERVER_ALLOWED_HOSTS="Certctl.example.com, other.example:8443")
    for host, status in (
        ("certctl.example.com", 200),
        ("certctl.example.com:8080", 200),
        ("other.example:8443", 200),
        ("other.example:1", 421),
        ("localhost:8080", 200),
    ):
        async with served.client(Host=host) as client:
            assert (await client.get(INFO)).status_code == status


async def test_beyond_loopback_any_host_name_is_accepted_with_a_key(serve: Serve) -> None:
    served = await serve(CERTCTL_SERVER_HOST="0.0.0.0", CERTCTL_API_KEYS_NAMED=KEYS)
    async with served.client(OPERATOR, Host="certctl.example.com") as client:
        assert (await client.get("/api/v1/notifications")).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8080", 200),
        # The same server behind a proxy that terminates TLS.
        ("https://localhost:8080", 200),
        ("http://localhost:3000", 403),
        ("https://attacker.example", 403),
        ("http://localhost:8080.attacker.example", 403),
        ("file://localhost:8080", 403),
        ("null", 403),
    ],
)
async def test_only_pages_of_the_same_origin_can_call(serve: Serve, origin: str, status: int) -> None:
    served = await serve()
    async with served.client(Host="localhost:8080", Origin=origin) as client:
        answered = await client.get(INFO)
    assert answered.status_code == status
    assert "Access-Control-Allow-Origin" not in answered.headers


async def test_further_origins_can_be_configured(serve: Serve) -> None:
    origin = "https://console.example.com"
    served = await serve(CERTCTL_CORS_ORIGINS=origin, CERTCTL_API_KEYS_NAMED=KEYS)
    async with served.client(Origin=origin) as client:
        asked = await client.options(
            "/mcp",
            headers={
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, mcp-protocol-version",
            },
        )
        assert asked.status_code == 200
        assert asked.headers["Access-Control-Allow-Origin"] == origin
        assert "authorization" in asked.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in asked.headers
        refused = await client.get("/api/v1/notifications")
        assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, origin)
