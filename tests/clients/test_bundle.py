"""The bundle is accepted by the format's official tool."""

import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest

from release.bundle import write_bundle
from release.home import ROOT, Home
from release.project import Project
from tests.clients.installer import NODE
from tests.release.homes import HOME


@pytest.mark.parametrize("home", [None, HOME], ids=["without a home", "with a home"])
def test_the_manifest_is_valid(home: Home | None, node_packages: Path, tmp_path: Path) -> None:
    bundle = write_bundle(ROOT, Project.read(), home, tmp_path)
    with ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "unpacked")
    mcpb = node_packages / "node_modules" / "@anthropic-ai" / "mcpb" / "dist" / "cli" / "cli.js"
    command = [str(NODE), str(mcpb), "validate", str(tmp_path / "unpacked" / "manifest.json")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "ERROR" not in checked.stdout + checked.stderr
