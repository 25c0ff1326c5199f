"""People of a tenant: who acts, which membership, what the log says of them."""

import pytest

from portal.activity.models import LogEntry
from portal.core.actors import Actor, ActorKind
from portal.core.refusal import Refused
from portal.tenants.models import Member


def member_actor(user):
    return Actor(kind=ActorKind.MEMBER, name=user.name, user_id=user.pk, email=user.email)


def member(user):
    return Member.objects.select_related("tenant", "user").get(user=user)


def log(tenant):
    return list(LogEntry.objects.for_tenant(tenant.pk).values_list("action", "details"))


def refusal(act):
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.sentence
