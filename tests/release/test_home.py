import re
from pathlib import Path

import pytest

from release.home import HOME_FILE, ROOT, ReleaseError, load_home
from tests.release.homes import HOME, NOT_ON_INDEX


def written(place: Path, **changed: str) -> Path:
    lines = [
        next((f"{key} = {value}" for key, value in changed.items() if line.startswith(f"{key} =")), line)
        for line in HOME_FILE.read_text().splitlines()
    ]
    file = place / "home.toml"
    file.write_text("\n".join(lines))
    return file


def test_without_an_owner_there_is_no_home(tmp_path: Path) -> None:
    assert load_home(written(tmp_path, owner='""')) is None


def test_addresses_follow_from_the_owner_and_the_repository(tmp_path: Path) -> None:
    home = load_home(written(tmp_path, owner='"octo-org"', repository='"queue"'))
    assert home is not None
    assert home.server_name == "io.github.octo-org/queue"
    assert home.download("a.mcpb", "1.2") == "https://github.com/octo-org/queue/releases/download/v1.2/a.mcpb"


def test_vulnerabilities_are_reported_by_mail_or_privately_at_the_home() -> None:
    assert HOME.security_reports == "security@example.com"
    assert NOT_ON_INDEX.security_reports == "https://github.com/octo-org/certctl-mcp/security/advisories/new"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"owner": '"https://github.com/octo"'}, "owner"),
        ({"repository": '""'}, "repository"),
        ({"security_contact": '"nobody"'}, "security_contact"),
        ({"on_package_index": '"perhaps"'}, "on_package_index"),
        ({"owner": "octo"}, "not TOML"),
    ],
)
def test_the_error_for_a_wrong_value_names_it(tmp_path: Path, changed: dict[str, str], named: str) -> None:
    with pytest.raises(ReleaseError, match=named):
        load_home(written(tmp_path, **changed))


def test_only_the_file_of_the_home_has_an_address_of_the_project() -> None:
    """Until the project has an owner, any address with its name is made up."""
    made_up = re.compile(r"(?:github\.com|pypi\.org/project|ghcr\.io)/[^\s)\"'`]*certctl-mcp", re.IGNORECASE)
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "pyproject.toml", ROOT / "Dockerfile"]
    pages += [ROOT / "compose.yaml", *ROOT.glob("examples/**/*.*"), *ROOT.glob("certctl_mcp/**/*.py")]
    found = {
        path.relative_to(ROOT).as_posix()
        for path in pages
        if path.suffix not in {".png", ".pyc"} and made_up.search(path.read_text())
    }
    assert found == set()
