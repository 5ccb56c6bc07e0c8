"""A trial of the built files: each is installed in an empty environment, and the demo is run from it."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from release.commands import run, uv_program
from release.home import ReleaseError
from release.manifest import Manifest

_DEMO_EXTRA = "demo"


def try_package(package: Path) -> None:
    """Install a wheel or an sdist into its own environment, and run its demo.

    Raises: ReleaseError: it can't be installed, or its demo fails.
    """
    with TemporaryDirectory() as place:
        environment = Path(place, "environment")
        run([uv_program(), "venv", "-q", "--python", sys.executable, str(environment)])
        interpreter = environment / "bin" / "python"
        install = [uv_program(), "pip", "install", "-q", "--python", str(interpreter)]
        run([*install, f"{package.resolve()}[{_DEMO_EXTRA}]"])
        program = environment / "bin" / "certctl-mcp"
        run([str(program), "demo"], _clean(place), Path(place))


def try_bundle(bundle: Path) -> None:
    """Unpack a bundle and start it as a host does, compare its tools with the manifest, and run its demo.

    Raises: ReleaseError: it can't be installed, has other tools, or its demo fails.
    """
    with TemporaryDirectory() as place:
        unpacked = Path(place, "bundle")
        with ZipFile(bundle) as archive:
            archive.extractall(unpacked)
        described = Manifest.model_validate_json((unpacked / "manifest.json").read_text())
        served = asyncio.run(served_tools(launch(described, unpacked, place)))
        if served != {tool.name for tool in described.tools}:
            raise ReleaseError(f"{bundle.name} describes other tools than it serves: {sorted(served)}")
        demo = ["run", "--directory", str(unpacked), "--frozen", "--no-dev", "--extra", _DEMO_EXTRA]
        run([uv_program(), *demo, "certctl-mcp", "demo"], _clean(place), Path(place))


def launch(described: Manifest, unpacked: Path, home_directory: str) -> StdioServerParameters:
    """How a host starts the server for a user who has left all options unchanged."""
    config = described.server.mcp_config
    defaults = {
        f"${{user_config.{key}}}": str(option.default).lower() if option.type == "boolean" else option.default
        for key, option in described.user_config.items()
    }
    return StdioServerParameters(
        # A host brings its own uv.
        command=uv_program(),
        args=[argument.replace("${__dirname}", str(unpacked)) for argument in config.args],
        env={
            **_clean(home_directory),
            **{variable: str(defaults[value]) for variable, value in config.env.items()},
        },
    )


async def served_tools(server: StdioServerParameters) -> set[str]:
    """The names of the tools that a server offers when started like this."""
    async with Client(stdio_client(server)) as client:
        return {tool.name for tool in (await client.list_tools()).tools}


def _clean(home_directory: str) -> Mapping[str, str]:
    """The environment of a user who has configured nothing, but with the same uv cache."""
    kept = {name: value for name, value in os.environ.items() if _is_of_the_machine(name)}
    cache = run([uv_program(), "cache", "dir"]).strip()
    return {
        **kept,
        "HOME": home_directory,
        "XDG_DATA_HOME": str(Path(home_directory, "data")),
        "UV_CACHE_DIR": cache,
        "UV_PYTHON": sys.executable,
        "UV_LINK_MODE": "copy",
    }


def _is_of_the_machine(name: str) -> bool:
    return not name.startswith(("CERTCTL_", "PYTHON", "VIRTUAL_ENV", "XDG_"))
