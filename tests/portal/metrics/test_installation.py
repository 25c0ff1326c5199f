"""What the worker and commands count is told by every node, wherever they ran."""

import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import Error, connection, transaction
from django.test import Client

from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import SYSTEM
from portal.mail.heartbeat import Heart
from portal.mail.worker import Task, work
from portal.metrics import installation, node
from portal.metrics.installation import WORKER_TASKS
from tests.support.metrics import samples

pytestmark = pytest.mark.django_db(transaction=True)

TASKS, FAULTS = "license_portal_worker_tasks_total", "license_portal_log_faults_total"


@pytest.fixture(autouse=True)
def _nothing_gathered():
    for total in installation.TOTALS:
        total._gathered.clear()


@pytest.fixture
def told(settings, tmp_path, monkeypatch):
    """Return a function that tells them as a node with a DATA_DIR of its own does."""
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(node, "PROCESS", node.Process())
    headers = {"Authorization": f"Bearer {settings.METRICS_TOKEN}"}

    def told() -> dict[str, float]:
        found = samples(Client().get("/metrics", headers=headers).content.decode())
        return {name: count for name, count in found.items() if name.startswith((TASKS, FAULTS))}

    return told


def do(**functions):
    """Do tasks once, by their names."""
    tasks = [Task(name=name, period=1, do=function) for name, function in functions.items()]
    work(tasks, stopping=threading.Event(), once=True)


def test_a_node_tells_what_a_worker_has_done_elsewhere(told):
    assert told() == {FAULTS: 0}
    do(Mail=lambda: None, Figures=lambda: 1 / 0)
    Heart()._beat()
    do(Mail=lambda: None)
    Heart()._beat()
    assert told() == {
        FAULTS: 0,
        f'{TASKS}{{outcome="done",task="Figures"}}': 0,
        f'{TASKS}{{outcome="failed",task="Figures"}}': 1,
        f'{TASKS}{{outcome="done",task="Mail"}}': 2,
        f'{TASKS}{{outcome="failed",task="Mail"}}': 0,
    }


def test_a_node_tells_faults_of_the_log_that_a_command_has_found(told, settings):
    with transaction.atomic():
        record(actor=SYSTEM, action=Action.RECORD_ADDED)
    settings.LOG_KEY = "another key of at least thirty-two characters"
    with pytest.raises(CommandError, match="The log is not whole"):
        call_command("verify_log")
    assert told() == {FAULTS: 1}


def test_what_cannot_be_stored_is_kept_and_stored_later(told):
    WORKER_TASKS.add("Mail", "done", count=2)
    with connection.execute_wrapper(_refused), pytest.raises(Error):
        installation.store()
    WORKER_TASKS.add("Mail", "done")
    installation.store()
    assert told()[f'{TASKS}{{outcome="done",task="Mail"}}'] == 3


def _refused(*_):
    raise Error
