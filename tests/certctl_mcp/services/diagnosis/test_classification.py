"""Each sentence that can be stored as an error has the kind assigned by the code that writes it."""

import socket
import ssl
import time
from collections.abc import Sequence

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPConnectResponseError,
    SMTPConnectTimeoutError,
    SMTPDataError,
    SMTPException,
    SMTPReadTimeoutError,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)
from hypothesis import given
from hypothesis import strategies as st

from certctl_mcp.delivery.attempt import BROKEN_OFF
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.http import failures as http_failures
from certctl_mcp.notifiers.http.response import HttpResponse
from certctl_mcp.notifiers.recipients import MalformedRecipientError, parse_recipients
from certctl_mcp.notifiers.smtp import failures as smtp_failures
from certctl_mcp.services.diagnosis.classification import classify, common_sentence, http_status
from certctl_mcp.services.diagnosis.kinds import REMEDIES

KEY = ConnectionKey("hooks.example.com", 443, True, True, None, None, None)
RELAY = "mail.example.com:587"

REFUSED = ConnectionRefusedError(111, "Connection refused")
UNKNOWN_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
NOT_TRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed")
NOT_TRUSTED.verify_message = "self-signed certificate"
NO_TLS = ssl.SSLError(1, "wrong version number")

HTTP_FAILURES: list[tuple[Exception, FailureKind]] = [
    (aiohttp.ClientConnectorCertificateError(KEY, NOT_TRUSTED), FailureKind.TLS),
    (aiohttp.ClientConnectorSSLError(KEY, NO_TLS), FailureKind.TLS),
    (aiohttp.ClientProxyConnectionError(KEY, REFUSED), FailureKind.PROXY),
    (aiohttp.ClientHttpProxyError(None, (), status=407), FailureKind.PROXY),  # type: ignore[arg-type]
    (aiohttp.ClientConnectorDNSError(KEY, UNKNOWN_NAME), FailureKind.DNS),
    (aiohttp.ClientConnectorError(KEY, REFUSED), FailureKind.CONNECTION),
    (aiohttp.ClientConnectorError(KEY, OSError(110, "Connection timed out")), FailureKind.TIMEOUT),
    (aiohttp.ConnectionTimeoutError(), FailureKind.TIMEOUT),
    (TimeoutError(), FailureKind.TIMEOUT),
    (aiohttp.ServerDisconnectedError(), FailureKind.CONNECTION),
    (ConnectionResetError(104, "Connection reset by peer"), FailureKind.CONNECTION),
    (aiohttp.ClientResponseError(None, ()), FailureKind.SETUP),  # type: ignore[arg-type]
    (aiohttp.ClientPayloadError(), FailureKind.UNKNOWN),
    (aiohttp.ClientHttpProxyError(None, (), status=502), FailureKind.PROXY),  # type: ignore[arg-type]
    (aiohttp.ClientProxyConnectionError(KEY, REFUSED), FailureKind.PROXY),
]

SMTP_FAILURES: list[tuple[Exception, FailureKind]] = [
    (SMTPAuthenticationError(535, "5.7.8 bad credentials"), FailureKind.CREDENTIALS),
    (SMTPSenderRefused(550, "not your domain", "certs@example.com"), FailureKind.SENDER),
    (SMTPSenderRefused(530, "5.7.0 authentication required", "certs@example.com"), FailureKind.CREDENTIALS),
    (SMTPSenderRefused(451, "try later", "certs@example.com"), FailureKind.OUTAGE),
    (SMTPDataError(552, "too large"), FailureKind.REFUSED),
    (SMTPDataError(451, "local error"), FailureKind.OUTAGE),
    (SMTPConnectResponseError(554, "no service for you"), FailureKind.SENDER),
    (SMTPConnectResponseError(421, "too busy"), FailureKind.OUTAGE),
    (SMTPConnectTimeoutError(""), FailureKind.TIMEOUT),
    (SMTPReadTimeoutError(""), FailureKind.TIMEOUT),
    (TimeoutError(), FailureKind.TIMEOUT),
    (SMTPServerDisconnected("gone"), FailureKind.CONNECTION),
    (SMTPResponseException(550, "who are you"), FailureKind.SENDER),
    (SMTPResponseException(421, "closing"), FailureKind.OUTAGE),
    (SMTPResponseException(-1, "garbage"), FailureKind.SETUP),
    (NOT_TRUSTED, FailureKind.TLS),
    (NO_TLS, FailureKind.TLS),
    (SMTPConnectError(""), FailureKind.CONNECTION),
    (REFUSED, FailureKind.CONNECTION),
    (UNKNOWN_NAME, FailureKind.DNS),
    (SMTPException("STARTTLS is not supported"), FailureKind.SETUP),
    (
        SMTPRecipientsRefused([SMTPRecipientRefused(550, "no such user", "ada@example.com")]),
        FailureKind.RECIPIENT,
    ),
]

FATES = {
    FailureKind.CREDENTIALS: {401, 402, 403, 407},
    FailureKind.GONE: {*range(300, 400), 404, 405, 410},
    FailureKind.TIMEOUT: {408, 504},
    FailureKind.RATE_LIMITED: {425, 429},
    FailureKind.REFUSED: {413},
    FailureKind.REQUEST: {400, 406, 411, 414, 415, 422, 431},
    FailureKind.OUTAGE: {421, *range(500, 504), *range(505, 531), *range(560, 600)},
}


def by_type(failure: tuple[Exception, FailureKind]) -> str:
    return f"{type(failure[0]).__name__}-{failure[1]}"


@pytest.mark.parametrize("failure", HTTP_FAILURES, ids=by_type)
def test_http_requests_without_a_response(failure: tuple[Exception, FailureKind]) -> None:
    error, kind = failure
    sentence, decided = http_failures.explain(
        error, "hooks.example.com:443", http_failures.Timeouts(10, 30), "proxy.example.com:3128"
    )
    assert classify(sentence) is kind, sentence
    assert kind in (decided, FailureKind.TIMEOUT)


@pytest.mark.parametrize("failure", SMTP_FAILURES, ids=by_type)
def test_refused_emails(failure: tuple[Exception, FailureKind]) -> None:
    error, kind = failure
    refused = smtp_failures.session_failed(error, RELAY, (), connect=10, total=30)
    assert refused.kind is kind
    assert classify(str(refused)) is kind, refused


def first_fitting(error: BaseException, sentences: Sequence[tuple[type[Exception], str, object]]) -> str:
    return next(sentence for kind, sentence, _ in sentences if isinstance(error, kind))


def test_every_sentence_of_the_notifiers_is_tested_here() -> None:
    http, smtp = http_failures._SENTENCES, smtp_failures._SENTENCES
    assert {first_fitting(error, http) for error, _ in HTTP_FAILURES} == {sentence for _, sentence, _ in http}
    mails = [error for error, _ in SMTP_FAILURES if not isinstance(error, SMTPRecipientsRefused)]
    assert {first_fitting(error, smtp) for error in mails} == {sentence for _, sentence, _ in smtp}


@pytest.mark.parametrize(
    ("status", "kind"), [(status, kind) for kind, statuses in FATES.items() for status in sorted(statuses)]
)
def test_http_statuses(status: int, kind: FailureKind) -> None:
    answer = HttpResponse(status, "text/plain", body=b"answered 401, refused the login: 535")
    for host in ("hooks.example.com", "127.0.0.1:8080"):
        failure = answer.failure(host, ())
        assert failure.kind is kind
        assert classify(str(failure)) is kind


@pytest.mark.parametrize("recipient", ["", "nobody", "'; drop", "a@b@c", "ada, nobody", "\n\t@"])
def test_a_malformed_recipient(recipient: str) -> None:
    with pytest.raises(MalformedRecipientError) as malformed:
        parse_recipients(recipient)
    assert classify(str(malformed.value)) is FailureKind.RECIPIENT


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("slack: webhook returned HTTP 403: invalid_token", FailureKind.CREDENTIALS),
        ("pagerduty: API returned HTTP 429: ", FailureKind.RATE_LIMITED),
        ("opsgenie: API returned HTTP 422: {}", FailureKind.REQUEST),
        ("slack: webhook returned HTTP 400: no_text", FailureKind.REFUSED),
        ("pagerduty: API returned HTTP 400: Length of 'routing_key' is incorrect", FailureKind.CREDENTIALS),
        (
            "failed to send event via webhook: webhook returned status 503: HTTP 401",
            FailureKind.OUTAGE,
        ),
        (
            'teams: request failed: Post "https://x.example/a": dial tcp: lookup x.example: no such host',
            FailureKind.DNS,
        ),
        (
            'slack: request failed: Post "https://x": dial tcp: lookup x on 10.0.0.1:53: i/o timeout',
            FailureKind.DNS,
        ),
        (
            'slack: request failed: Post "https://x": context deadline exceeded '
            "(Client.Timeout exceeded while awaiting headers)",
            FailureKind.TIMEOUT,
        ),
        (
            'failed to send webhook request: Post "https://x": net/http: TLS handshake timeout',
            FailureKind.TIMEOUT,
        ),
        (
            'failed to send webhook request: Post "https://x": tls: failed to verify certificate: x509: '
            "certificate signed by unknown authority",
            FailureKind.TLS,
        ),
        ('slack: request failed: Post "https://x": EOF', FailureKind.CONNECTION),
        ('slack: request failed: Post "https://x": something new', FailureKind.CONNECTION),
        (
            "failed to send alert email: failed to connect: dial tcp 192.0.2.1:587: connect: "
            "connection refused",
            FailureKind.CONNECTION,
        ),
        (
            "failed to send event email: SMTP authentication failed: 535 5.7.8 bad credentials",
            FailureKind.CREDENTIALS,
        ),
        ("failed to send event email: failed to set sender: 550 not yours", FailureKind.SENDER),
        ("failed to send event email: failed to set recipient: 550 no such user", FailureKind.RECIPIENT),
        (
            "failed to send event email: failed to set recipient: 550 5.7.1 no relay",
            FailureKind.SENDER,
        ),
        ("email: recipient address is required", FailureKind.RECIPIENT),
        ("failed to send event email: failed to write message: 552 too large", FailureKind.REFUSED),
        ("failed to send event email: failed to get data writer: 451 local error", FailureKind.OUTAGE),
        ("failed to send event email: failed to create SMTP client: 554 no service", FailureKind.SENDER),
        ("webhook url rejected: url host resolves to a reserved address", FailureKind.SETUP),
    ],
)
def test_errors_written_by_certctls_server(error: str, kind: FailureKind) -> None:
    assert classify(error) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("Apprise could not deliver: Failed to send ntfy: Unauthorized, error=401.", FailureKind.CREDENTIALS),
        ("Apprise could not deliver: A Connection error occurred sending ntfy", FailureKind.CONNECTION),
        ("Apprise could not deliver: it does not say why", FailureKind.UNKNOWN),
        ("the fax gateway says: Too Many Requests", FailureKind.RATE_LIMITED),
        ("Invalid API key", FailureKind.CREDENTIALS),
        ("the paper is out", FailureKind.UNKNOWN),
        ("", FailureKind.UNKNOWN),
        (None, FailureKind.UNKNOWN),
    ],
)
def test_errors_of_libraries_and_other_packages(error: str | None, kind: FailureKind) -> None:
    assert classify(error) is kind


def test_interrupted_attempts() -> None:
    assert classify(BROKEN_OFF) is FailureKind.ABANDONED
    stored_earlier = "broken off before it was answered: the server was told to stop"
    assert classify(stored_earlier) is FailureKind.ABANDONED


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("hooks.example.com answered 503 Service Unavailable: HTTP 401", 503),
        ("HTTP 404", 404),
        ("failed to send event via webhook: webhook returned status 410: gone", 410),
        (f"{RELAY} answered 550 who are you", None),
        ("no answer from hooks.example.com within 30 s: HTTP 503", None),
        (None, None),
    ],
)
def test_the_status_of_an_http_response(error: str | None, status: int | None) -> None:
    assert http_status(error) == status


OPENINGS = {
    "hooks.example.com answered 401 Unauthorized: ": FailureKind.CREDENTIALS,
    "hooks.example.com answered 503 Service Unavailable: ": FailureKind.OUTAGE,
    f"{RELAY} refused the login: ": FailureKind.CREDENTIALS,
    f"{RELAY} refused the sender: 550 ": FailureKind.SENDER,
    f"{RELAY} refused ada@example.com (550 5.1.1 ": FailureKind.RECIPIENT,
    f"{RELAY} took the mail for ada@x.example and refused bob@x.example (550 5.1.1 ": FailureKind.RECIPIENT,
    "slack: webhook returned HTTP 404: ": FailureKind.GONE,
}


@given(st.sampled_from(sorted(OPENINGS)), st.text() | st.sampled_from(sorted(OPENINGS)))
def test_the_receivers_own_text_does_not_affect_the_kind(opening: str, said: str) -> None:
    assert classify(opening + said) is OPENINGS[opening]


@given(st.sampled_from(sorted(OPENINGS)), st.lists(st.text(), min_size=1, max_size=3))
def test_the_search_text_of_an_error_excludes_addresses_and_the_receivers_text(
    opening: str, said: list[str]
) -> None:
    errors = [opening + each for each in said]
    sentence = common_sentence(errors)
    if sentence is None:
        assert "@" in opening
    else:
        assert sentence in opening
        assert all(sentence in error for error in errors)


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        (["a.example answered 503", "a.example answered 502 x"], "a.example answered"),
        (["a.example answered 503", "b.example answered 503"], None),
        (["a.example answered 503", None], None),
        (["a.example answered 503", "something else"], None),
        (["HTTP 503: upstream", "HTTP 503"], "HTTP 503"),
    ],
)
def test_the_search_text_of_a_varying_error_is_its_beginning(
    errors: list[str | None], sentence: str | None
) -> None:
    assert common_sentence(errors) == sentence


@given(st.text())
def test_any_text_has_a_kind(text: str) -> None:
    assert classify(text) in FailureKind


@pytest.mark.parametrize(
    ("error", "kind"),
    [(None, FailureKind.ABANDONED), ("", FailureKind.ABANDONED), ("HTTP 503", FailureKind.OUTAGE)],
)
def test_abandonment_decides_the_kind_only_if_the_error_does_not(
    error: str | None, kind: FailureKind
) -> None:
    assert classify(error, abandoned=True) is kind


def test_every_kind_has_a_cause_and_a_fix() -> None:
    assert set(REMEDIES) == set(FailureKind)
    assert all(remedy.cause and remedy.fix for remedy in REMEDIES.values())


@pytest.mark.parametrize("text", ["a " * 5000, "'" * 10_000, "lookup " * 2000, "refused @" * 2000])
def test_no_text_takes_long_to_classify(text: str) -> None:
    begun = time.perf_counter()
    for _ in range(10):
        classify(text)
    assert time.perf_counter() - begun < 1
