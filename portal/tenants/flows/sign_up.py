"""Sign up: an account and the tenant that it owns."""

from allauth.socialaccount.models import SocialAccount
from django.db import IntegrityError, transaction

from portal.accounts.flows.accounts import TAKEN, new_user, store_account
from portal.activity.actions import Action
from portal.activity.changes import addition
from portal.activity.entries import record
from portal.core import names
from portal.core.refusal import Refused
from portal.tenants.models import Member, Role, Tenant


def sign_up_owner(
    *,
    email: str,
    name: str,
    password: str | None,
    identity: SocialAccount | None,
    tenant_name: str,
    country: str,
    address: str = "",
) -> Member:
    """Make an account for a verified address, and a tenant that it owns; return the membership.

    The user signs in with the password, or with the identity at a provider. `address` is the
    network address for the log. Raises Refused when somebody already signs in with the email
    address, or when it or a name is not acceptable.
    """
    longest = Tenant._meta.get_field("name").max_length
    tenant_name = names.admitted(
        tenant_name, max_length=longest, in_mails=True, field="tenant_name"
    )
    user = new_user(email=email, name=name, password=password)
    try:
        with transaction.atomic():
            store_account(user=user, identity=identity)
            tenant = Tenant.objects.create(name=tenant_name, country=country)
            member = Member.objects.create(tenant=tenant, user=user, role=Role.OWNER)
            record(
                actor=user.as_actor(address),
                action=Action.TENANT_CREATED,
                tenant_id=tenant.pk,
                details=addition(tenant, ["name", "country"]),
            )
    except IntegrityError as error:  # somebody signed up with the address at the same moment
        raise Refused(TAKEN) from error
    return member
