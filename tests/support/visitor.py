"""A browser without scripts, for tests that attack a live server."""

import http.cookiejar
import re
import urllib.error
import urllib.request
from urllib.parse import urlencode

from tests.support.accounts import PASSWORD


class Visitor:
    """A browser without scripts, on the network."""

    def __init__(self, url):
        self.url = url
        jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar)
        )
        self.jar = jar

    def signs_in(self, email, **values):
        return self.post("/accounts/login/", {"login": email, "password": PASSWORD, **values})

    def get(self, path, **headers):
        """Return status, address at the end, and body."""
        return self._open(urllib.request.Request(self.url + path, headers=headers))

    def post(self, path, values, *, token=True, **headers):
        if token:
            body = self.get(path)[2]
            [found] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', body)[-1:]
            values = values | {"csrfmiddlewaretoken": found}
        data = urlencode(values).encode()
        request = urllib.request.Request(self.url + path, data, headers=headers)
        return self._open(request)

    def _open(self, request):
        try:
            with self.opener.open(request, timeout=20) as answer:
                return answer.status, answer.url.removeprefix(self.url), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.url.removeprefix(self.url), error.read().decode()
