from pathlib import Path

from certctl_mcp.config.settings import load_settings
from release.manifest import manifest
from release.project import Project
from release.trial import launch


def test_a_bundle_is_started_as_by_a_host_without_any_options_set(tmp_path: Path) -> None:
    server = launch(manifest(Project.read(), None, "icon.png"), tmp_path / "bundle", str(tmp_path))
    assert server.args[-1] == "server/main.py"
    assert str(tmp_path / "bundle") in server.args
    assert server.env
    assert not any("${" in word for word in (*server.args, *server.env.values()))
    settings = load_settings(None, {key: server.env[key] for key in server.env if key.startswith("CERTCTL_")})
    assert settings == load_settings(None, {})
