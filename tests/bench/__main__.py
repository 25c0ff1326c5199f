"""`python -m tests.bench [--quick] [SUBJECT ...]`: measure, and print tables in Markdown."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measuring import (
    BaselineServer,
    Figures,
    LimitServer,
    ProductServer,
    Target,
    measured,
    run_python,
)
from tests.support import postgres

CHECK = "/public/checklicense"
L, D = "bare function with the read (L)", "one raw SELECT (D)"
TERMINALS = 1_000
"""That come again in the warm runs."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    seconds: int
    runs: int
    licenses: int
    cold_keys: int
    few: int
    many: int


FULL = Size(10, 5, licenses=100_000, cold_keys=50_000, few=1_000, many=1_000_000)
QUICK = Size(3, 3, licenses=20_000, cold_keys=12_000, few=1_000, many=100_000)


class Bench:
    """The folder, the databases and the size of one run of the command."""

    def __init__(self, folder: Path, size: Size, server: postgres.Server) -> None:
        self.folder = folder
        self.size = size
        self.server = server

    def databases(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield (title, address) of a new, empty database on each of the two systems."""
        path = self.folder / f"{name}.sqlite3"
        yield "SQLite", f"sqlite:///{path}"
        for file in self.folder.glob(f"{name}.sqlite3*"):
            file.unlink()
        self.server.psql(f"CREATE DATABASE {name}")
        yield "PostgreSQL", self.server.url(name)
        self.server.psql(f"DROP DATABASE {name} WITH (FORCE)")

    def fill(self, url: str, *, licenses: int, probes: int) -> Path:
        """Fill a database; return the file of requests for its signed keys."""
        file = self.folder / "requests.jsonl"
        arguments = ["tests.bench.fill", str(licenses), str(probes), str(file)]
        run_python(arguments, {"DATABASE_URL": url})
        return file

    @contextmanager
    def serving(self, url: str) -> Iterator[tuple[str, str, str]]:
        """Yield the addresses of the portal, the baselines and the limit, on one database."""
        with ExitStack() as stack:
            servers = [kind(folder=self.folder, database_url=url) for kind in KINDS]
            for server in servers:
                stack.callback(server.stop)
                server.start()
            product, baseline, limit = (f"http://127.0.0.1:{server.port}" for server in servers)
            yield product, baseline, limit


KINDS = (ProductServer, BaselineServer, LimitServer)


def checks(bench: Bench) -> None:
    """The check against the two baselines of the same run."""
    size = bench.size
    print(f"\n## The check, {size.licenses:,} licenses\n")
    print("| database | what | requests/s | p50 ms | p99 ms | of L | of D |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for title, url in bench.databases("checks"):
        cold = bench.fill(url, licenses=size.licenses, probes=size.cold_keys)
        warm = first_lines(cold, TERMINALS)
        with bench.serving(url) as (product, baseline, limit):
            found = measured(
                [
                    Target(L, limit, warm),
                    Target("bare view", f"{baseline}/bare"),
                    Target(D, f"{baseline}/select"),
                    Target("bare view, no middleware", f"{baseline}/lean/bare"),
                    Target("one raw SELECT, no middleware", f"{baseline}/lean/select"),
                    Target("check, warm", product + CHECK, warm),
                    Target("check, cold", product + CHECK, cold),
                ],
                seconds=size.seconds,
                runs=size.runs,
            )
        least, select = (found[name].rate for name in (L, D))
        for name, figures in found.items():
            ratios = f"{figures.rate / least:.2f} | {figures.rate / select:.2f}"
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


SUBJECTS = {"checks": checks, "scale": scale}


def row(figures: Figures) -> str:
    return f"{figures.rate:,.0f} | {figures.p50:.1f} | {figures.p99:.1f}"


def first_lines(file: Path, count: int) -> Path:
    short = file.with_suffix(f".first-{count}")
    with file.open() as lines, short.open("w") as kept:
        kept.writelines(line for line, _ in zip(lines, range(count), strict=False))
    return short


def machine() -> str:
    """Describe the machine in a line."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split()[1]
    return (
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, wrk {version}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller databases, shorter runs")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    options = parser.parse_args()
    unknown = set(options.subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"There is no {', '.join(sorted(unknown))}.")
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: `make bench` installs it; on Debian, apt-get install wrk.")
    with tempfile.TemporaryDirectory(prefix="portal-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root, PostgreSQL runs as a user of its own and passes through
        os.environ |= {
            "DEMONSTRATION": "true",
            "DATA_DIR": str(folder / "data"),  # which the portal closes to all others
            "LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        os.environ.pop("DATABASE_URL", None)
        server = postgres.Server(folder / "postgres")
        try:
            print(machine())
            bench = Bench(folder, QUICK if options.quick else FULL, server)
            for subject in options.subjects or SUBJECTS:
                SUBJECTS[subject](bench)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
