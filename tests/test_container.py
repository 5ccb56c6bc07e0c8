"""The container files, checked without Docker: their instructions, and their commands run on this machine."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from certctl_mcp.config.durations import parse_duration
from certctl_mcp.config.environment import VARIABLES
from certctl_mcp.config.settings import load_settings
from storage.engine.postgresql.url import Address
from tests.e2e.program import PATIENCE
from tests.processes import Program

ROOT = Path(__file__).parents[1]
KEYS = "ops:0123456789abcdef0123456789abcdef:admin"
FILLED_IN = {"POSTGRES_PASSWORD": "0123456789abcdef", "CERTCTL_API_KEYS_NAMED": KEYS}


@dataclass(frozen=True)
class Instruction:
    name: str
    arguments: str

    @property
    def command(self) -> list[str]:
        """The command in exec form."""
        found: list[str] = json.loads(self.arguments[self.arguments.index("[") :])
        return found


def instructions() -> list[Instruction]:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


IMAGE = instructions()
LAST_STAGE = IMAGE[max(index for index, line in enumerate(IMAGE) if line.name == "FROM") :]
COMPOSE: dict[str, Any] = yaml.safe_load(
    re.sub(
        r"\$\{(\w+):\?[^}]+\}",
        lambda found: FILLED_IN[found[1]],
        (ROOT / "compose.yaml").read_text(),
    )
)
PROGRAMS = ("server", "worker")


def instruction(name: str) -> Instruction:
    (found,) = (line for line in LAST_STAGE if line.name == name)
    return found


def environment_of_image() -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(instruction("ENV").arguments))


def test_every_instruction_exists_in_docker() -> None:
    known = {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK"}
    assert {line.name for line in IMAGE} <= known | {"ENTRYPOINT", "CMD"}


def test_the_base_image_has_a_version_and_a_supported_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in IMAGE:
        if line.name == "FROM":
            image, _, version = line.arguments.split()[0].partition(":")
            assert image == "python"
            minor = re.match(r"3\.\d+", version)
            assert minor
            assert f"Programming Language :: Python :: {minor[0]}" in project["classifiers"]


def test_the_container_runs_as_a_numeric_user_that_owns_the_volume() -> None:
    user, group = instruction("USER").arguments.split(":")
    assert int(user) > 0
    assert instruction("VOLUME").command == ["/data"]
    (made,) = (line.arguments for line in LAST_STAGE if line.name == "RUN")
    assert f"--uid {user}" in made
    assert f"install -d -o {user} -g {group} -m 700 /data" in made
    names = [line.name for line in LAST_STAGE]
    assert names.index("RUN") < names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]


def test_the_queue_is_in_the_volume() -> None:
    assert environment_of_image()["CERTCTL_DATABASE_URL"].startswith("sqlite:////data/")


def test_copied_files_exist_and_are_not_ignored() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for line in IMAGE
        if line.name == "COPY" and "--from" not in line.arguments
        for source in line.arguments.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)


def test_uv_has_the_locked_version_and_installs_from_the_lock_file() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    (locked,) = (package["version"] for package in packages if package["name"] == "uv")
    ran = [line.arguments for line in IMAGE if line.name == "RUN"]
    assert f"pip install --no-cache-dir uv=={locked}" in ran
    syncs = [shlex.split(arguments) for arguments in ran if arguments.startswith("uv sync")]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    for words in syncs:
        assert "--locked" in words
        named = {words[index + 1] for index, word in enumerate(words) if word == "--extra"}
        assert named == extras - {"dev", "bench"}
    assert "--no-install-project" in syncs[0]
    assert "--no-editable" in syncs[1]


def on_port(words: list[str], port: int) -> list[str]:
    """The command with a different port, because the container's may be in use here."""
    return [re.sub(r"\b(8080|9464)\b", str(port), word) for word in words]


def served_port(log: IO[bytes]) -> int:
    """The port that the log names, once it is served."""
    found = next(match for line in log if (match := re.search(rb"http://[^ ]*:(\d+)", line)))
    return int(found[1])


def is_healthy(check: list[str]) -> bool:
    python, *arguments = check
    assert python == "python"
    return subprocess.run([sys.executable, *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a container on SQLite, without a home directory."""
    return {"PATH": os.environ["PATH"], "CERTCTL_DATABASE_URL": f"sqlite:///{tmp_path}/notifications.db"}


@pytest.mark.parametrize("service", PROGRAMS)
def test_a_program_is_healthy_while_it_runs(service: str, environment: dict[str, str]) -> None:
    described = COMPOSE["services"][service]
    if service == "server":
        command = [*instruction("CMD").command, "--port", "0"]
        check = instruction("HEALTHCHECK").command
        environment |= {"CERTCTL_API_KEYS_NAMED": described["environment"]["CERTCTL_API_KEYS_NAMED"]}
    else:
        command = on_port(described["command"], 0)
        check = described["healthcheck"]["test"][1:]
    assert instruction("ENTRYPOINT").command == ["certctl-mcp"]
    process = Program("certctl_mcp", *command, environment=environment, stderr=subprocess.PIPE)
    try:
        assert process.stderr
        check = on_port(check, served_port(process.stderr))
        assert is_healthy(check)
        process.terminate()
        process.stderr.read()
        assert process.wait(PATIENCE) == 0
        assert not is_healthy(check)
    finally:
        process.close()


def test_both_services_are_confined_and_wait_for_the_database() -> None:
    for name in PROGRAMS:
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["tmpfs"] == "/tmp"
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["depends_on"] == {"database": {"condition": "service_healthy"}}
        grace = load_settings(None, {}).shutdown_grace
        assert parse_duration(service["stop_grace_period"]) > grace


def test_both_services_can_reach_the_database() -> None:
    database = COMPOSE["services"]["database"]
    names = database["environment"]
    for name in PROGRAMS:
        environment = COMPOSE["services"][name]["environment"]
        assert environment.keys() <= VARIABLES.keys()
        settings = load_settings(None, environment)
        address = Address.of(settings.database_url.get_secret_value())
        assert address.dsn == (
            f"postgresql://{names['POSTGRES_USER']}:{FILLED_IN['POSTGRES_PASSWORD']}"
            f"@database/{names['POSTGRES_DB']}"
        )
    assert database["volumes"][0].split(":")[0] in COMPOSE["volumes"]


def test_the_page_is_local_and_the_database_is_not_exposed() -> None:
    assert COMPOSE["services"]["server"]["ports"] == ["127.0.0.1:8080:8080"]
    assert "ports" not in COMPOSE["services"]["database"]
    assert "ports" not in COMPOSE["services"]["worker"]
