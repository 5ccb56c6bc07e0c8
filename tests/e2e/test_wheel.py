"""The wheel works without this checkout, in its own virtual environment."""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, **environ: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environ, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel installed. It shares the dependencies installed here."""
    place = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        place,
        ROOT,
        PATH="/usr/bin:/bin",
    )
    (wheel,) = place.glob("*.whl")
    venv.create(place / "venv", with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = place / "venv" / "lib" / version / "site-packages"
    install = ["pip", "install", "-q", "--offline", "--no-deps", "--python", sys.executable]
    run(uv.find_uv_bin(), *install, "--target", packages, wheel)
    # A path in a .pth file makes the packages there importable, but not this checkout, a .pth file there.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "venv"


def test_the_installed_program_migrates_accepts_and_lists(environment: Path, tmp_path: Path) -> None:
    python = environment / "bin" / "python"
    settings = {
        "CERTCTL_DATABASE_URL": f"sqlite:///{tmp_path}/queue.db",
        "CERTCTL_WEBHOOK_URL": "http://127.0.0.1:9/",
    }
    where = run(python, "-c", "import certctl_mcp, storage; print(certctl_mcp.__file__, storage.__file__)")
    assert str(ROOT) not in where
    run(python, "-m", "certctl_mcp", "migrate", **settings)
    send = ["send", "--type", "RenewalFailure", "--channel", "Webhook", "renewal failed"]
    run(python, "-m", "certctl_mcp", *send, **settings)
    listed = json.loads(run(python, "-m", "certctl_mcp", "list", "--json", **settings))
    assert [n["message"] for n in listed["data"]] == ["renewal failed"]


def test_the_wheel_contains_the_two_packages_and_no_tests(environment: Path) -> None:
    (packages,) = environment.glob("lib/python*/site-packages")
    installed = {
        path.name for path in packages.iterdir() if path.is_dir() and (path / "__init__.py").exists()
    }
    assert installed == {"certctl_mcp", "storage"}
    assert (packages / "certctl_mcp" / "py.typed").exists()
    assert (packages / "storage" / "py.typed").exists()
