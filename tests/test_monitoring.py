"""docs/monitoring.md and the alert rules name what `/metrics` and the log really have."""

import re
from typing import Any

import pytest
import yaml
from django.utils import timezone
from prometheus_client.core import Metric

from licenses.checking.results import PASSING
from licenses.figures import snapshot
from licenses.figures.prometheus import business
from portal import __version__
from portal.metrics import families, installation, instruments, node
from portal.server import cache, front
from tests.support.repository import ROOT

PREFIX = "license_portal_"
FOREIGN = {"up", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
"""Metrics of Prometheus itself and of the node exporter."""

PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
RULES = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text("utf-8"))
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
TELL = [cache, front]
"""Modules in which processes tell figures of their own, imported by the server."""


@pytest.fixture
def told(signing_key: Any) -> dict[str, tuple[str, set[str]]]:
    """Return kind and labels of every metric, by its name."""
    now = timezone.now()
    found: list[Metric] = [
        *families.families(),
        *installation.families(),
        *business(snapshot.count(now=now), now, now),
    ]
    labels = {each.name: set(each._labelnames) for each in found}  # type: ignore[attr-defined]
    kinds = {each.name: each.type for each in found}
    return {
        f"{name}_total" if kinds[name] == "counter" else name: (kinds[name], labels[name])
        for name in labels
    }


def table(title: str) -> list[list[str]]:
    """Return the cells of the table in a section, without its head."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for line in section[1].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def documented() -> dict[str, tuple[str, set[str]]]:
    """Return kind and labels of every metric of the page, by its name."""
    return {
        PREFIX + name.strip("`"): (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in table("Metrics")
    }


@pytest.mark.django_db
def test_the_page_lists_every_metric_with_its_kind_and_labels(told):
    page = documented()
    assert {name: kind for name, (kind, _) in page.items()} == {n: k for n, (k, _) in told.items()}
    # A metric of the business without a sample shows no labels, such as that of plans.
    assert {
        n: page[n][1] for n, (_, labels) in told.items() if labels and labels != page[n][1]
    } == {}


@pytest.mark.django_db
def test_every_rule_uses_metrics_and_labels_that_are_there(told):
    page = documented()
    matchers = re.compile(r"\b(license_portal_\w+?)(?:_bucket)?\{([^}]*)\}")
    for alert in ALERTS:
        used = set(re.findall(r"\b(?:license_portal|node)_\w+\b|\bup\b", alert["expr"]))
        ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used - FOREIGN}
        assert (bool(used), sorted(ours - told.keys())) == (True, [])
        for name, matched in matchers.findall(alert["expr"]):
            assert sorted(set(re.findall(r"(\w+)[=!]", matched)) - page[name][1]) == []


def test_every_alert_says_what_to_do_and_is_explained_in_the_page():
    names = [alert["alert"] for alert in ALERTS]
    assert names == re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
    assert len(names) == len(set(names))
    for alert in ALERTS:
        assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"]["summary"].endswith(".")
        anchor = alert["alert"].lower()
        assert alert["annotations"]["action"].endswith(f": docs/monitoring.md#{anchor}")


def test_the_rules_know_the_results_that_pass():
    found = {word for a in ALERTS for word in re.findall(r'result[=!]~"([^"]*)"', a["expr"])}
    assert found == {"|".join(sorted(PASSING, reverse=True))}


def test_the_release_has_one_number():
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_no_metric_is_there_twice():
    names = [one.name for one in instruments.INSTRUMENTS] + [gauge.name for gauge in node.GAUGES]
    names += [f"{PREFIX}{total.name}" for total in installation.TOTALS]
    assert len(names) == len(set(names))
