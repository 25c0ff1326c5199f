"""JSON Schemas, as OpenAPI 3.1 has them, of the types that the API reads and writes.

A TypedDict is described once: mypy holds the code to it, callers read it as a schema, and what
they send is held to that schema.
"""

import re
from datetime import datetime
from functools import cache
from types import NoneType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)
from uuid import UUID

from django.db.models import TextChoices

type Schema = dict[str, Any]

_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time"},
    NoneType: {"type": "null"},
}
_KINDS = {"string": str, "integer": int, "object": dict}
_IN_WORDS = {"string": "a string", "integer": "a whole number", "object": "an object"}
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that no database stores: NUL, and halves of a pair."""


def schema_of(annotation: Any, named: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of a type; of a TypedDict a reference where `named` collects them.

    Annotated adds a description (a text) and other keywords (a dictionary).
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is NotRequired:
        return schema_of(arguments[0], named)
    if origin is Annotated:
        found = dict(schema_of(arguments[0], named))
        for extra in arguments[1:]:
            found |= extra if isinstance(extra, dict) else {"description": extra}
        return found
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0], named)}
    if origin is dict:
        return {"type": "object"}
    if arguments:  # a union
        return _either([schema_of(each, named) for each in arguments])
    if is_typeddict(annotation):
        return _members(annotation, named)
    if isinstance(annotation, type) and issubclass(annotation, TextChoices):
        return {"type": "string", "enum": list(annotation.values)}
    return dict(_PLAIN[annotation])


def _either(schemas: list[Schema]) -> Schema:
    """Return the schema of a union: of a plain type and null in one, which people read better."""
    first, *others = schemas
    if others == [_PLAIN[NoneType]] and "type" in first and "enum" not in first:
        return first | {"type": [first["type"], "null"]}
    return {"anyOf": schemas}


def _members(annotation: Any, named: dict[str, Schema] | None) -> Schema:
    name = annotation.__name__
    if named is not None and name in named:
        return {"$ref": f"#/components/schemas/{name}"}
    schema: Schema = {"type": "object"}
    if named is not None:
        named[name] = schema
    hints = get_type_hints(annotation, include_extras=True)
    if annotation.__doc__:
        schema["description"] = annotation.__doc__
    schema["properties"] = {key: schema_of(hint, named) for key, hint in hints.items()}
    schema["required"] = [key for key in hints if key in annotation.__required_keys__]
    if not schema["required"]:
        del schema["required"]
    return schema if named is None else {"$ref": f"#/components/schemas/{name}"}


@cache
def input_schema(annotation: Any) -> Schema:
    """Return the whole schema of what a caller sends."""
    return schema_of(annotation)


def fault(value: Any, schema: Schema) -> str | None:
    """Return what is wrong with a value that a caller sent, to stand after its name, or None."""
    kind = schema["type"]
    if not isinstance(value, _KINDS[kind]) or isinstance(value, bool):
        return f"must be {_IN_WORDS[kind]}"
    if "enum" in schema and value not in schema["enum"]:
        return f"is none of {', '.join(schema['enum'])}"
    if isinstance(value, str):
        return _fault_of_text(value, schema)
    if isinstance(value, int) and not schema["minimum"] <= value <= schema["maximum"]:
        return f"is not between {schema['minimum']} and {schema['maximum']}"
    return None


def _fault_of_text(value: str, schema: Schema) -> str | None:
    if _UNUSABLE.search(value):
        return "contains a character that is not allowed"
    if len(value) < schema.get("minLength", 0):
        return "is empty"
    if len(value) > schema.get("maxLength", len(value)):
        return f"has more than {schema['maxLength']} characters"
    if schema.get("format") == "uuid" and not _is_uuid(value):
        return "is not an identifier such as 2f1c9f4e-8f0b-4c8e-9d6a-1b2c3d4e5f60"
    return None


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
