"""The files of a release, built as for publication from a home that the project could have."""

import json
import os
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from jsonschema import Draft202012Validator
from packaging.version import Version
from trove_classifiers import classifiers

import certctl_mcp
from release.build import Release, build
from release.bundle import write_bundle
from release.home import ROOT, ReleaseError
from release.project import Project
from tests.release.homes import HOME
from tests.release.registry_schema import SERVER_JSON


@dataclass
class Built:
    release: Release

    @cached_property
    def metadata(self) -> Message:
        """The metadata of the wheel."""
        with ZipFile(self.release.wheel) as wheel:
            (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            return Parser().parsestr(wheel.read(name).decode())

    @cached_property
    def manifest(self) -> Any:
        with ZipFile(self.release.bundle) as bundle:
            return json.loads(bundle.read("manifest.json"))

    @cached_property
    def server_json(self) -> Any:
        assert self.release.server_json
        return json.loads(self.release.server_json.read_text())

    def of_sdist(self, path: str) -> str:
        with tarfile.open(self.release.sdist) as sdist:
            (member,) = (name for name in sdist.getnames() if name.partition("/")[2] == path)
            file = sdist.extractfile(member)
            assert file
            return file.read().decode()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(build(HOME, tmp_path_factory.mktemp("release")))


def test_versions_agree_everywhere(built: Built) -> None:
    version = certctl_mcp.__version__
    # As required by the registry and the hosts.
    assert len(Version(version).release) == 3
    assert built.metadata["Version"] == version
    assert built.manifest["version"] == version
    assert built.server_json["version"] == version
    assert {package["version"] for package in built.server_json["packages"]} == {version}
    for file in built.release.files[:3]:
        assert f"-{version}" in file.name


def test_the_package_metadata_has_what_an_index_shows(built: Built) -> None:
    metadata = built.metadata
    assert len(metadata["Summary"]) < 100
    assert metadata["Author"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Keywords"]
    named = set(metadata.get_all("Classifier", []))
    assert named <= set(classifiers)
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)} <= named
    labels = {label for label, _, _ in (url.partition(", ") for url in metadata.get_all("Project-URL", []))}
    assert labels == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert "https://github.com/octo-org/certctl-mcp/blob/v" in metadata.get_payload()


def test_the_sources_say_where_to_report_vulnerabilities(built: Built) -> None:
    assert "<security@example.com>" in built.of_sdist("SECURITY.md")
    assert "no public address" not in built.of_sdist("SECURITY.md")
    assert tomllib.loads(built.of_sdist("pyproject.toml"))["project"]["urls"] == HOME.urls


def test_the_registry_accepts_the_entry(built: Built) -> None:
    Draft202012Validator(SERVER_JSON).validate(built.server_json)
    assert f"mcp-name: {built.server_json['name']} " in built.metadata.get_payload()
    on_index, in_bundle = built.server_json["packages"]
    assert on_index["identifier"] == built.metadata["Name"]
    assert in_bundle["fileSha256"] == sha256(built.release.bundle.read_bytes()).hexdigest()
    assert in_bundle["identifier"].endswith(f"/{built.release.bundle.name}")


def test_the_bundle_contains_the_server_and_its_lock_file_and_no_dependencies(built: Built) -> None:
    with ZipFile(built.release.bundle) as bundle:
        names = bundle.namelist()
        assert bundle.read("uv.lock") == (ROOT / "uv.lock").read_bytes()
    assert {name.partition("/")[0] for name in names} == {
        *("manifest.json", "icon.png", "server", "pyproject.toml", "uv.lock", "README.md", "LICENSE"),
        *("certctl_mcp", "storage"),
    }
    assert built.manifest["server"]["type"] == "uv"
    assert built.manifest["server"]["entry_point"] in names


def test_the_same_sources_give_the_same_bundle(built: Built, tmp_path: Path) -> None:
    with ZipFile(built.release.bundle) as bundle:
        bundle.extractall(tmp_path / "sources")
    again = write_bundle(tmp_path / "sources", Project.read(), HOME, tmp_path)
    assert again.read_bytes() == built.release.bundle.read_bytes()


def test_the_bundles_entry_point_starts_the_program(built: Built, tmp_path: Path) -> None:
    """Some hosts run the script itself; none of the files next to it may shadow a standard module."""
    with ZipFile(built.release.bundle) as bundle:
        bundle.extractall(tmp_path)
    command = [sys.executable, str(tmp_path / built.manifest["server"]["entry_point"]), "--version"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == f"certctl-mcp {certctl_mcp.__version__}\n", done.stderr


def test_existing_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "old.whl").touch()
    with pytest.raises(ReleaseError, match="is not empty"):
        build(None, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["old.whl"]
