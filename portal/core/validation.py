"""A model's own rules as a refusal."""

from collections.abc import Collection

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Model

from portal.core.refusal import Refused


def refuse_invalid(row: Model, *, fields: Collection[str] | None = None) -> None:
    """Raise Refused with the first sentence of what the row's own rules say, at its field.

    `fields` are those that were changed, None for a new row. Unchanged values are not validated
    alone, but whether the new ones fit them is.
    """
    names = {field.name for field in row._meta.concrete_fields}
    untouched = set() if fields is None else names - set(fields)
    try:
        row.clean_fields(exclude=untouched)
        row.clean()
        row.validate_unique(exclude=untouched)
        row.validate_constraints()
    except ValidationError as error:
        field, [sentence, *_] = next(iter(error.message_dict.items()))
        raise Refused(sentence, field=None if field == NON_FIELD_ERRORS else field) from error
