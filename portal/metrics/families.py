"""The figures of a node as metrics of Prometheus."""

from collections.abc import Iterable, Iterator
from itertools import accumulate

import django
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest

from portal import __version__
from portal.metrics import node
from portal.metrics.instruments import (
    INSTRUMENTS,
    REQUESTS,
    SECONDS,
    Histogram,
    Instrument,
    Labels,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

REQUESTS_TOTAL = "license_portal_http_requests_total"

type Rows = dict[Labels, list[float]]


def text(metrics: Iterable[Metric]) -> bytes:
    """Return metrics in the text format of Prometheus, version 0.0.4."""
    return generate_latest(_Collected(metrics))


def families() -> Iterator[Metric]:
    """Yield what the processes of this node have counted and tell of themselves."""
    about = GaugeMetricFamily(
        "license_portal_build_info", "Which release runs; always 1.", labels=["version", "django"]
    )
    about.add_metric([__version__, django.__version__], 1)
    yield about
    found = node.sums()
    yield _requests_total(found.rows[REQUESTS.name])
    for instrument in INSTRUMENTS:
        yield _family(instrument, found.rows[instrument.name])
    for gauge in node.GAUGES:
        kind = CounterMetricFamily if gauge.is_counter else GaugeMetricFamily
        family = kind(gauge.name, gauge.meaning, labels=["process", "role"])
        for labels, value in sorted(found.told.get(gauge.name, {}).items()):
            family.add_metric(labels, value)
        yield family


def _requests_total(rows: Rows) -> Metric:
    family = CounterMetricFamily(REQUESTS_TOTAL, "Finished requests.", labels=["route", "status"])
    for labels, row in sorted(rows.items()):
        family.add_metric(labels, sum(row[1:]))
    return family


def _family(instrument: Instrument, rows: Rows) -> Metric:
    if not isinstance(instrument, Histogram):
        counter = CounterMetricFamily(instrument.name, instrument.meaning, labels=instrument.labels)
        for labels, row in sorted(rows.items()):
            counter.add_metric(labels, row[0])
        return counter
    names = instrument.labels
    if instrument is REQUESTS:  # Buckets for each status besides would be ten times as many.
        names, rows = names[:1], _by_first_label(rows)
    histogram = HistogramMetricFamily(instrument.name, instrument.meaning, labels=names)
    bounds = [*map(str, SECONDS), "+Inf"]
    for labels, (total, *counts) in sorted(rows.items()):
        buckets = zip(bounds, accumulate(counts), strict=True)
        histogram.add_metric(labels, list(buckets), total)
    return histogram


def _by_first_label(rows: Rows) -> Rows:
    found: Rows = {}
    for (first, *_), row in rows.items():
        kept = found.get((first,)) or [0.0] * len(row)
        found[first,] = [a + b for a, b in zip(kept, row, strict=True)]
    return found


class _Collected:
    """What `generate_latest` takes for a registry."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self.metrics
