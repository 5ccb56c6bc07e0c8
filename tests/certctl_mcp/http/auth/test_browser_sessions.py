"""Browser sessions: a cookie that only the page can use, valid as long as its key."""

import base64
from datetime import timedelta

import pytest

from certctl_mcp.http.auth.browser_sessions import COOKIE, LIFETIME
from tests.builders import SettableClock
from tests.certctl_mcp.http.conftest import OPERATOR, READER, Serve, Served

SESSION = "/api/v1/auth/session"
CHECK = "/api/v1/auth/check"
PAGE = {"X-Requested-With": "certctl-page"}


async def signed_in(served: Served, key: str = OPERATOR, scheme: str = "http") -> str:
    """The Set-Cookie header for a key."""
    async with served.client(key) as client:
        response = await client.post(f"{scheme}://localhost:8080{SESSION}")
    assert response.status_code == 204
    return str(response.headers["Set-Cookie"])


def value_of(set_cookie: str) -> str:
    return set_cookie.partition(";")[0].partition("=")[2]


async def status(served: Served, cookie: str, **headers: str) -> int:
    async with served.client(**headers) as client:
        given = {b"Cookie": f"{COOKIE}={cookie}".encode("latin-1")}
        return (await client.get(CHECK, headers=given)).status_code


async def test_the_cookie_authenticates_as_the_key_and_does_not_contain_it(served: Served) -> None:
    set_cookie = await signed_in(served, READER)
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={int(LIFETIME.total_seconds())}"):
        assert attribute in set_cookie
    assert "Secure" not in set_cookie
    assert "Secure" in await signed_in(served, READER, "https")
    for hidden in (READER, base64.b64encode(READER.encode()).decode()):
        assert hidden not in set_cookie
    async with served.client(Cookie=f"{COOKIE}={value_of(set_cookie)}", **PAGE) as client:
        known = (await client.get(CHECK)).json()
    assert (known["user"], known["read_only"]) == ("rita", True)


async def test_only_requests_of_the_page_itself_can_use_the_cookie(served: Served) -> None:
    cookie = value_of(await signed_in(served))
    assert await status(served, cookie, **PAGE) == 200
    assert await status(served, cookie, **PAGE, Origin="http://localhost:8080") == 200
    # As sent by a form or link of another site, or by a page of the same host on another port.
    assert await status(served, cookie) == 401
    assert await status(served, cookie, **PAGE, Origin="http://localhost:9999") == 403


async def test_an_allowed_origin_can_use_a_key_but_not_the_cookie(serve: Serve) -> None:
    served = await serve(
        CERTCTL_API_KEYS_NAMED=f"otto:{OPERATOR}", CERTCTL_CORS_ORIGINS="https://portal.example"
    )
    cookie = value_of(await signed_in(served))
    assert await status(served, cookie, **PAGE, Origin="https://portal.example") == 401


async def test_the_cookie_expires(served: Served, clock: SettableClock) -> None:
    cookie = value_of(await signed_in(served))
    clock.advance(LIFETIME - timedelta(seconds=1))
    assert await status(served, cookie, **PAGE) == 200
    clock.advance(timedelta(seconds=1))
    assert await status(served, cookie, **PAGE) == 401


async def test_a_session_survives_a_restart_and_ends_with_its_key(served: Served, serve: Serve) -> None:
    cookie = value_of(await signed_in(served))
    assert await status(await serve(CERTCTL_API_KEYS_NAMED=f"otto:{OPERATOR}"), cookie, **PAGE) == 200
    assert await status(await serve(CERTCTL_API_KEYS_NAMED="otto:another-key"), cookie, **PAGE) == 401


async def test_forged_cookies_are_refused_and_do_not_count_as_wrong_keys(served: Served) -> None:
    cookie = value_of(await signed_in(served))
    name, expires, signature = cookie.split(".")
    forged = (
        "",
        "otto",
        f"ada.{expires}.{signature}",
        f"{name}.{int(expires) + 1}.{signature}",
        f"{name}.{expires}.",
        f"{name}.²{expires}.{signature}",
        f"{name}.{'9' * 5000}.{signature}",
        f"{name}.{expires}.{signature}é",
        cookie.upper(),
    )
    for attempt in forged * 3:
        assert await status(served, attempt, **PAGE) == 401


@pytest.mark.parametrize("authorization", [None, "Bearer wrong-key"])
async def test_signing_in_requires_a_key(serve: Serve, authorization: str | None) -> None:
    served = await serve()
    headers = {} if authorization is None else {"Authorization": authorization}
    async with served.client(**headers) as client:
        assert (await client.post(SESSION)).status_code == 422


async def test_signing_out_removes_the_cookie(served: Served) -> None:
    cookie = value_of(await signed_in(served))
    async with served.client(Cookie=f"{COOKIE}={cookie}", **PAGE) as client:
        removed = (await client.delete(SESSION)).headers["Set-Cookie"]
    assert removed.startswith(f'{COOKIE}=""')
    assert "Max-Age=0" in removed
