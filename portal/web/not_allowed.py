"""What people read who open an address that only buttons send to: it shows nothing by itself."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.core.http import GetResponse


class NotAllowedMiddleware:
    """Gives a page to answers of 405, which Django leaves empty."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request; to GET with a page where only other methods are allowed."""
        response = self.get_response(request)
        if response.status_code != 405 or request.method != "GET":
            return response
        page = render(request, "405.html", status=405)
        page["Allow"] = response["Allow"]
        return page
