"""Whether a client accepts what an address answers (RFC 9110 12.5.1)."""

import re

_WEIGHT = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?", re.ASCII)


def accepts(header: str, media_type: str) -> bool:
    """Return whether an Accept header admits a media type that has no parameters.

    The most specific range that matches decides, and `q=0` excludes. Without a range everything
    is admitted; one with parameters (other than the weight) means another representation. An
    invalid weight counts as 1.
    """
    main = media_type.partition("/")[0]
    ranges = (media_type.lower(), f"{main.lower()}/*", "*/*")
    weights: dict[str, float] = {}
    for part in filter(None, map(str.strip, header.split(","))):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = 1.0
        if parameters:
            label, _, value = parameters[0].partition("=")
            if label.strip().lower() != "q":
                weights.setdefault("", 0.0)  # a range, though none of ours
                continue
            weight = float(value) if _WEIGHT.fullmatch(value.strip()) else 1.0
        weights[name.lower()] = max(weight, weights.get(name.lower(), 0.0))
    if not weights:
        return True
    return next((weights[name] for name in ranges if name in weights), 0.0) > 0
