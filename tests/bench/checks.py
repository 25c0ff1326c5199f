"""The check by terminals: against the baselines, and by the size of the database."""

from contextlib import ExitStack

from tests.bench.bench import CHANGES_PER_SECOND, Bench, first_lines, row
from tests.bench.measuring import Target, measured, parts

CHECK = "/public/checklicense"
L, D = "bare function with the read (L)", "one raw SELECT (D)"
TERMINALS = 1_000
"""That come again in the warm runs."""

PEOPLE = 16
WARM, BUSY = "check, warm", f"check, warm, {PEOPLE} people beside"


def checks(bench: Bench) -> None:
    """The check against the two baselines of the same run."""
    size = bench.size
    print(f"\n## The check, {size.licenses:,} licenses\n")
    print("| database | what | requests/s | p50 ms | p99 ms | of L | of D | of warm |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for title, url in bench.databases("checks"):
        cold = bench.fill(url, licenses=size.licenses, probes=size.cold_keys)
        warm = first_lines(cold, TERMINALS)
        per_run = (size.seconds + 1) * CHANGES_PER_SECOND
        people = bench.people(url, forms=per_run * (size.runs + 1))
        with bench.serving(url) as (product, baseline, limit):
            generating = Target(
                "generate, beside",
                product,
                parts(people.generate, per_run),
                expected=("302", "/subscriptions/"),
                connections=PEOPLE // 2,
            )
            browsing = Target(
                "list, beside",
                f"{product}/subscriptions/",
                cookies=people.owners[0],
                expected=("200",),
                connections=PEOPLE // 2,
            )
            found = measured(
                [
                    Target(L, limit, warm),
                    Target("bare view", f"{baseline}/bare"),
                    Target(D, f"{baseline}/select"),
                    Target(WARM, product + CHECK, warm),
                    Target(BUSY, product + CHECK, warm, beside=(generating, browsing)),
                    Target("check, cold", product + CHECK, cold),
                ],
                seconds=size.seconds,
                runs=size.runs,
            )
        of = [found[name].rate for name in (L, D, WARM)]
        for name, figures in found.items():
            ratios = " | ".join(f"{figures.rate / rate:.2f}" for rate in of)
            print(f"| {title} | {name} | {row(figures)} | {ratios} |", flush=True)


def scale(bench: Bench) -> None:
    """The warm check with few licenses in the database and with many."""
    size = bench.size
    print("\n## The warm check by the size of the database\n")
    print("| database | licenses | requests/s | p50 ms | p99 ms | of the smaller |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    few_databases, many_databases = bench.databases("few"), bench.databases("many")
    for (title, few), (_, many) in zip(few_databases, many_databases, strict=True):
        with ExitStack() as stack:
            targets = []
            for url, licenses in ((few, size.few), (many, size.many)):
                requests = bench.fill(url, licenses=licenses, probes=TERMINALS)
                requests = requests.rename(bench.folder / f"{licenses}.jsonl")
                product, *_ = stack.enter_context(bench.serving(url))
                targets.append(Target(f"{licenses:,}", product + CHECK, requests))
            found = measured(targets, seconds=size.seconds, runs=size.runs)
        smallest = found[targets[0].name].rate
        for name, figures in found.items():
            ratio = f"{figures.rate / smallest:.2f}"
            print(f"| {title} | {name} | {row(figures)} | {ratio} |", flush=True)
