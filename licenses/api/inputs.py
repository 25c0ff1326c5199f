"""Reading what a caller sends: parameters of the address, and a body in JSON.

Everything is held to the schema that the description shows. What is not known is refused too: a
filter with a typing error would otherwise find everything.
"""

import json
import re
from typing import Any

from django.http import HttpRequest

from licenses.api.schemas import fault, input_schema
from portal.programs.errors import ProgramError

_NUMBER = re.compile(r"-?[0-9]{1,20}", re.ASCII)
JSON = "application/json"


def read_query(request: HttpRequest, annotation: Any) -> dict[str, Any]:
    """Return the parameters of the address, with the defaults of those that are left out.

    Raises ProgramError (400) for a parameter that is unknown, repeated, or wrong.
    """
    properties = input_schema(annotation)["properties"] if annotation else {}
    found = {name: s["default"] for name, s in properties.items() if "default" in s}
    for name, values in request.GET.lists():
        if name not in properties:
            known = f"takes {', '.join(properties)}" if properties else "takes no parameters"
            raise _invalid(f"There is no parameter {name[:40]!r}: this address {known}.")
        if len(values) > 1:
            times = "twice" if len(values) == 2 else f"{len(values)} times"
            raise _invalid(f"The parameter {name} appears {times}.")
        value: Any = values[0]
        if properties[name]["type"] == "integer" and _NUMBER.fullmatch(value):
            value = int(value)
        wrong = fault(value, properties[name])
        if wrong:
            raise _invalid(f"The parameter {name} {wrong}.")
        found[name] = value
    return found


def read_body(request: HttpRequest, annotation: Any) -> dict[str, Any]:
    """Return the members of the body; those of no `annotation`, which may be empty, are none.

    Raises ProgramError: 415 for another media type or charset, 400 for what is no JSON object or
    has a member twice, and 422 with `errors`, by the name of the member, for members that are
    missing, unknown or wrong.
    """
    raw = request.body
    if annotation is None and not raw:
        return {}
    charset = (request.content_params or {}).get("charset", "utf-8")
    if request.content_type != JSON or charset.lower() not in {"utf-8", "utf8"}:
        raise ProgramError(
            "unsupported_media_type",
            415,
            f"Send the body as Content-Type: {JSON}, in UTF-8.",
            headers={"Accept": JSON},
        )
    body = _object(raw)
    schema = input_schema(annotation) if annotation else {"properties": {}}
    properties = schema["properties"]
    missing = [name for name in schema.get("required", []) if name not in body]
    errors = dict.fromkeys(missing, "is missing")
    for name, value in body.items():
        wrong = fault(value, properties[name]) if name in properties else "is not known here"
        if wrong:
            errors[name[:40]] = wrong
    if errors:
        raise invalid_members(errors)
    return body


def invalid_members(errors: dict[str, str]) -> ProgramError:
    """Return the refusal of members of the body; `errors` says by name what is wrong with each."""
    name, wrong = next(iter(errors.items()))
    named = _printable(name)
    shown = [{"member": _printable(each), "detail": text} for each, text in errors.items()]
    return ProgramError(
        "invalid_body", 422, f"{named} {wrong}".rstrip(".") + ".", members={"errors": shown}
    )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode(), object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise _invalid("The body is not JSON in UTF-8.") from error
    if not isinstance(body, dict):
        raise _invalid("The body is not a JSON object.")
    return body


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object. Raises ProgramError for one that appears twice."""
    found = dict[str, Any]()
    for name, value in pairs:
        if name in found:
            raise _invalid(f"The member {_printable(name[:40])} appears twice.")
        found[name] = value
    return found


def _printable(name: str) -> str:
    return name.encode("ascii", "backslashreplace").decode()


def _invalid(sentence: str) -> ProgramError:
    return ProgramError("invalid_request", 400, sentence)
