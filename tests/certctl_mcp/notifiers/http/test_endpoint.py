"""Protection against misbehaving receivers, shared by all HTTP channels."""

import asyncio
import gzip
import ssl
from datetime import timedelta

import pytest
import trustme

from certctl_mcp.notifiers.base import DeliveryFailedError
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.http.endpoint import Endpoint
from tests.builders import NOON, SettableClock
from tests.certctl_mcp.notifiers.receiver import Receiver, serve
from tests.certctl_mcp.notifiers.scripted_server import FOREVER, Conversation, serving, silence


def endpoint(client: HttpClient, url: str, *confidential: str) -> Endpoint:
    return Endpoint(client, url, confidential)


async def post(endpoint: Endpoint) -> None:
    await endpoint.post(b'{"a": 1}', {"X-Key": "k"})


async def refusal(endpoint: Endpoint) -> DeliveryFailedError:
    with pytest.raises(DeliveryFailedError) as caught:
        await post(endpoint)
    return caught.value


def responding_with(answer: bytes) -> Conversation:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        await asyncio.sleep(FOREVER)

    return conversation


async def test_the_body_arrives_unchanged_with_the_headers_of_endpoint_and_post(
    client: HttpClient, receiver: Receiver
) -> None:
    await Endpoint(client, receiver.url, (), headers={"X-Fixed": "f"}).post(b'{"a": 1}', {"X-Key": "k"})
    assert receiver.only.body == b'{"a": 1}'
    expected = {"Content-Type": "application/json", "X-Fixed": "f", "X-Key": "k"}
    assert expected.items() <= dict(receiver.only.headers).items()


@pytest.mark.parametrize("url", ["?sig=a%2Fb%3D&x=%7Ey", "a%2Fb/c", "a?b=c+d"])
async def test_the_url_is_requested_as_written(client: HttpClient, receiver: Receiver, url: str) -> None:
    await post(endpoint(client, receiver.url + url))
    assert receiver.only.path == f"/{url}"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
async def test_any_2xx_is_a_success(client: HttpClient, receiver: Receiver, status: int) -> None:
    receiver.status = status
    await post(endpoint(client, receiver.url))


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        *((status, False) for status in (300, 304, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409)),
        *((status, False) for status in (410, 411, 412)),
        (413, True),
        *((status, False) for status in (414, 415, 418, 421, 422, 423, 425, 426, 428, 429, 431, 451)),
        *((status, False) for status in (500, 501, 502, 503, 504, 507, 508, 511, 520, 599)),
    ],
)
async def test_every_other_status_is_a_failure_and_few_are_permanent(
    client: HttpClient, receiver: Receiver, status: int, permanent: bool
) -> None:
    receiver.status = status
    failure = await refusal(endpoint(client, receiver.url))
    assert failure.permanent is permanent
    assert str(failure).startswith(f"{receiver.host} answered {status}")


async def test_a_failure_shows_the_status_and_the_response_on_one_line(
    client: HttpClient, receiver: Receiver
) -> None:
    receiver.status, receiver.body = 404, "channel_not_found\n  \x1b[31mno such\u202e channel"
    failure = await refusal(endpoint(client, receiver.url))
    assert str(failure) == f"{receiver.host} answered 404 Not Found: channel_not_found [31mno such channel"


async def test_an_error_page_is_reduced_to_its_text(client: HttpClient, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 502, {"Content-Type": "text/html; charset=utf-8"}
    receiver.body = "<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"
    failure = await refusal(endpoint(client, receiver.url))
    assert str(failure).endswith("answered 502 Bad Gateway: 502 Bad Gateway nginx")


async def test_a_long_response_is_truncated(client: HttpClient, receiver: Receiver) -> None:
    receiver.status, receiver.body = 500, "x" * 100_000
    failure = await refusal(endpoint(client, receiver.url))
    assert str(failure).endswith("x" * 500 + "...")


async def test_no_partial_secret_survives_truncation(client: HttpClient, receiver: Receiver) -> None:
    receiver.status, receiver.body = 500, "." * 490 + "correct-horse-battery"
    failure = await refusal(endpoint(client, receiver.url, "correct-horse-battery"))
    assert "correct" not in str(failure)


async def test_a_compressed_response_is_not_decompressed(client: HttpClient) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    head = f"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    async with serving(responding_with(head.encode() + bomb)) as address:
        failure = await refusal(endpoint(client, f"http://{address}/"))
    assert str(failure) == f"{address} answered 500 Internal Server Error"


async def test_an_endless_response_is_abandoned(client: HttpClient) -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 No\r\n\r\n")
        while True:
            writer.write(b"z" * 65_536)
            await writer.drain()

    async with serving(pour) as address:
        failure = await refusal(endpoint(client, f"http://{address}/"))
    assert str(failure).startswith(f"{address} answered 503 Service Unavailable: zzz")


@pytest.mark.parametrize(("status", "delivered"), [(200, True), (500, False)])
async def test_the_status_counts_even_if_the_body_never_arrives(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch, status: int, delivered: bool
) -> None:
    monkeypatch.setattr("certctl_mcp.notifiers.http.endpoint._BODY_SECONDS", 0.02)
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 100\r\n\r\nbusy"
    async with serving(responding_with(head.encode())) as address:
        if delivered:
            await post(endpoint(client, f"http://{address}/"))
        else:
            failure = await refusal(endpoint(client, f"http://{address}/"))
            assert str(failure) == f"{address} answered 500 Internal Server Error: busy"


async def test_a_connection_is_reused_for_many_posts(client: HttpClient) -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b'{"a": 1}'):
            # The body arrives separately, as it does behind many proxies.
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            await writer.drain()
            writer.write(b"ok")

    async with serving(count) as address:
        for _ in range(3):
            await post(endpoint(client, f"http://{address}/"))
    assert connections == 1


@pytest.mark.parametrize("status", [200, 429, 500, 503])
async def test_retry_after_is_read_from_a_failure_in_seconds_or_as_a_date(
    client: HttpClient, clock: SettableClock, receiver: Receiver, status: int
) -> None:
    receiver.status, receiver.headers = status, {"Retry-After": "90"}
    if status == 200:
        await post(endpoint(client, receiver.url))
        return
    assert (await refusal(endpoint(client, receiver.url))).retry_after == timedelta(seconds=90)
    receiver.headers = {"Retry-After": "Thu, 01 Jan 2026 12:05:00 GMT"}
    assert clock.now == NOON
    assert (await refusal(endpoint(client, receiver.url))).retry_after == timedelta(minutes=5)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_to_another_host_is_followed(
    client: HttpClient, receiver: Receiver, status: int
) -> None:
    async with serve() as other:
        receiver.status, receiver.headers = status, {"Location": f"{other.url}secret-path"}
        failure = await refusal(endpoint(client, receiver.url))
        assert other.received == []
    assert str(failure) == f"{receiver.host} redirected to {other.host}, which is not followed"
    assert not failure.permanent


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_within_the_host_repeats_the_post(
    client: HttpClient, receiver: Receiver, status: int
) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for head in (f"{status} Onward\r\nLocation: /new", "200 OK"):
            bodies.append(await reader.readuntil(b'{"a": 1}'))
            writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode())

    bodies: list[bytes] = []
    async with serving(once) as address:
        await post(endpoint(client, f"http://{address}/old"))
    assert [body.partition(b" HTTP")[0] for body in bodies] == [b"POST /old", b"POST /new"]


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_that_would_drop_the_body_is_a_failure(
    client: HttpClient, receiver: Receiver, status: int
) -> None:
    receiver.status, receiver.headers = status, {"Location": "/new"}
    failure = await refusal(endpoint(client, receiver.url))
    assert str(failure) == f"{receiver.host} redirected with {status}, which can't repeat a POST"
    assert len(receiver.received) == 1


async def test_a_redirect_to_another_scheme_shows_both(client: HttpClient, receiver: Receiver) -> None:
    host = receiver.host.partition(":")[0]
    receiver.status, receiver.headers = 308, {"Location": f"https://{host}/secret-path"}
    failure = await refusal(endpoint(client, receiver.url))
    assert str(failure) == f"http://{receiver.host} redirected to https://{host}, which is not followed"


async def test_a_post_on_a_connection_closed_meanwhile_is_repeated_at_once(client: HttpClient) -> None:
    served = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b'{"a": 1}')
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        served += 1
        # The next post is sent on this connection and finds it closed.
        await reader.readuntil(b'{"a": 1}')
        writer.transport.abort()

    async with serving(once) as address:
        for _ in range(3):
            await post(endpoint(client, f"http://{address}/"))
    assert served == 3


async def test_a_post_on_a_new_connection_is_not_repeated(client: HttpClient) -> None:
    requests = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b'{"a": 1}')
        requests += 1
        writer.transport.abort()

    async with serving(hang_up) as address:
        await refusal(endpoint(client, f"http://{address}/"))
    assert requests == 1


async def test_a_redirect_loop_ends(client: HttpClient, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 308, {"Location": "/"}
    failure = await refusal(endpoint(client, receiver.url))
    assert str(failure) == f"{receiver.host} redirected more than 3 times"


@pytest.mark.parametrize("location", ["http://[", "//", "mailto:a@b", "http://h:99999/"])
async def test_a_redirect_to_an_invalid_url_is_a_failure(
    client: HttpClient, receiver: Receiver, location: str
) -> None:
    receiver.status, receiver.headers = 308, {"Location": location}
    assert "redirected" in str(await refusal(endpoint(client, receiver.url)))


async def test_a_refused_connection_shows_host_and_port_but_not_the_path(
    client: HttpClient, closed_port: int
) -> None:
    failure = await refusal(endpoint(client, f"http://127.0.0.1:{closed_port}/T0/B0/hidden"))
    assert str(failure) == f"the connection to 127.0.0.1:{closed_port} failed: Connection refused"


async def test_an_unresolvable_name_is_reported(client: HttpClient) -> None:
    failure = await refusal(endpoint(client, "https://nowhere.invalid/hidden"))
    assert str(failure).startswith("the name of nowhere.invalid:443 could not be resolved: ")


async def test_an_untrusted_certificate_is_reported(client: HttpClient) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with serving(silence, tls) as address:
        failure = await refusal(endpoint(client, f"https://{address}/hidden"))
    assert str(failure).startswith(f"the TLS certificate of {address} is not trusted: ")
    assert "unable to get local issuer certificate" in str(failure)


async def test_a_receiver_without_tls_is_reported(client: HttpClient, receiver: Receiver) -> None:
    failure = await refusal(endpoint(client, receiver.url.replace("http:", "https:")))
    assert str(failure).startswith(f"TLS with {receiver.host} failed: ")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n", "answered something that is not HTTP"),
        (b"HTTP/1.1 2 OK\r\n\r\n", "answered something that is not HTTP"),
    ],
)
async def test_a_response_that_is_not_http_is_reported(
    client: HttpClient, answer: bytes, sentence: str
) -> None:
    async with serving(responding_with(answer)) as address:
        failure = await refusal(endpoint(client, f"http://{address}/hidden"))
    assert str(failure) == f"{address} {sentence}"


async def test_a_connection_closed_without_a_response_is_reported(client: HttpClient) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b'{"a": 1}')
        writer.close()
        await writer.wait_closed()

    async with serving(hang_up) as address:
        failure = await refusal(endpoint(client, f"http://{address}/hidden"))
    assert str(failure) == f"{address} closed the connection without an answer"


@pytest.mark.parametrize(
    ("scheme", "sentence"),
    [
        ("http", "no answer from {} within 0.05 s"),
        # The handshake is part of connecting.
        ("https", "no connection to {} within 0.02 s"),
    ],
)
async def test_a_silent_receiver_causes_the_matching_timeout(scheme: str, sentence: str) -> None:
    client = HttpClient(
        connections=1,
        connect_timeout=timedelta(milliseconds=20),
        send_timeout=timedelta(milliseconds=50),
    )
    async with serving(silence) as address:
        failure = await refusal(endpoint(client, f"{scheme}://{address}/hidden"))
        await client.aclose()
    assert str(failure) == sentence.format(address)


async def test_a_cancelled_post_closes_its_connection(client: HttpClient) -> None:
    connected, closed = asyncio.Event(), asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b'{"a": 1}')
        connected.set()
        assert await reader.read() == b""
        closed.set()

    async with serving(watch) as address:
        sending = asyncio.create_task(post(endpoint(client, f"http://{address}/")))
        await connected.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(closed.wait(), FOREVER)


async def test_cookies_are_not_kept(client: HttpClient, receiver: Receiver) -> None:
    receiver.headers = {"Set-Cookie": "session=1"}
    for _ in range(2):
        await post(endpoint(client, receiver.url))
    assert "Cookie" not in receiver.received[1].headers
