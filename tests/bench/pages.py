"""Pages for people, in a large database and in a small one, against a plain list page."""

import json
from contextlib import ExitStack

from tests.bench.bench import KINDS, Bench, People, row
from tests.bench.measuring import Target, fetched, measured, run_python

P = "plain list page (P)"
PLAIN_QUERIES = 3
"""Session, user, rows."""

PAGES = {
    "list of subscriptions": "/subscriptions/",
    "a subscription": "/subscriptions/{subscription}/",
    "log": "/logs/",
    "admin: subscriptions": "/admin/subscriptions/subscription/",
    "admin: license keys": "/admin/licenses/licensekey/",
}
FEW = 100
CONNECTIONS = 8


def pages(bench: Bench) -> None:
    """The pages that people open most, signed in."""
    size = bench.size
    print(f"\n## Pages, {size.licenses:,} subscriptions, {size.log_rows:,} rows of the log\n")
    print(
        f"| database | page | requests/s | p50 ms | p99 ms | of P | of {FEW} rows | queries | kB |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    few_databases, many_databases = bench.databases("few"), bench.databases("many")
    for (title, few_url), (_, url) in zip(few_databases, many_databases, strict=True):
        few = bench.people(few_url, licenses=FEW, log_rows=FEW)
        many = bench.people(url, licenses=size.licenses, log_rows=size.log_rows)
        with ExitStack() as stack:
            [small] = stack.enter_context(bench.serving(few_url, KINDS[:1]))
            large, baseline = stack.enter_context(bench.serving(url, KINDS[:2]))
            targets = [page(P, f"{baseline}/list", many)]
            for name, path in PAGES.items():
                targets.append(page(name, large + path, many))
                targets.append(page(f"{name}, {FEW}", small + path, few))
            found = measured(targets, seconds=size.people_seconds, runs=size.people_runs, warm_up=1)
            length = len(fetched(targets[0])[0])
        counted = {P: (PLAIN_QUERIES, length), **queries(url, many)}
        for name, (count, length) in counted.items():
            small_rate = found[name if name == P else f"{name}, {FEW}"].rate
            print(
                f"| {title} | {name} | {row(found[name])} "
                f"| {found[name].rate / found[P].rate:.2f} | {found[name].rate / small_rate:.2f} "
                f"| {count} | {length / 1000:.0f} |",
                flush=True,
            )


def page(name: str, url: str, people: People) -> Target:
    return Target(
        name,
        url.replace("{subscription}", people.subscription),
        cookies=cookies(url, people),
        expected=("200",),
        connections=CONNECTIONS,
    )


def cookies(url: str, people: People) -> str:
    return people.operator if "/admin/" in url else people.owners[0]


def queries(database_url: str, people: People) -> dict[str, tuple[int, int]]:
    """Return the number of queries and the bytes of each page."""
    asked = [
        (cookies(path, people), path.replace("{subscription}", people.subscription))
        for path in PAGES.values()
    ]
    printed = run_python(["tests.bench.queries", json.dumps(asked)], {"DATABASE_URL": database_url})
    return dict(zip(PAGES, json.loads(printed), strict=True))
