"""The OpenAPI document is accurate: every request generated from it gets a response that it describes."""

import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.http_server import ADMIN, KEYS, serving
from tests.exploration import size

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = size(short=5, long=200)
"""For each operation, in addition to the cases at the bounds of the schema."""

PATIENCE = size(short=110, long=3600)
"""Seconds."""


def test_schemathesis_finds_no_problems(environment: dict[str, str], tmp_path: Path) -> None:
    environment |= KEYS | {
        "CERTCTL_RATE_LIMIT_ENABLED": "false",
        "CERTCTL_MCP_TOOLS": "triage,send,requeue,settle,channels,purge",
    }
    with serving(environment) as server:
        found = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
                *("run", f"{server.url}/openapi.json", "--no-color", "--generation-deterministic"),
                *("--max-examples", str(EXAMPLES), "--header", f"Authorization: Bearer {ADMIN}"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"(\d{3,}) generated, \1 passed", found.stdout), found.stdout
