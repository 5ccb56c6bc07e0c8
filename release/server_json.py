"""The entry in the MCP registry, `server.json`, in its format of 2025-12-11."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from release.home import Home
from release.options import OPTIONS, Option
from release.project import Project

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"

_FORMATS: dict[str, Literal["string", "filepath", "boolean"]] = {
    "text": "string",
    "file": "filepath",
    "switch": "boolean",
}


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)


class Transport(_Entry):
    type: Literal["stdio"] = "stdio"


class EnvironmentVariable(_Entry):
    name: str
    description: str
    format: Literal["string", "filepath", "boolean"]
    is_required: bool = False
    is_secret: bool = False


class Package(_Entry):
    """One way to install the server."""

    registry_type: Literal["pypi", "mcpb"]
    identifier: str
    version: str
    file_sha256: str | None = Field(default=None, alias="fileSha256")
    runtime_hint: Literal["uvx"] | None = None
    transport: Transport = Transport()
    environment_variables: tuple[EnvironmentVariable, ...]


class Repository(_Entry):
    url: str
    source: Literal["github"] = "github"


class ServerJson(_Entry):
    """The whole document."""

    json_schema: str = Field(default=SCHEMA, alias="$schema")
    name: str
    title: str
    description: str
    version: str
    website_url: str
    repository: Repository
    packages: tuple[Package, ...]

    def text(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n"


def server_json(project: Project, home: Home, bundle: str, bundle_sha256: str) -> ServerJson:
    """The entry of this version. `bundle` is the file name of the bundle attached to the release."""
    variables = tuple(map(_variable, OPTIONS))
    in_bundle = Package(
        registry_type="mcpb",
        identifier=home.download(bundle, project.version),
        version=project.version,
        file_sha256=bundle_sha256,
        environment_variables=variables,
    )
    on_index = Package(
        registry_type="pypi",
        identifier=project.name,
        version=project.version,
        runtime_hint="uvx",
        environment_variables=variables,
    )
    return ServerJson(
        name=home.server_name,
        title=project.title,
        description=project.description,
        version=project.version,
        website_url=home.url,
        repository=Repository(url=home.url),
        packages=(on_index, in_bundle) if home.on_package_index else (in_bundle,),
    )


def _variable(option: Option) -> EnvironmentVariable:
    return EnvironmentVariable(
        name=option.variable,
        description=option.description,
        format=_FORMATS[option.kind],
        is_secret=option.secret,
    )
