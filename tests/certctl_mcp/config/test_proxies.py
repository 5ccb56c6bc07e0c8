import pytest

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.proxies import environment_proxy
from certctl_mcp.config.settings import load_settings

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "https://a.example/", None),
        ({"HTTPS_PROXY": PROXY}, "https://a.example/", PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, "https://a.example/", PROXY),
        ({"HTTPS_PROXY": PROXY}, "http://a.example/", None),
        ({"HTTP_PROXY": "proxy.example.com:3128"}, "http://a.example/", PROXY),
        ({"ALL_PROXY": PROXY}, "smtp://mail.example.com:587", PROXY),
        ({"HTTPS_PROXY": PROXY}, "smtp://mail.example.com:587", None),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks5://proxy.example.com"}, "https://a.example/", PROXY),
        ({"HTTPS_PROXY": "direct", "ALL_PROXY": PROXY}, "https://a.example/", "direct"),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example"}, "https://a.example/", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": ".example"}, "https://a.example/", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "b.example, *"}, "https://a.example/", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "ample"}, "https://a.example/", PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, "https://10.1.2.3/", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example:8443"}, "https://a.example:8443/", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example:8443"}, "https://a.example/", PROXY),
    ],
)
def test_the_proxy_is_taken_from_the_usual_variables(
    environ: dict[str, str], url: str, proxy: str | None
) -> None:
    named = environment_proxy(environ, url)
    assert (named.get_secret_value() if named else None) == proxy


@pytest.mark.parametrize(
    "proxy",
    ["socks5://ada:hidden@a", "socks5h://a:1080", "https://a:3129", "http://", "http://a:0", "ftp://a"],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_an_unusable_proxy_is_refused_at_startup(variable: str, proxy: str) -> None:
    environ = {"CERTCTL_SLACK_WEBHOOK_URL": "https://hooks.example.com/x", variable: proxy}
    with pytest.raises(SettingsError) as caught:
        load_settings(None, environ)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{variable.upper()} must be an HTTP proxy such as http://")
    assert "the channel Slack" in problem
    assert "hidden" not in problem
    for way_out in ({"CERTCTL_SLACK_PROXY": "direct"}, {"NO_PROXY": ".example.com"}):
        (channel,) = load_settings(None, environ | way_out).channels
        assert channel.destination.kind == "slack"
        assert channel.destination.proxy_url is None


@pytest.mark.parametrize(
    ("own", "proxy"),
    [
        ({}, PROXY),
        ({"CERTCTL_SLACK_PROXY": "direct"}, None),
        ({"CERTCTL_SLACK_PROXY": "http://b:1"}, "http://b:1"),
    ],
)
def test_a_channels_own_proxy_setting_takes_precedence(own: dict[str, str], proxy: str | None) -> None:
    environ = {"HTTPS_PROXY": PROXY, "CERTCTL_SLACK_WEBHOOK_URL": "https://hooks.example.com/x", **own}
    (channel,) = load_settings(None, environ).channels
    assert channel.destination.kind == "slack"
    assert channel.destination.proxy_url == proxy
