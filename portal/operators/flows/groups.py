"""Who is an operator, and in which groups."""

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.db import transaction

from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.refusal import Refused


@transaction.atomic
def set_operator(
    *, user: User, is_staff: bool, groups: Iterable[Group], actor: Actor, reason: str
) -> User:
    """Make the user an operator in exactly these groups, or no operator; return the user.

    Raises Refused for the actor's own account, and for an account that may do everything.
    """
    locked = User.objects.select_for_update().get(pk=user.pk)
    if locked.pk == actor.user_id:
        raise Refused("Another operator must change your own groups.")
    if locked.is_superuser:
        raise Refused("This account may do everything; groups change nothing.")
    wanted = sorted(group.name for group in groups) if is_staff else []
    before = {"operator": locked.is_staff, "groups": _names(locked)}
    after = {"operator": is_staff, "groups": wanted}
    if before == after:
        return locked
    locked.is_staff = is_staff
    locked.save(update_fields=["is_staff"])
    locked.groups.set(Group.objects.filter(name__in=wanted))
    record(
        actor=actor,
        action=Action.OPERATOR_CHANGED,
        reason=reason,
        details={"user": locked.email, "id": str(locked.pk), "before": before, "after": after},
    )
    return locked


def _names(user: User) -> list[str]:
    return sorted(user.groups.values_list("name", flat=True))
