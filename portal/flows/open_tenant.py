"""Open an account for a new customer."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from portal import activity
from portal.activity import Action
from portal.actors import Actor
from portal.flows import invitations
from portal.models import Role, Tenant
from portal.refusal import Refused


@transaction.atomic
def open_tenant(*, tenant: Tenant, owner_email: str, actor: Actor, reason: str) -> Tenant:
    """Store a new tenant, invite its first owner by mail, and return it.

    Raises Refused when its name or country will not do, or when nobody can be invited.
    """
    try:
        tenant.full_clean()
    except ValidationError as error:
        field, [sentence, *_] = next(iter(error.message_dict.items()))
        raise Refused(sentence, field=field) from error
    tenant.save(force_insert=True)
    invitation = invitations.offer(
        tenant=tenant, email=owner_email, role=Role.OWNER, actor=actor, now=timezone.now()
    )
    activity.record(
        actor=actor,
        action=Action.TENANT_OPENED,
        tenant_id=tenant.pk,
        reason=reason,
        details={
            "before": {},
            "after": {
                "name": tenant.name,
                "country": tenant.country,
                "requires_two_factor": tenant.requires_two_factor,
                "invited_owner": invitation.email,
            },
        },
    )
    return tenant
