"""What a stranger may write where a value is expected."""

import uuid

LONG = ["a" * 60_000, "a." * 30_000, "ä" * 60_000]

NASTY = [
    *LONG,
    "9" * 23,
    "-1",
    str(2**63),
    "abc",
    "\x00",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "9999-12-31",
    "0001-01-01",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "\u0661\u0662",
    "'\"<%00",
    str(uuid.UUID(int=0)),
]

FIELDS = [
    *(
        "q",
        "page",
        "after",
        "before",
        "state",
        "sort",
        "rows",
        "since",
        "until",
        "person",
        "action",
    ),
    *(
        "subscription",
        "slot",
        "next",
        "o",
        "p",
        "e",
        "_popup",
        "_to_field",
        "name",
        "email",
        "role",
    ),
    *("country", "password", "code", "reason", "confirmation", "overlap", "expected_jti", "usage"),
    *(
        "holder_name",
        "key",
        "file",
        "url",
        "events",
        "scopes",
        "networks",
        "row",
        "index",
        "labels",
    ),
    *("select_across", "_selected_action", "starts_at_0", "starts_at_1", "ends_at_0", "plan"),
]
"""Names of parameters and fields that some page, form, list or operation reads."""
