"""Wrong HTTP settings prevent the start with one line each, and show no secret."""

from pathlib import Path

import pytest

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.settings import load_settings
from certctl_mcp.http.exposure import require_keys_beyond_loopback, warn_of_weak_keys
from tests.certctl_mcp.http.conftest import KEYS


def problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        load_settings(None, environ)
    return refused.value.problems


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("CERTCTL_SERVER_PORT", "http", "CERTCTL_SERVER_PORT='http': must be a whole number, at least 0 and"),
        ("CERTCTL_SERVER_PORT", "65536", "at most 65535"),
        ("CERTCTL_RATE_LIMIT_RPS", "0", "CERTCTL_RATE_LIMIT_RPS='0': must be a number, more than 0"),
        ("CERTCTL_MAX_BODY_SIZE", "1", "must be a whole number, at least 1024"),
        ("CERTCTL_CORS_ORIGINS", "*", "'*' is not an origin such as https://console.example.com"),
        ("CERTCTL_OAUTH_ISSUER", "http://issuer.example", "must be a URL that begins with https://"),
        ("CERTCTL_OAUTH_ISSUER", "https://issuer.example", "CERTCTL_OAUTH_ISSUER and CERTCTL_OAUTH_RESOURCE"),
        ("CERTCTL_OAUTH_JWKS_URL", "https://issuer.example/k", "CERTCTL_OAUTH_JWKS_URL needs"),
        (
            "CERTCTL_SERVER_TLS_KEY_PATH",
            "/key.pem",
            "CERTCTL_SERVER_TLS_CERT_PATH and CERTCTL_SERVER_TLS_KEY_PATH go together: set both or neither",
        ),
        ("CERTCTL_API_KEYS_NAMED", "sesame", "CERTCTL_API_KEYS_NAMED (value not shown): entry 1 must be"),
        ("CERTCTL_API_KEYS_NAMED", ",", "must hold a key"),
        ("CERTCTL_API_KEYS_NAMED", "ada:x", "the key of ada is too short: at least 8 characters"),
        ("CERTCTL_AUTH_SECRET", "long-enough,1234567", "the key of legacy-key-1 is too short"),
        ("CERTCTL_SERVER_TRUSTED_PROXIES", "10.0.0.1/8", "must be an address such as 10.0.0.1"),
        ("CERTCTL_SERVER_TRUSTED_PROXIES", "proxy", "'proxy' must be an address such as 10.0.0.1"),
        ("CERTCTL_AUTH_SECRET", ", ,", "CERTCTL_AUTH_SECRET (value not shown): must hold a key"),
    ],
)
def test_a_wrong_value_is_reported(variable: str, value: str, problem: str) -> None:
    (told,) = problems(**{variable: value})
    assert problem in told
    assert "sesame" not in told


def test_the_settings_file_has_a_table_for_http(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[http]\nport = 1\nallowed_hosts = ["a.example"]\n')
    settings = load_settings(file, {"CERTCTL_SERVER_HOST": "::1"}, http={"port": 2})
    assert (settings.http.host, settings.http.port, settings.http.allowed_hosts) == ("::1", 2, ("a.example",))
    file.write_text("[http]\nprot = 1\n")
    with pytest.raises(SettingsError, match=r"http\.prot is not a setting: did you mean port\?"):
        load_settings(file, {})


def test_printing_the_http_settings_shows_no_key() -> None:
    settings = load_settings(None, {"CERTCTL_API_KEYS_NAMED": KEYS, "CERTCTL_AUTH_SECRET": "key-of-old"})
    assert "key-of" not in f"{settings!r} {settings.model_dump_json()} {settings.http.keys!r}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_no_key_is_required_on_loopback(host: str) -> None:
    require_keys_beyond_loopback(load_settings(None, {"CERTCTL_SERVER_HOST": host}).http)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "certctl.example.com"])
def test_a_key_is_required_beyond_loopback(host: str) -> None:
    with pytest.raises(SettingsError, match="set CERTCTL_API_KEYS_NAMED"):
        require_keys_beyond_loopback(load_settings(None, {"CERTCTL_SERVER_HOST": host}).http)
    require_keys_beyond_loopback(
        load_settings(None, {"CERTCTL_SERVER_HOST": host, "CERTCTL_API_KEYS_NAMED": KEYS}).http
    )


def test_weak_and_missing_keys_cause_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    good = "0123456789abcdef0123456789abcdef"
    warn_of_weak_keys(load_settings(None, {"CERTCTL_API_KEYS_NAMED": f"ada:{good}"}).http)
    assert not caplog.records
    warn_of_weak_keys(load_settings(None, {"CERTCTL_API_KEYS_NAMED": f"ada:{good},bob:{'ab' * 9}"}).http)
    warn_of_weak_keys(load_settings(None, {}).http)
    weak, none = (record.getMessage() for record in caplog.records)
    assert weak.startswith("the key of bob is weak")
    assert none.startswith("serving without keys")
