"""Schemas of tool arguments and results, reduced to what every client accepts."""

from collections.abc import Mapping

Schema = dict[str, object]

_NOISE = frozenset({"title", "$defs", "propertyNames", "format"})


def simplified(schema: Mapping[str, object]) -> Schema:
    """`schema` with every reference resolved, and without null and empty defaults of optional fields.

    Titles, formats, the property names of mappings and the descriptions of types are left out, because no
    caller acts on them.
    """
    definitions = schema.get("$defs")
    found = _object(schema, definitions if isinstance(definitions, Mapping) else {})
    found.pop("description", None)
    return found


def arguments_schema(schema: Mapping[str, object]) -> Schema:
    """The simplified schema of a tool's arguments, which allows no others."""
    return {**simplified(schema), "additionalProperties": False}


def _object(schema: Mapping[str, object], definitions: Mapping[str, object]) -> Schema:
    schema = _resolved(_not_null(schema), definitions)
    found: Schema = {}
    for key, value in schema.items():
        if key == "properties" and isinstance(value, Mapping):
            # Here the keys are names of fields, which may equal a keyword.
            found[key] = {name: _value(field, definitions) for name, field in value.items()}
        elif key not in _NOISE and (value or key != "default"):
            found[key] = _value(value, definitions)
    return found


def _value(value: object, definitions: Mapping[str, object]) -> object:
    if isinstance(value, Mapping):
        return _object(value, definitions)
    if isinstance(value, list):
        return [_value(item, definitions) for item in value]
    return value


def _not_null(schema: Mapping[str, object]) -> Mapping[str, object]:
    choices = schema.get("anyOf")
    if not isinstance(choices, list):
        return schema
    rest = [choice for choice in choices if choice != {"type": "null"}]
    others = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**rest[0], **others} if len(rest) == 1 else {**others, "anyOf": rest}


def _resolved(schema: Mapping[str, object], definitions: Mapping[str, object]) -> Mapping[str, object]:
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    definition = definitions[reference.removeprefix("#/$defs/")]
    others = {key: value for key, value in schema.items() if key != "$ref"}
    if not isinstance(definition, Mapping):
        return others
    return {**{key: value for key, value in definition.items() if key != "description"}, **others}
