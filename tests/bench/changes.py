"""What people change: license keys, and who is signed in."""

from collections.abc import Iterator
from pathlib import Path

from tests.bench.bench import CHANGES_PER_SECOND, KINDS, Bench, People, row
from tests.bench.measuring import Target, measured, parts

CLIENTS = (8, 16)
LOGINS = 64
WRITTEN = {
    "generate": (2, 6),  # the license, both keys, the log row, its chain, a mail
    "reset": (1, 5),  # the old key and the new one, the log row, its chain, a mail
}
"""Signatures and rows of each change."""

ARGON2 = "bare Argon2 verification"


def changes(bench: Bench) -> None:
    """Generate and Reset through the front door, each with a subscription of its own."""
    size = bench.size
    per_run = size.people_seconds * CHANGES_PER_SECOND
    forms = per_run * (size.people_runs + 1) * len(CLIENTS)
    print(f"\n## Changes, {forms:,} licenses and as many subscriptions without\n")
    print("| database | what | clients | changes/s | p50 ms | p99 ms | of G |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for title, url in bench.databases("changes"):
        people = bench.people(url, licenses=forms, forms=forms)
        with bench.serving(url, KINDS[:2]) as (product, baseline):
            targets = list(change_targets(product, baseline, people, per_run))
            found = measured(targets, seconds=size.people_seconds, runs=size.people_runs, warm_up=1)
        for target in targets:
            what, _, clients = target.name.partition(", ")
            least = found[f"G of {what.removeprefix('G of ')}, {clients}"]
            figures = found[target.name]
            ratio = f"{figures.rate / least.rate:.2f}"
            print(f"| {title} | {what} | {clients} | {row(figures)} | {ratio} |", flush=True)


def change_targets(product: str, baseline: str, people: People, per_run: int) -> Iterator[Target]:
    """Yield each change after its baseline, by few clients and by many."""
    files = {"generate": people.generate, "reset": people.reset}
    for name, file in files.items():
        signatures, rows = WRITTEN[name]
        plain = plain_forms(people, f"/change/{signatures}/{rows}")
        each = parts(file, per_run)
        for clients in CLIENTS:
            yield Target(
                f"G of {name}, {clients}",
                baseline,
                plain,
                expected=("302", "/list"),
                connections=clients,
            )
            yield Target(
                f"{name}, {clients}",
                product,
                each,
                expected=("302", "/subscriptions/"),
                connections=clients,
            )


def plain_forms(people: People, path: str) -> Path:
    """Return the file of the forms that the baseline takes, one for each session."""
    file = people.folder / f"{path.replace('/', '-')}.tsv"
    form = f"csrfmiddlewaretoken={people.csrf_token}&usage=org&holder_name=Contoso"
    file.write_text("".join(f"{path}\t{cookies}\t{form}\n" for cookies in people.owners))
    return file


def sign_in(bench: Bench) -> None:
    """The form with email and password, by people who are not signed in yet."""
    size = bench.size
    print(f"\n## Sign-in by password, {CLIENTS[0]} clients\n")
    print("| database | what | requests/s | p50 ms | p99 ms | of Argon2 |")
    print("| --- | --- | ---: | ---: | ---: | ---: |", flush=True)
    for title, url in bench.databases("sign_in"):
        people = bench.people(url, logins=LOGINS)
        with bench.serving(url, KINDS[:2]) as (product, baseline):
            found = measured(
                [
                    Target(
                        ARGON2,
                        f"{baseline}/lean/argon2",
                        expected=("200",),
                        connections=CLIENTS[0],
                    ),
                    Target(
                        "sign-in",
                        product,
                        people.sign_in,
                        expected=("302", "/$"),
                        connections=CLIENTS[0],
                    ),
                ],
                seconds=size.seconds,
                runs=size.runs,
            )
        for name, figures in found.items():
            ratio = f"{figures.rate / found[ARGON2].rate:.2f}"
            print(f"| {title} | {name} | {row(figures)} | {ratio} |", flush=True)
