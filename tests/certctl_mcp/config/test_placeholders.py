"""Placeholders meant for a shell are refused, and likely typos cause a warning."""

from pathlib import Path

import pytest

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.placeholders import placeholder_in
from certctl_mcp.config.settings import load_settings
from certctl_mcp.config.warnings import configuration_warnings, database_description


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("sqlite:///${DIR}/x.db", "${NAME}"),
        ("${input:key}", "${NAME}"),
        ("https://x.example/${TOKEN}", "${NAME}"),
        ("$HOME/x.db", "$NAME"),
        ("sqlite:///$HOME/x.db", "$NAME"),
        ("sqlite:////$HOME/x.db", None),
        ("%APPDATA%", "%NAME%"),
        ("sqlite:///%USERPROFILE%/x.db", "%NAME%"),
        ("sqlite:///%DATA_DIR%/x.db", "%NAME%"),
        ("https://x.example/a%20b%2Fc%C3%A9tude%20x", None),
        ("100%", None),
        ("pa$$word", None),
        ("a$HOME", None),
        ("$5", None),
    ],
)
def test_a_placeholder_is_distinguished_from_an_ordinary_value(value: str, form: str | None) -> None:
    assert placeholder_in(value) == form


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CERTCTL_DATABASE_URL", "sqlite:///${DIR}/x.db"),
        ("CERTCTL_SLACK_WEBHOOK_URL", "${SLACK_URL}"),
        ("CERTCTL_WEBHOOK_SECRET", "$SECRET_hunter2"),
        ("CERTCTL_SMTP_HOST", "%SMTP_HOST%"),
        ("CERTCTL_API_KEYS_NAMED", "ops:${KEY}"),
    ],
)
def test_a_placeholder_prevents_the_start_and_its_value_is_not_shown(
    variable: str, value: str, database_url: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(None, {"CERTCTL_DATABASE_URL": database_url, variable: value})
    (problem,) = refused.value.problems
    assert problem.startswith(f"{variable} holds an unexpanded placeholder (")
    assert value not in problem
    assert "hunter2" not in problem


def test_the_error_for_a_placeholder_in_the_settings_file_names_its_key(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[channels.Ops]\nkind = "slack"\nwebhook_url = "${SLACK}"\n')
    with pytest.raises(SettingsError, match=r"channels\.Ops\.webhook_url holds an unexpanded placeholder"):
        load_settings(file, {})


def test_a_windows_path_is_refused_on_other_systems() -> None:
    for url in (r"sqlite:///C:\data\x.db", "sqlite:///C:/data/x.db", r"sqlite:////C:\x.db"):
        with pytest.raises(SettingsError, match="must not be a Windows path"):
            load_settings(None, {"CERTCTL_DATABASE_URL": url})


def test_without_a_home_directory_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    with pytest.raises(SettingsError, match="CERTCTL_DATABASE_URL is missing: this user has no home"):
        load_settings(None, {})
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(SettingsError, match="must not begin with ~"):
        load_settings(None, {"CERTCTL_DATABASE_URL": "sqlite:///~/x.db"})
    with pytest.raises(SettingsError, match="there is no home directory"):
        load_settings(Path("~/settings.toml"), {})


def test_only_a_misspelt_variable_causes_a_warning(database_url: str) -> None:
    environ = {
        "CERTCTL_DATABASE_URL": database_url,
        "CERTCTL_SLACK_WEBHOOK": "secret",
        "certctl_smtp_host": "x",
        "CERTCTL_SERVER_URL_OF_SOMETHING_ELSE": "x",
        "CERTCTL_ACME_DIRECTORY": "x",
        "PATH": "x",
    }
    warnings = configuration_warnings(load_settings(None, environ), environ)
    assert warnings == (
        "the variable CERTCTL_SLACK_WEBHOOK is not used; did you mean CERTCTL_SLACK_WEBHOOK_URL?",
        "the variable certctl_smtp_host is not used; did you mean CERTCTL_SMTP_HOST?",
    )


def test_a_relative_database_path_is_described_as_relative(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"CERTCTL_DATABASE_URL": "sqlite:///x.db"}
    settings = load_settings(None, environ)
    (warning,) = configuration_warnings(settings, environ)
    assert str(tmp_path / "x.db") in warning
    assert database_description(settings) == f"SQLite {tmp_path / 'x.db'}"


def test_the_description_of_a_database_has_no_credentials() -> None:
    url = "postgresql://ops:hunter2@db.example:5432/alerts?password=hunter2"
    described = database_description(load_settings(None, {"CERTCTL_DATABASE_URL": url}))
    assert described == "postgresql://db.example:5432/alerts"
