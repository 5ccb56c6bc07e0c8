from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from certctl_mcp.config.destinations import (
    Channel,
    EmailDestination,
    NetworkDestination,
    PluginDestination,
    WebhookDestination,
)

HIDDEN = "correct-horse"


def refusal(**settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Channel.model_validate({"name": "c", "destination": settings})
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        HIDDEN,
        f"ftp://{HIDDEN}.example/",
        f"//{HIDDEN}",
        f"https:///{HIDDEN}",
        f"https://h/{HIDDEN} x",
        f"https://h/{HIDDEN}\r\nX: 1",
        f"https://h/{HIDDEN}ü",
        f"https://h:99999/{HIDDEN}",
        f"https://h:{HIDDEN}/",
        f"https://h:0/{HIDDEN}",
        f"https://[{HIDDEN}/",
    ],
)
def test_an_unusable_url_is_refused_without_showing_it(url: str) -> None:
    for settings in ({"kind": "webhook", "url": url}, {"kind": "slack", "webhook_url": url}):
        message = refusal(**settings)
        assert "must be a URL" in message
        assert HIDDEN not in message


@pytest.mark.parametrize(
    "url", [f"https://a%3Ab:{HIDDEN}@h/", f"https://a%3ab:{HIDDEN}@h/", f"https://%3A:{HIDDEN}@h/"]
)
def test_a_user_name_with_a_colon_is_refused_at_startup(url: str) -> None:
    for settings in ({"kind": "webhook", "url": url}, {"kind": "slack", "webhook_url": url}):
        message = refusal(**settings)
        assert "must have no colon in its user name" in message
        assert HIDDEN not in message
    Channel.model_validate({"name": "c", "destination": {"kind": "webhook", "url": "https://a%40b:%3A@h/"}})


@pytest.mark.parametrize(
    ("host", "ascii_host"),
    [
        ("straße.de", "xn--strae-oqa.de"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--strae-oqa.de", "xn--strae-oqa.de"),
    ],
)
def test_an_international_host_is_encoded_the_same_for_relays_and_receivers(
    host: str, ascii_host: str
) -> None:
    for settings, address in (
        ({"kind": "webhook", "url": f"https://u:p@{host}:8443/x"}, f"https://u:p@{ascii_host}:8443/x"),
        ({"kind": "teams", "webhook_url": f"https://{host}/x"}, f"https://{ascii_host}/x"),
        (
            {"kind": "pagerduty", "routing_key": "k", "api_url": f"https://{host}/x"},
            f"https://{ascii_host}/x",
        ),
        ({"kind": "email", "host": host, "from_address": "a@b"}, f"smtp://{ascii_host}:587"),
    ):
        destination = Channel.model_validate({"name": "c", "destination": settings}).destination
        assert isinstance(destination, NetworkDestination)
        assert destination.address == address


@pytest.mark.parametrize("host", ["\u200d.de", "a_ü.de", "-ü.de"])
def test_a_host_that_cannot_be_encoded_is_refused(host: str) -> None:
    assert "must be" in refusal(kind="webhook", url=f"https://{host}/")
    assert "must be a host name" in refusal(kind="email", host=host, from_address="a@b")


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\nY", "é", "Host", "content-length", "Webhook-Id"])
def test_an_invalid_or_reserved_header_is_refused(name: str) -> None:
    assert "headers" in refusal(kind="webhook", url="https://h/", headers={name: "x"})


def test_credentials_in_two_places_are_refused() -> None:
    message = refusal(kind="webhook", url="https://u:p@h/", headers={"authorization": "Bearer x"})
    assert "give the credentials in url or in headers, not in both" in message


def test_a_header_of_several_lines_is_refused_without_showing_it() -> None:
    message = refusal(kind="webhook", url="https://h/", headers={"X-Key": f"{HIDDEN}\r\nX: 1"})
    assert "must be one line" in message
    assert HIDDEN not in message


@pytest.mark.parametrize("secret", ["", "whsec_", f"whsec_{HIDDEN}!"])
def test_a_signing_secret_without_a_key_is_refused_without_showing_it(secret: str) -> None:
    message = refusal(kind="webhook", url="https://h/", secrets=[secret])
    assert "must" in message
    assert HIDDEN not in message


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_MDEyMzQ1", b"012345"),
        ("MDEyMzQ1", b"012345"),
        ("whsec_MDEyMw", b"0123"),
        ("correct, horse", b"correct, horse"),
    ],
)
def test_a_signing_secret_is_decoded_as_in_receivers_libraries(secret: str, key: bytes) -> None:
    webhook = WebhookDestination.model_validate({"url": "https://h/", "secrets": [secret]})
    assert webhook.signing_keys == (key,)


@pytest.mark.parametrize("address", ["", "alerts", "a@b\r\nBcc: c@d", "a b@c", "a@b@c", "A <a@b>\n"])
def test_a_sender_that_is_not_an_address_is_refused(address: str) -> None:
    message = refusal(kind="email", host="h", from_address=address)
    assert "must be an address such as" in message


@pytest.mark.parametrize("address", ["alerts@example.com", "Certificate alerts <alerts@example.com>"])
def test_a_sender_can_have_a_display_name(address: str) -> None:
    assert EmailDestination.model_validate({"host": "h", "from_address": address}).from_address == address


@pytest.mark.parametrize(
    ("port", "security", "meant"),
    [
        (587, True, "starttls"),
        (465, True, "tls"),
        (25, "true", "starttls"),
        (25, False, "none"),
        (465, "off", "none"),
        (465, "STARTTLS", "starttls"),
    ],
)
def test_a_boolean_security_selects_the_usual_tls_mode_of_the_port(
    port: int, security: object, meant: str
) -> None:
    given = {"host": "h", "from_address": "a@b", "port": port, "security": security}
    assert EmailDestination.model_validate(given).security == meant


@pytest.mark.parametrize("url", [HIDDEN, "://x", "1a://x"])
def test_an_invalid_apprise_url_is_refused_without_showing_it(url: str) -> None:
    message = refusal(kind="apprise", url=url)
    assert "must be an Apprise URL" in message
    assert HIDDEN not in message


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ({"kind": "pagerduty", "routing_key": HIDDEN}, HIDDEN),
        ({"kind": "opsgenie", "api_key": HIDDEN}, HIDDEN),
        ({"kind": "apprise", "url": f"tgram://{HIDDEN}/1"}, HIDDEN),
        ({"kind": "webhook", "url": "https://h/", "headers": {"X-Key": HIDDEN}}, HIDDEN),
        ({"kind": "webhook", "url": f"https://u:{HIDDEN}@h/"}, HIDDEN),
        ({"kind": "plugin", "notifier": "x", "options": {"api_token": HIDDEN}}, HIDDEN),
        (
            {"kind": "email", "host": "h", "from_address": "a@b", "username": "u", "password": HIDDEN},
            HIDDEN,
        ),
    ],
)
def test_a_secret_is_confidential_and_not_in_the_description(settings: dict[str, Any], secret: str) -> None:
    destination = Channel.model_validate({"name": "c", "destination": settings}).destination
    assert secret in destination.confidential
    assert secret not in destination.description


def test_an_option_that_is_not_secret_can_be_shown() -> None:
    options = {"room": "operations", "level": 3}
    destination = PluginDestination.model_validate({"notifier": "x", "options": options})
    assert destination.confidential == ()


def test_only_email_can_take_longer_than_the_send_timeout() -> None:
    mail = {"kind": "email", "host": "relay.example.com", "from_address": "a@example.com"}
    slack = {"kind": "slack", "webhook_url": "https://hooks.slack.com/services/x"}
    timeout = timedelta(seconds=0.3)
    slow = Channel.model_validate({"name": "Email", "destination": mail | {"data_timeout": "5s"}})
    assert slow.longest_attempt(timeout) >= timedelta(seconds=5.3)
    assert Channel.model_validate({"name": "S", "destination": slack}).longest_attempt(timeout) == timeout
