"""Where PostgreSQL's programs are, and a backup to restore."""

import os
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from licenses.store.backup import back_up
from subscriptions.models import Subscription
from tests.support.factories import make_subscription
from tests.support.license_flows import generated
from tests.support.stores import PROGRAMS


@pytest.fixture(autouse=True)
def _programs(monkeypatch):
    """Put those of the tests' server first on the PATH; Debian's may be older."""
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def subscription(signing_key, contoso) -> Subscription:
    """A subscription whose license keys were generated."""
    made = make_subscription(tenant=contoso, name="Ours")
    generated(made)
    return made


@pytest.fixture
def backup(transactional_db, subscription, tmp_path) -> Path:
    """The folder of a backup with one license and one session."""
    Session.objects.create(session_key="k" * 32, session_data="", expire_date=timezone.now())
    return back_up(tmp_path / "backups", now=timezone.now())
