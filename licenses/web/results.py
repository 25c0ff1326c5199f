"""Public pages about the results of a check: what each means, and what to do."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from licenses.checking.results import Result


class ResultConverter:
    """A result in an address, such as `revoked`."""

    regex = "|".join(Result.values)

    def to_python(self, value: str) -> Result:
        """Return the result with that value."""
        return Result(value)

    def to_url(self, value: str) -> str:
        """Return the value of the result."""
        return Result(value).value


@require_safe
@login_not_required
def result_page(request: HttpRequest, result: Result) -> HttpResponse:
    """Explain a result to people who operate terminals."""
    pages = [(each, reverse("result", args=[each])) for each in Result]
    return render(request, "licenses/result.html", {"result": result, "pages": pages})
