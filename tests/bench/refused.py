"""Refuse one key in a hundred and build the status lists: `python -m tests.bench.refused`.

Prints number, keys, bytes of the answer and seconds to build (the median of several) for each.
"""

import json
from statistics import median
from time import perf_counter
from typing import Any

import django

BUILDS = 5


def main() -> list[dict[str, Any]]:
    from django.db import connection
    from django.db.models import F
    from django.db.models.functions import Mod
    from django.test import Client
    from django.utils import timezone

    from licenses.models import LicenseKey, StatusList
    from licenses.programs import published

    one_in_a_hundred = LicenseKey.objects.annotate(rest=Mod(F("pk"), 100)).filter(rest=0)
    one_in_a_hundred.update(revoked_at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    client, found = Client(SERVER_NAME="localhost"), []
    for number in StatusList.objects.values_list("number", flat=True):
        seconds = []
        for _ in range(BUILDS):
            published.clear()
            begun = perf_counter()
            answer = client.get(f"/public/status/{number}")
            seconds.append(perf_counter() - begun)
            if answer.status_code != 200:
                raise RuntimeError(f"List {number} answered {answer.status_code}.")
        found.append(
            {
                "number": number,
                "keys": LicenseKey.objects.filter(status_list=number).count(),
                "bytes": len(answer.content),
                "seconds": median(seconds),
            }
        )
    return found


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main()))
