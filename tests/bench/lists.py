"""Status lists of many keys: their size, how long they take to build, and answers from memory."""

import json

from tests.bench.bench import KINDS, Bench, row
from tests.bench.measuring import Target, fetched, measured, run_python

BARE = "bare view, no middleware"
UNCHANGED = "status list, 304"


def lists(bench: Bench) -> None:
    """Status lists with one key in a hundred refused."""
    size = bench.size
    print(f"\n## Status lists, {size.listed_keys:,} keys, 1 % of them refused\n")
    print("| database | lists | keys of the fullest | bytes | bytes of all | s to build ", end="")
    print("| what | requests/s | p50 ms | p99 ms | of bare view |")
    print(
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |", flush=True
    )
    for title, url in bench.databases("lists"):
        bench.fill(url, licenses=size.listed_keys // 2, probes=2)
        built = json.loads(run_python(["tests.bench.refused"], {"DATABASE_URL": url}))
        fullest = max(built, key=lambda one: one["keys"])
        with bench.serving(url, KINDS[:2]) as (product, baseline):
            address = f"{product}/public/status/{fullest['number']}"
            tag = fetched(Target(UNCHANGED, address))[1]["ETag"]  # of all processes
            found = measured(
                [
                    Target(BARE, f"{baseline}/lean/bare"),
                    Target(
                        UNCHANGED,
                        address,
                        headers=(f"If-None-Match: {tag}",),
                        expected=("304",),
                    ),
                ],
                seconds=size.seconds,
                runs=size.runs,
            )
        all_bytes = sum(one["bytes"] for one in built)
        told = (
            f"{len(built)} | {fullest['keys']:,} | {fullest['bytes']:,} | {all_bytes:,} "
            f"| {fullest['seconds']:.2f}"
        )
        for name, figures in found.items():
            ratio = f"{figures.rate / found[BARE].rate:.2f}"
            print(f"| {title} | {told} | {name} | {row(figures)} | {ratio} |", flush=True)
