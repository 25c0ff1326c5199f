"""The accounts of the demonstration are refused in production, whenever the database answers."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.backends.signals import connection_created

from portal.accounts.models import User
from portal.config.checks import no_demonstration_accounts, refuse_demonstration_accounts
from tests.support.accounts import make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
REFUSAL = "This database holds the accounts of the demonstration"


@pytest.fixture
def away(settings, tmp_path):
    """Start in production while the database is away, and let it come back."""
    settings.DEMONSTRATION = False
    name, connection.settings_dict["NAME"] = connection.settings_dict["NAME"], tmp_path / "no" / "x"
    connection.close()
    try:
        with pytest.raises(OperationalError):
            User.objects.count()
        refuse_demonstration_accounts()
        assert no_demonstration_accounts(databases=["default"]) == []
    finally:
        connection.settings_dict["NAME"] = name
        connection.close()
    receivers = len(connection_created.receivers)
    yield receivers
    connection_created.disconnect(dispatch_uid="portal.config.checks")


def test_they_are_refused_when_the_database_comes_back(owner, away):
    for _ in range(2):
        with pytest.raises(ImproperlyConfigured, match=REFUSAL):
            User.objects.count()
    connection_created.disconnect(dispatch_uid="portal.config.checks")


def test_a_database_without_them_is_looked_at_once(db, away):
    assert User.objects.count() == 0
    assert len(connection_created.receivers) == away - 1
    make_user(email="owner@contoso.example")
    connection.close()
    assert User.objects.count() == 1


def test_no_worker_runs_on_them(owner, settings):
    settings.DEMONSTRATION = False
    with pytest.raises(CommandError, match=REFUSAL):
        call_command("run_worker", "--once")
