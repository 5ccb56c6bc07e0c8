import html
import json
import re
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest

from certctl_mcp.text.decoding import decode_layers
from certctl_mcp.text.redaction import (
    MAX_ERROR_BYTES,
    redact,
    redact_beginning,
    redact_error,
    truncate,
    url_secrets,
)


@pytest.mark.parametrize(
    "form",
    [
        'p"s/w+d 1',
        "p%22s%2Fw%2Bd%201",
        "p%22s/w%2Bd%201",
        "p%22s%2Fw%2Bd+1",
        'p\\"s/w+d 1',
    ],
)
def test_a_known_secret_is_removed_in_any_form(form: str) -> None:
    assert redact(f"<{form}>", ['p"s/w+d 1']) == "<[redacted]>"


SECRET = "hunter2hunter2"
REVEALING = (
    f"https://certctl:{SECRET}@db.example.com/x",
    f"Authorization: Bearer {SECRET}",
    f'{{"Authorization": "Basic {SECRET}", "x": 1}}',
    f'{{"password": "{SECRET}", "x": 1}}',
    f"https://receiver.example/hook?a=1&token={SECRET}&b=2",
    f"https://hooks.slack.com/services/T0/B0/{SECRET}",
    f"sent whsec_{SECRET}, got 400",
)
DISGUISES: dict[str, Callable[[str], str]] = {
    "none": str,
    "a url": lambda text: quote(text, safe=""),
    "a url in small letters": lambda text: re.sub(
        "%..", lambda found: found[0].lower(), quote(text, safe="")
    ),
    "a url in a url": lambda text: quote(quote(text, safe=""), safe=""),
    "every letter in a url": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "json": lambda text: json.dumps(text),
    "json in json": lambda text: json.dumps(json.dumps({"body": text})),
    "every letter in json": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "html": lambda text: html.escape(text),
    "html in numbers": lambda text: re.sub(r"\W", lambda found: f"&#{ord(found[0])};", text),
    "html in hexadecimal numbers": lambda text: re.sub(r"\W", lambda found: f"&#x{ord(found[0]):X};", text),
    "html in json in a url": lambda text: quote(json.dumps(html.escape(text)), safe=""),
    "letters without width": lambda text: "\u200b".join(text),
    "letters without width in a url": lambda text: quote("\u2060".join(text)),
    "tags": lambda text: "\U000e0041".join(text),
    "variation selectors": lambda text: "".join(f"{letter}\ufe0f" for letter in text),
    "colours of a terminal": lambda text: "\x1b[31m".join(text),
    "colours of a terminal of eight bits": lambda text: "\x9b31m".join(text),
    "private letters": lambda text: "\ue000".join(text),
    "a text shown before": lambda text: "\\u{200b}".join(text),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("text", REVEALING)
def test_a_secret_is_removed_in_any_encoding(text: str, disguise: str) -> None:
    shown = redact(f"before {DISGUISES[disguise](text)} after")
    assert "[redacted]" in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    for reading in decode_layers(shown):
        assert SECRET not in reading.text


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_known_secret_is_removed_in_any_encoding(disguise: str) -> None:
    secret = 'correct horse, "battery" & <staple>'
    shown = redact(f"before {DISGUISES[disguise](secret)} after", [secret])
    assert "[redacted]" in shown
    assert all(secret not in reading.text for reading in decode_layers(shown))


def test_only_the_secret_is_removed_from_encoded_text() -> None:
    text = "redirected to https%3A%2F%2Freceiver.example%2Fhook%3Fa%3D1%26token%3Dabc%26b%3D2, 100%"
    assert redact(text) == text.replace("abc", "[redacted]")


def test_a_secret_known_in_encoded_form_is_removed_in_decoded_form_too() -> None:
    assert redact("signature a/b+c=", [quote("a/b+c=", safe="")]) == "signature [redacted]"


def test_secrets_contained_in_one_another_are_all_removed() -> None:
    assert redact("correct-horse-battery", ["horse", "correct-horse-battery"]) == "[redacted]"


def test_a_secret_as_short_as_a_word_leaves_the_text_readable() -> None:
    assert redact("a banana", ["a", "", "an"]) == "a banana"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://certctl:p%40ss@db:5432/x", "postgresql://[redacted]@db:5432/x"),
        ("http://u:p@ss@host/", "http://[redacted]@host/"),
        ("https://hooks.slack.com/services/T0/B0/x1", "https://hooks.slack.com/services/[redacted]"),
        ("https://discord.com/api/webhooks/1/x-1", "https://discord.com/api/webhooks/[redacted]"),
        ("https://a.webhook.office.com/webhookb2/x", "https://a.webhook.office.com/[redacted]"),
        ("https://api.telegram.org/bot12:AB-c/send", "https://api.telegram.org/bot[redacted]/send"),
        ("https://h/w?sp=1&sig=a%2Fb&x=2", "https://h/w?sp=1&sig=[redacted]&x=2"),
        ("?access_token=abc&key=def", "?access_token=[redacted]&key=[redacted]"),
        ("Authorization: Bearer abc.def", "Authorization: [redacted]"),
        ("authorization=GenieKey 12-34", "authorization=[redacted]"),
        ("{'Authorization': 'Basic dXNlcjpw', 'A': 'b'}", "{'Authorization': '[redacted]', 'A': 'b'}"),
        ("sent Bearer abcdef123", "sent Bearer [redacted]"),
        ("sent GenieKey eb243592-faa2", "sent GenieKey [redacted]"),
        ("sent Basic dXNlcjpwYXNz", "sent Basic [redacted]"),
        ("https://discord.com/api/v10/webhooks/1/x-1", "https://discord.com/api/v10/webhooks/[redacted]"),
        ("https://h/?apiToken=abc&x=1", "https://h/?apiToken=[redacted]&x=1"),
        ("AccountName=a;AccountKey=ab/c==;x", "AccountName=a;AccountKey=[redacted];x"),
        ("SharedAccessKey=abc; clientToken=abc", "SharedAccessKey=[redacted]; clientToken=[redacted]"),
        ("user=ada pass=hunter2", "user=ada pass=[redacted]"),
        ("answered dXNlcjpwYXNzd29yZA== to it", "answered [redacted] to it"),
        ("credentials YWRhOmNvcnJlY3QgaG9yc2U in a log", "credentials [redacted] in a log"),
        ("password=hunter2; next", "password=[redacted]; next"),
        ("Password: hunter2", "Password: [redacted]"),
        ("CERTCTL_SMTP_PASSWORD='a b' x", "CERTCTL_SMTP_PASSWORD='[redacted]' x"),
        ('{"password": "a\\"b", "x": 1}', '{"password": "[redacted]", "x": 1}'),
        ('"{\\"token\\": \\"abc\\", \\"x\\": 1}"', '"{\\"token\\": \\"[redacted]\\", \\"x\\": 1}"'),
        ('{"client_secret":"abc"}', '{"client_secret":"[redacted]"}'),
        ('{"password": "cut of', '{"password": "[redacted]'),
        ("api-key: abc", "api-key: [redacted]"),
        ("routing_key=R0", "routing_key=[redacted]"),
        ("signed with whsec_MDEy/+=", "signed with [redacted]"),
        ("X-Vault-Token: abc", "X-Vault-Token: [redacted]"),
        ("Cookie: sid=abc; theme=dark\nAccept: */*", "Cookie: [redacted]\nAccept: */*"),
        ("{'Set-Cookie': 'sid=abc; Path=/', 'A': 'b'}", "{'Set-Cookie': '[redacted]', 'A': 'b'}"),
        ("https://h/p?a=1&session_id=abc&b", "https://h/p?a=1&session_id=[redacted]&b"),
        ('Authorization: Digest username="x", response="abc"; next', "Authorization: [redacted]; next"),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=a/b, Signature=abc next",
            "Authorization: [redacted] next",
        ),
        ("password => abc", "password => [redacted]"),
        ("password := abc", "password := [redacted]"),
        (
            "run with --password abc --token 'a b' --verbose",
            "run with --password [redacted] --token '[redacted]' --verbose",
        ),
        (
            "https://events.pagerduty.com/integration/0123456789abcdef/enqueue",
            "https://events.pagerduty.com/integration/[redacted]/enqueue",
        ),
        ("https://chat.example/hooks/0123456789abcdefghij", "https://chat.example/hooks/[redacted]"),
        ("glpat-0123456789abcdef", "[redacted]"),
        ("sk_live_0123456789abcdef", "[redacted]"),
        ("sk-ant-api03-0123456789abcdef", "[redacted]"),
        ("SG.0123456789abcdef.0123456789abcdef", "[redacted]"),
        ("AIza" + "0123456789" * 3 + "abcde", "[redacted]"),
        ("xapp-1-A0-0123456789", "[redacted]"),
        ("npm_" + "0123456789" * 3, "[redacted]"),
        ("xoxb-1234-5678-abc", "[redacted]"),
        ("ghp_0123456789abcdefghij", "[redacted]"),
        ("github_pat_0123456789abcdefghij", "[redacted]"),
        ("id AKIAIOSFODNN7EXAMPLE.", "id [redacted]."),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_", "[redacted]"),
        (
            "a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- b",
            "a [redacted] b",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIE and the rest was cut", "[redacted]"),
    ],
)
def test_recognizable_secrets_are_removed(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "hooks.slack.com answered 404 Not Found: channel_not_found",
        "535 5.7.8 Authentication credentials invalid",
        "Basic authentication is required",
        "bearer token required",
        "unexpected token: <",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "certificate mc-api-prod expires on 2026-01-01T12:00:00Z",
        "see https://docs.example.com/a/b?page=2#top, or write to ada@example.com",
        "the monkey=banana, key: C major",
        "the notification certctl-mcp/internationalization took 0123456789abcdef0123456789abcdef bytes",
        "he passed the pass: none, turnkey=yes, and compass=north",
        "the cookie was refused, no token: sign in, see /hooks/ and --password",
        "see https://docs.example.com/webhooks/retries-and-timeouts, and npm_config_cache_directory",
        "",
    ],
)
def test_plain_words_are_kept(text: str) -> None:
    assert redact(text) == text


def test_redacting_twice_changes_nothing() -> None:
    once = redact("password=a Authorization: Bearer abcdefg https://u:p@h/ {'token': 'x'} whsec_abc")
    assert redact(once) == once


SLOWING = (
        "a", " ", "\n", "@", "://", "://a", "://@", "a@", "eyJ", "-eyJ", "eyJaaaaaaaaaa.", "password",
        "password=", "password='", 'password="', 'password="\\', '"', "\\", 'token"', "key=",
        "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "bearer ", "basic ", "basic a", "basic aaaaaaaaaaa",
        "authorization: ", "authorization:a ", "xoxb-", "ghp_", "whsec_", "AKIA",
        "hooks.slack.com/services/", "api.telegram.org/bot", "%20", "%25252525", "%c3", "\\u0041", "\\u{41}",
        "&amp;amp;", "\x1b[", "\x1b[0", "\u200b", "password%3D", "%3A%2F%2Fa%40", "correct-horse",
        "authorization:a=;", "authorization:a=&", "authorization:a,", 'authorization:a="', "pass=",
        "apitoken=", "dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNz", "api_", "---", "-----BEGIN PRIVATE KEY----- ",
        "-----END ",
        "cookie: ", "cookie='", "a-token: ", "authorization: a=b,", "a=b, ", 'a="', "--token ", "/hooks/",
        "sk-ant-", "SG.aaaaaaaaaaaaaaaa.", "SG.", "\x9b", "\x9b0",
)  # fmt: skip


def seconds_to_redact(text: str) -> float:
    began = time.process_time()
    redact(text, ["correct-horse", "aaaaaaaa"])
    return time.process_time() - began


@pytest.mark.parametrize("unit", SLOWING)
def test_redaction_takes_linear_time(unit: str) -> None:
    def growth() -> float:
        once, twice = (
            min(seconds_to_redact((unit * size)[:size]) for _ in range(2)) for size in (20_000, 40_000)
        )
        assert once < 0.5
        return twice / once

    # Another process may evict the processor's cache during the measurement.
    assert any(growth() < 2.5 for _ in range(4))


def test_redacting_a_megabyte_of_plain_text_is_fast() -> None:
    assert seconds_to_redact("the certificate of api.example.com expires soon; renew it. " * 17_000) < 0.5


def test_only_the_beginning_of_a_long_error_is_processed() -> None:
    error = "Authorization: Bearer abcdef123 " + "x" * 10_000_000
    began = time.process_time()
    shown = redact_error(error)
    assert time.process_time() - began < 0.5
    assert shown.startswith("Authorization: [redacted] xxx")
    assert shown.endswith("more bytes cut]")
    assert len(shown.encode()) <= MAX_ERROR_BYTES


def test_no_part_of_a_secret_cut_by_the_look_ahead_is_shown() -> None:
    secret = "password=" + "h" * 100
    text = f"{secret} " * 40
    assert "h" not in redact_beginning(text, 300).replace("[redacted]", "")


@pytest.mark.parametrize("text", ["", "short", "x" * MAX_ERROR_BYTES, "ü" * (MAX_ERROR_BYTES // 2)])
def test_text_that_fits_is_kept_whole(text: str) -> None:
    assert truncate(text) == text


@pytest.mark.parametrize("character", ["x", "ü", "日", "\U0001f512"])
@pytest.mark.parametrize("limit", [64, 65, 66, 67, MAX_ERROR_BYTES])
def test_longer_text_is_cut_between_characters_and_says_by_how_much(character: str, limit: int) -> None:
    text = character * 100_000
    cut = truncate(text, limit)
    kept = cut.rstrip("]").partition(" [")[0]
    assert len(cut.encode()) <= limit
    assert set(kept) == {character}
    assert cut == f"{kept} [{len(text.encode()) - len(kept.encode())} more bytes cut]"


@pytest.mark.parametrize("limit", [0, 1, 10])
def test_the_truncation_mark_is_within_the_limit_too(limit: int) -> None:
    assert len(truncate("x" * 1000, limit).encode()) <= limit


def test_the_secrets_of_a_url_are_its_credentials_and_tokens() -> None:
    found = url_secrets("https://user:correct@hooks.example.com/hook/0123456789abcdef?sig=horse%2B1&v=1")
    assert {"correct", "0123456789abcdef", "horse%2B1", "/hook/0123456789abcdef"} <= set(found)
    assert not {"hooks.example.com", "https", "hook"} & set(found)


def test_the_only_secret_of_a_url_without_a_path_is_the_url() -> None:
    assert url_secrets("https://hooks.example.com/") == ("https://hooks.example.com/",)
