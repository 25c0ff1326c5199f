"""Count queries of pages: `python -m tests.bench.queries PAGES`.

PAGES is a list of cookies and path in JSON. Prints, for each page, the number of its queries and
the bytes of its HTML.
"""

import json
import sys

import django


def main(pages: list[tuple[str, str]]) -> list[tuple[int, int]]:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    found = []
    for cookies, path in pages:
        client = Client(SERVER_NAME="localhost", HTTP_COOKIE=cookies)
        client.get(path)  # what a process looks up once
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(path)
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}.")
        found.append((len(queries), len(answer.content)))
    return found


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main(json.loads(sys.argv[1]))))
