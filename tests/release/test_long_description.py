"""The description on a package index has nothing that would be broken there."""

import re

import pytest

from release.home import ROOT, Home
from release.long_description import long_description
from tests.release.homes import HOME, NOT_ON_INDEX

README = (ROOT / "README.md").read_text()
RELATIVE = re.compile(r"\]\((?!https://)[^)]*\)|\b(?:src|srcset)=\"(?!https://)")


@pytest.mark.parametrize("home", [None, HOME, NOT_ON_INDEX])
def test_nothing_in_the_published_readme_is_relative(home: Home | None) -> None:
    assert RELATIVE.search(README)
    assert not RELATIVE.search(long_description(README, "certctl-mcp", "1.2.3", home))


def test_without_a_home_links_become_text_and_pictures_are_removed() -> None:
    page = "See [the docs](docs/a.md) and [others](https://example.com).\n"
    picture = '<picture>\n  <source srcset="b.png">\n  <img src="a.png" width="9" alt="A page">\n</picture>\n'
    assert long_description(page + picture, "certctl-mcp", "1", None) == (
        "See the docs and [others](https://example.com).\n"
    )
    assert "octo-org" not in long_description(README, "certctl-mcp", "1", None)


def test_with_a_home_links_and_pictures_point_to_the_files_of_the_version() -> None:
    published = long_description(README, "certctl-mcp", "1.2.3", HOME)
    assert "(https://github.com/octo-org/certctl-mcp/blob/v1.2.3/docs/install.md)" in published
    raw = "https://raw.githubusercontent.com/octo-org/certctl-mcp/v1.2.3"
    assert f"({raw}/examples/screenshots/causes-light.png)" in published


def test_only_a_package_on_the_index_is_installed_by_its_name() -> None:
    on_index = long_description(README, "certctl-mcp", "1", HOME)
    assert "pipx install certctl-mcp\n" in on_index
    assert "pip install 'certctl-mcp[demo]' " in on_index
    assert "pip install -e '.[dev]'" in on_index
    for home in (None, NOT_ON_INDEX):
        assert "pipx install .\n" in long_description(README, "certctl-mcp", "1", home)


def test_the_registry_can_find_the_servers_name() -> None:
    # The name must be followed by a word boundary.
    assert "mcp-name: io.github.octo-org/certctl-mcp " in long_description(README, "certctl-mcp", "1", HOME)
    assert "mcp-name" not in long_description(README, "certctl-mcp", "1", None)
