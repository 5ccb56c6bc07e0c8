"""The MCP registry's requirements for `server.json`: its format of 2025-12-11, and its rules for packages."""

_TEXT = {"type": "string"}
_VERSION = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[0-9][^\s*^~<>=|]*$"}
_ADDRESS = {"type": "string", "pattern": "^https://"}
_FLAG = {"type": "boolean"}

_VARIABLE = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": _TEXT,
        "description": _TEXT,
        "format": {"enum": ["string", "number", "boolean", "filepath"]},
        "isRequired": _FLAG,
        "isSecret": _FLAG,
        "default": _TEXT,
        "placeholder": _TEXT,
        "choices": {"type": "array", "items": _TEXT},
    },
    "additionalProperties": False,
}

_PACKAGE = {
    "type": "object",
    "required": ["registryType", "identifier", "transport"],
    "properties": {
        "registryType": {"enum": ["npm", "pypi", "cargo", "oci", "nuget", "mcpb"]},
        "identifier": _TEXT,
        "version": _VERSION,
        "fileSha256": {"type": "string", "pattern": "^[a-f0-9]{64}$"},
        "runtimeHint": _TEXT,
        "transport": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"const": "stdio"}},
            "additionalProperties": False,
        },
        "environmentVariables": {"type": "array", "items": _VARIABLE},
    },
    "additionalProperties": False,
    # A file has a digest, and is attached to a release; a package of an index has a version and no digest.
    "if": {"properties": {"registryType": {"const": "mcpb"}}},
    "then": {
        "required": ["fileSha256"],
        "properties": {"identifier": {"pattern": r"^https://(github|gitlab)\.com/.*mcp"}},
    },
    "else": {"required": ["version"], "not": {"required": ["fileSha256"]}},
}

SERVER_JSON = {
    "type": "object",
    "required": ["$schema", "name", "description", "version"],
    "properties": {
        "$schema": {"const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"},
        "name": {
            "type": "string",
            "minLength": 3,
            "maxLength": 200,
            "pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$",
        },
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": _VERSION,
        "websiteUrl": _ADDRESS,
        "repository": {
            "type": "object",
            "required": ["url", "source"],
            "properties": {"url": _ADDRESS, "source": _TEXT},
            "additionalProperties": False,
        },
        "packages": {"type": "array", "minItems": 1, "items": _PACKAGE},
    },
    "additionalProperties": False,
}
