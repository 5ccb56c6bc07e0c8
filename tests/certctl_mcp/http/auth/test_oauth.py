"""Access tokens are valid for MCP if their issuer signed them for this resource, within their scopes."""

import asyncio
import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certctl_mcp.http.auth.issuer_keys import COOLDOWN
from certctl_mcp.http.auth.middleware import FAILURES_AT_ONCE
from certctl_mcp.http.auth.oauth import ADMIN, READ, WRITE
from tests.certctl_mcp.http.conftest import KEYS, OPERATOR, Serve, Served

RESOURCE = "http://localhost:8080/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"
PING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/list",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/list",
}


class Issuer(ThreadingHTTPServer):
    """An authorization server with the endpoints that a resource server uses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.keys = {"k1": ec.generate_private_key(ec.SECP256R1())}
        self.fetched = 0
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()

    def token(self, kid: str = "k1", signed_by: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        said = {
            "iss": self.url,
            "aud": RESOURCE,
            "sub": "ada",
            "client_id": "console",
            "exp": int(time.time()) + 60,
            "scope": f"openid {WRITE} {READ}",
        }
        told = {name: value for name, value in (said | claims).items() if value is not None}
        return jwt.encode(told, signed_by or self.keys["k1"], algorithm, {"kid": kid})


class _Answers(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        issuer = self.server
        if self.path == "/.well-known/oauth-authorization-server":
            answer: dict[str, object] = {
                "issuer": issuer.url,
                "authorization_endpoint": f"{issuer.url}/authorize",
                "token_endpoint": f"{issuer.url}/token",
                "response_types_supported": ["code"],
                "jwks_uri": f"{issuer.url}/keys",
            }
        elif self.path == "/keys":
            issuer.fetched += 1
            if not issuer.answers.is_set():
                issuer.asked.set()
                issuer.answers.wait(20)
            answer = {
                "keys": [
                    jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid}
                    for kid, key in issuer.keys.items()
                ]
            }
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server
        server.answers.set()
        server.shutdown()
        serving.join()


@pytest.fixture
async def served(serve: Serve, issuer: Issuer) -> Served:
    return await serve(
        CERTCTL_OAUTH_ISSUER=issuer.url, CERTCTL_OAUTH_RESOURCE=RESOURCE, CERTCTL_API_KEYS_NAMED=KEYS
    )


async def tools(served: Served, token: str) -> set[str]:
    async with served.client(token) as client:
        answered = await client.post("/mcp", json=PING, headers=HEADERS)
    assert answered.status_code == 200, answered.text
    return {tool["name"] for tool in answered.json()["result"]["tools"]}


@pytest.mark.parametrize(
    ("scopes", "may_send", "may_purge"),
    [(READ, False, False), (f"{READ} {WRITE}", True, False), ([READ, ADMIN], True, True)],
)
async def test_a_token_permits_what_its_scopes_allow(
    served: Served, issuer: Issuer, scopes: object, may_send: bool, may_purge: bool
) -> None:
    claim = "scope" if isinstance(scopes, str) else "scp"
    claims: dict[str, Any] = {"scope": None, claim: scopes}
    token = issuer.token(**claims)
    offered = await tools(served, token)
    assert "list_notifications" in offered
    assert ("send_notification" in offered, "purge_notifications" in offered) == (may_send, may_purge)


async def test_a_token_without_one_of_our_scopes_permits_nothing(served: Served, issuer: Issuer) -> None:
    async with served.client(issuer.token(scope="openid")) as client:
        refused = await client.post("/mcp", json=PING, headers=HEADERS)
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert READ in refused.json()["message"]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "http://localhost:8080/other"},
        {"aud": None},
        {"iss": "http://elsewhere.example"},
        {"exp": int(time.time()) - 60},
        {"exp": None},
        {"nbf": int(time.time()) + 600},
    ],
)
async def test_a_token_for_another_audience_or_time_is_refused(
    served: Served, issuer: Issuer, claims: dict[str, Any]
) -> None:
    await refused(served, issuer.token(**claims))


async def test_a_forged_token_is_refused(served: Served, issuer: Issuer) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    await refused(served, issuer.token(signed_by=other))
    public = issuer.keys["k1"].public_key()
    shared = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    await refused(served, signed_with_a_secret(issuer.token(), shared))
    unsigned = jwt.encode({"iss": issuer.url, "aud": RESOURCE}, "", "none", {"kid": "k1"})
    await refused(served, unsigned)
    await refused(served, "a.b.c")
    await refused(served, "x" * 20_000)


def signed_with_a_secret(token: str, secret: bytes) -> str:
    """The claims of `token`, with a header that declares the public key to be a shared secret."""
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"k1"}').decode().rstrip("=")
    signed = f"{header}.{token.split('.')[1]}"
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


async def refused(served: Served, token: str) -> None:
    async with served.client(token) as client:
        answered = await client.post("/mcp", json=PING, headers=HEADERS)
    assert answered.status_code == 401
    assert 'error="invalid_token"' in answered.headers["WWW-Authenticate"]


async def test_a_new_key_of_the_issuer_is_fetched_and_fetches_for_unknown_keys_are_limited(
    served: Served, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tools(served, issuer.token())
    assert issuer.fetched == 1
    for _ in range(FAILURES_AT_ONCE - 1):
        await refused(served, issuer.token(kid="unknown"))
    assert issuer.fetched == 1
    issuer.keys["k2"] = ec.generate_private_key(ec.SECP256R1())
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + 31)
    await tools(served, issuer.token(kid="k2", signed_by=issuer.keys["k2"]))
    assert issuer.fetched == 2


async def test_while_the_issuer_hangs_tokens_with_a_known_key_are_accepted_at_once(
    served: Served, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = issuer.token()
    await tools(served, good)
    issuer.answers.clear()
    now = time.monotonic()
    monkeypatch.setattr("certctl_mcp.http.auth.issuer_keys.time.monotonic", lambda: now + COOLDOWN + 1)
    async with served.client(issuer.token(kid="unknown")) as client:
        forged = asyncio.create_task(client.post("/mcp", json=PING, headers=HEADERS))
        assert await asyncio.to_thread(issuer.asked.wait, 10)
        began = time.perf_counter()
        await tools(served, good)
        assert time.perf_counter() - began < 1
        assert not forged.done()
        issuer.answers.set()
        assert (await forged).status_code == 401


async def test_wrong_tokens_count_like_wrong_keys(served: Served, issuer: Issuer) -> None:
    for _ in range(FAILURES_AT_ONCE):
        await refused(served, issuer.token(kid="unknown"))
    async with served.client(issuer.token(kid="unknown")) as client:
        assert (await client.post("/mcp", json=PING, headers=HEADERS)).status_code == 429
    await tools(served, issuer.token())


async def test_the_response_says_where_to_get_a_token(served: Served, issuer: Issuer) -> None:
    async with served.client() as client:
        unknown = await client.post("/mcp", json=PING, headers=HEADERS)
        assert unknown.status_code == 401
        assert f'resource_metadata="http://localhost:8080{METADATA}"' in unknown.headers["WWW-Authenticate"]
        metadata = (await client.get(METADATA)).json()
    assert (metadata["resource"], metadata["authorization_servers"]) == (RESOURCE, [issuer.url])
    assert metadata["scopes_supported"] == [READ, WRITE, ADMIN]


async def test_a_token_is_valid_for_mcp_only(served: Served, issuer: Issuer) -> None:
    async with served.client(issuer.token()) as client:
        assert (await client.get("/api/v1/notifications")).status_code == 401


async def test_keys_stay_valid_alongside_tokens(served: Served) -> None:
    assert "send_notification" in await tools(served, OPERATOR)


async def test_while_the_issuer_is_unreachable_the_response_is_503(serve: Serve) -> None:
    served = await serve(CERTCTL_OAUTH_ISSUER="http://127.0.0.1:9", CERTCTL_OAUTH_RESOURCE=RESOURCE)
    token = jwt.encode({"iss": "x"}, ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": "k1"})
    async with served.client(token) as client:
        unavailable = await client.post("/mcp", json=PING, headers=HEADERS)
    assert (unavailable.status_code, unavailable.headers["Retry-After"]) == (503, "5")
