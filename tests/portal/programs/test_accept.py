"""Which ranges of an Accept header decide."""

import pytest

from portal.programs.accept import accepts

TYPE = "application/statuslist+jwt"


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        ("", True),
        (" , ", True),
        ("*/*", True),
        ("Application/StatusList+JWT", True),
        ("application/*;q=0.001", True),
        (f"{TYPE};q=0", False),
        (f"{TYPE};q=0, */*", False),
        (f"{TYPE} ; Q=0.000 , application/*", False),
        (f"application/*;q=0, {TYPE}", True),
        ("application/*;q=0, */*", False),
        ("*/*;q=0", False),
        (f"{TYPE};q=0.0001, */*;q=0", True),
        (f"{TYPE};q=nonsense", True),
        (f"{TYPE};v=2;q=0, */*", True),
        (f"{TYPE};v=2", False),
        ("text/html", False),
    ],
)
def test_the_most_specific_range_decides(header, admitted):
    assert accepts(header, TYPE) is admitted
