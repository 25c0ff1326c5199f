"""What a tenant's owners change about it."""

from django.core.exceptions import ValidationError
from django.db import transaction

from portal import activity
from portal.activity import Action
from portal.actors import Actor
from portal.flows.members import refuse_unless_owner
from portal.locking import lock_tenant
from portal.models import Tenant
from portal.refusal import Refused
from portal.second_factor import has_second_factor


@transaction.atomic
def update_tenant(
    *, tenant: Tenant, name: str, country: str, requires_two_factor: bool, actor: Actor
) -> Tenant:
    """Change what differs and return the tenant.

    Raises Refused when the actor is no owner any more, when the country would change after
    license keys were generated (it stands in them), or when members would have to use a second
    factor which the actor does not have.
    """
    if country != tenant.country:
        # Generate reads the country under the lock of a subscription: it must not be under way.
        list(tenant.subscriptions.select_for_update().order_by("pk").values_list("pk"))
    locked = lock_tenant(tenant.pk)
    refuse_unless_owner(locked, actor)
    if country != locked.country and locked.licenses.exists():
        raise Refused(
            "The country is fixed, because license keys of this tenant hold it.", field="country"
        )
    if requires_two_factor and not (locked.requires_two_factor or has_second_factor(actor.user_id)):
        raise Refused(
            "Set up a second factor for yourself first: this would lock you out.",
            field="requires_two_factor",
        )
    wanted = {"name": name, "country": country, "requires_two_factor": requires_two_factor}
    changes = {
        column: {"before": getattr(locked, column), "after": value}
        for column, value in wanted.items()
        if getattr(locked, column) != value
    }
    if not changes:
        return locked
    for column in changes:
        setattr(locked, column, wanted[column])
    try:
        locked.full_clean()
    except ValidationError as error:
        field, [sentence, *_] = next(iter(error.message_dict.items()))
        raise Refused(sentence, field=field) from error
    locked.save(update_fields=list(changes))
    activity.record(actor=actor, action=Action.TENANT_CHANGED, tenant_id=locked.pk, details=changes)
    return locked
