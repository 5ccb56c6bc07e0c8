"""Nobody gets in without a key or by guessing one, and a key can do no more than its role allows."""

import logging

import pytest

from certctl_mcp.config.api_keys import Role, parse_named_keys, parse_secret
from certctl_mcp.http.auth.middleware import FAILURES_AT_ONCE, Keys
from certctl_mcp.http.auth.principal import Caller
from tests.builders import Queue
from tests.certctl_mcp.http.conftest import ADMIN, KEYS, OPERATOR, READER, Serve, Served

PATHS = [
    "/api/v1/notifications",
    "/api/v1/notifications/notif-1",
    "/api/v1/stats/summary",
    "/api/v1/stats/job-trends",
    "/api/v1/metrics",
    "/api/v1/auth/check",
    "/api/v1/audit",
    "/api/v1/channels",
    "/api/v1/diagnosis",
    "/api/v1/auth/me",
    "/openapi.json",
    "/mcp",
    "/nowhere",
]


@pytest.mark.parametrize("path", PATHS)
async def test_requests_without_a_key_are_refused(served: Served, path: str) -> None:
    for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "}):
        async with served.client(**headers) as client:
            refused = await client.get(path)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith('Bearer realm="certctl"')
        assert "Bearer" in refused.json()["message"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/api/v1/auth/info", "/api/v1/version"])
async def test_probes_and_the_page_require_no_key(served: Served, path: str) -> None:
    async with served.client() as client:
        assert (await client.get(path)).status_code == 200


async def test_a_key_identifies_the_caller(served: Served) -> None:
    known = {}
    for key in (ADMIN, OPERATOR, READER):
        async with served.client(key) as client:
            known[key] = (await client.get("/api/v1/auth/check")).json()
    assert {key: (told["user"], told["admin"], told["read_only"]) for key, told in known.items()} == {
        ADMIN: ("ada", True, False),
        OPERATOR: ("otto", False, False),
        READER: ("rita", False, True),
    }


async def test_both_keys_of_a_rotation_are_valid_and_count_as_one_caller(serve: Serve) -> None:
    served = await serve(CERTCTL_API_KEYS_NAMED="ada:key-before:admin,ada:key-after:admin")
    for key in ("key-before", "key-after"):
        async with served.client(key) as client:
            assert (await client.get("/api/v1/auth/check")).json()["user"] == "ada"


async def test_unnamed_keys_are_valid_only_if_no_named_keys_are_set(serve: Serve) -> None:
    served = await serve(CERTCTL_AUTH_SECRET="first-key, second-key")
    async with served.client("second-key") as client:
        told = (await client.get("/api/v1/auth/check")).json()
    assert (told["user"], told["admin"]) == ("legacy-key-1", False)
    named = await serve(CERTCTL_AUTH_SECRET="first-key", CERTCTL_API_KEYS_NAMED=KEYS)
    async with named.client("first-key") as client:
        assert (await client.get("/api/v1/auth/check")).status_code == 401


async def test_a_reader_cannot_change_anything(served: Served, queue: Queue) -> None:
    dead = await queue.dead()
    address = f"/api/v1/notifications/{dead.id}"
    async with served.client(READER) as client:
        assert (await client.get(address)).status_code == 200
        new = {"type": "Test", "channel": "Webhook", "message": "hello"}
        for path in (f"{address}/requeue", f"{address}/read", "/api/v1/notifications"):
            refused = await client.post(path, json=new)
            assert refused.status_code == 403
            assert "'rita' is read-only" in refused.json()["message"]
    assert (await queue.repository.get(dead.id)) == dead


async def test_no_key_can_do_what_the_operator_has_disabled(serve: Serve, queue: Queue) -> None:
    served = await serve(CERTCTL_API_KEYS_NAMED=KEYS, CERTCTL_MCP_TOOLS="triage,requeue")
    dead = await queue.dead()
    async with served.client(ADMIN) as client:
        refused = await client.post(f"/api/v1/notifications/{dead.id}/read")
        assert refused.status_code == 403
        assert (await client.post(f"/api/v1/notifications/{dead.id}/requeue")).status_code == 200


async def test_an_address_that_guesses_keys_is_blocked(served: Served) -> None:
    async with served.client("wrong", address="192.0.2.7") as client:
        statuses = [(await client.get("/api/v1/auth/check")).status_code for _ in range(FAILURES_AT_ONCE + 1)]
        refused = await client.get("/api/v1/auth/check")
    assert statuses == [401] * FAILURES_AT_ONCE + [429]
    assert int(refused.headers["Retry-After"]) >= 1


async def test_a_valid_key_works_despite_wrong_ones_from_the_same_address(served: Served) -> None:
    async with served.client(ADMIN, address="192.0.2.7") as ada, served.client("wrong", "192.0.2.7") as other:
        for _ in range(FAILURES_AT_ONCE + 5):
            await other.get("/api/v1/auth/check")
        assert (await other.get("/api/v1/auth/check")).status_code == 429
        assert (await ada.get("/api/v1/auth/check")).status_code == 200


async def test_behind_a_trusted_proxy_each_client_is_counted_by_its_own_address(serve: Serve) -> None:
    served = await serve(CERTCTL_API_KEYS_NAMED=KEYS, CERTCTL_SERVER_TRUSTED_PROXIES="10.0.0.0/24, 192.0.2.1")

    async def statuses(proxy: str, forwarded: str) -> set[int]:
        async with served.client("wrong", address=proxy, **{"X-Forwarded-For": forwarded}) as client:
            return {(await client.get("/api/v1/auth/check")).status_code for _ in range(FAILURES_AT_ONCE + 1)}

    assert await statuses("10.0.0.9", "203.0.113.1, 10.0.0.8") == {401, 429}
    # Another client behind the proxy is not affected; what a client itself adds does not count.
    assert await statuses("10.0.0.9", "203.0.113.2") == {401, 429}
    assert await statuses("192.0.2.1", "198.51.100.7, 203.0.113.2") == {429}
    # Nobody else can set the address of a request.
    assert await statuses("198.51.100.9", "203.0.113.3") == {401, 429}
    assert await statuses("198.51.100.9", "203.0.113.4") == {429}


async def test_one_ipv6_site_counts_as_one_address(served: Served) -> None:
    for number in range(FAILURES_AT_ONCE):
        async with served.client("wrong", address=f"2001:db8::{number}") as client:
            await client.get("/api/v1/auth/check")
    async with served.client("wrong", address="2001:db8::ffff") as client:
        assert (await client.get("/api/v1/auth/check")).status_code == 429


async def test_the_log_names_the_caller_and_shows_no_key(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served.client(OPERATOR) as client:
        answered = await client.get("/api/v1/notifications?text=secret-text")
    async with served.client("a-wrong-key") as client:
        await client.get("/api/v1/notifications")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("certctl_mcp")]
    (line,) = [line for line in ours if answered.headers["X-Request-ID"] in line]
    assert line.startswith("GET /api/v1/notifications 200 in ")
    assert "key otto" in line
    for hidden in (OPERATOR, "a-wrong-key", "secret-text"):
        assert not any(hidden in line for line in ours)


def test_only_a_whole_key_matches() -> None:
    keys = Keys(parse_named_keys("a:KEY-ONE,b:KEY-TWO:read-only"))
    assert keys.find_caller("KEY-TWO") == Caller("b", Role.READER)
    assert [keys.find_caller(given) for given in ("KEY", "KEY-ONE ", "key-one", "", "KEY-ONEKEY-ONE")] == [
        None
    ] * 5


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("sesame", "entry 1 must be name:key"),
        ("ada:sesame:admin:x", "entry 1 must be name:key"),
        ("ada:ok,o p:sesame", "the name of entry 2 must be letters"),
        ("ada:", "the key of ada is empty"),
        ("ada:sesame:root", "what follows the key of ada must be admin or read-only"),
        ("ada:sesame,ada:sesame", "ada has the same key twice"),
        ("ada:sesame,bob:sesame", "ada and bob have the same key"),
        ("ada:sesame,ada:b:admin", "the keys of ada differ in what they may do"),
        ("ada:ses ame", "the key of ada must be visible ASCII characters"),
    ],
)
def test_the_error_for_a_malformed_key_does_not_show_it(written: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        parse_named_keys(written)
    assert "sesame" not in str(refused.value)


def test_keys_are_parsed_as_in_certctls_server() -> None:
    keys = parse_named_keys(" ada:K1:admin , bob : K2 ,, carl:K3:read-only,")
    assert [(key.name, key.key.get_secret_value(), key.role) for key in keys] == [
        ("ada", "K1", Role.ADMIN),
        ("bob", "K2", Role.OPERATOR),
        ("carl", "K3", Role.READER),
    ]
    assert [key.name for key in parse_secret("x, ,y")] == ["legacy-key-0", "legacy-key-1"]
