"""Which mails a tenant gets, when, and who gets them besides its owners and managers."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from licenses import reminders
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from portal.mail.models import Outbox
from portal.tenants.flows.members import leave_tenant
from portal.tenants.flows.notifications import choose_notifications, stop_notifications
from portal.tenants.models import EXPIRY_DAYS, Recipient, Topic
from portal.tenants.notices import notify
from tests.support.factories import make_license, make_subscription
from tests.support.people import member_actor

pytestmark = pytest.mark.django_db

ADDRESS = reverse("tenant:notifications")
ALL = {"topics": list(Topic.values), "expiry_days": list(EXPIRY_DAYS)}
OPERATIONS = "operations@contoso.example"


def choose(tenant, **fields):
    values = {**ALL, "recipients": [], "actor": SYSTEM, **fields}
    return choose_notifications(tenant=tenant, **values)


def sent_to() -> list[str]:
    return sorted(Outbox.objects.values_list("to", flat=True))


def test_the_page_shows_what_is_chosen_and_keeps_what_is_sent(manager_client, owner, contoso):
    page = manager_client.get(ADDRESS).content.decode()
    assert page.count("checked") == len(Topic) + len(EXPIRY_DAYS)
    answer = manager_client.post(
        ADDRESS,
        {
            "topics": ["keys", "expiry"],
            "expiry_days": ["30", "7"],
            "recipients": " Operations@Contoso.example\nlist@bücher.example, "
            "OPERATIONS@contoso.example",
        },
    )
    assert (answer.status_code, answer["Location"]) == (302, ADDRESS)
    page = manager_client.get(ADDRESS).content.decode()
    assert re.findall(r'value="(\w+)"[^>]*\schecked', page) == ["expiry", "keys", "30", "7"]
    assert f"{OPERATIONS}\nlist@xn--bcher-kva.example</textarea>" in page
    [entry] = LogEntry.objects.for_tenant(contoso.pk)
    assert (entry.action, entry.details["after"]) == (
        "tenant.notifications_changed",
        {
            "topics": ["expiry", "keys"],
            "expiry_days": [30, 7],
            "recipients": [OPERATIONS, "list@xn--bcher-kva.example"],
        },
    )
    assert list(Outbox.objects.order_by("pk").values_list("to", "subject")) == [
        (OPERATIONS, "Contoso sends you news of its license keys"),
        ("list@xn--bcher-kva.example", "Contoso sends you news of its license keys"),
        (owner.email, "Notifications of Contoso were changed by Manager"),
    ]


@pytest.mark.parametrize(
    ("recipients", "sentence"),
    [
        ("a@contoso.example\nnobody", "No mail can be sent to nobody."),
        ("jürgen@contoso.example", "No mail can be sent to jürgen@contoso.example."),
        (
            "\n".join(f"a{number}@contoso.example" for number in range(11)),
            "These are more than 10 addresses.",
        ),
    ],
)
def test_an_address_that_is_not_possible_is_named_beside_the_field(
    recipients, sentence, manager_client
):
    answer = manager_client.post(ADDRESS, ALL | {"recipients": recipients})
    assert answer.status_code == 422
    assert answer.context["form"].errors == {"recipients": [sentence]}
    assert recipients.splitlines()[0] in answer.content.decode()
    assert not Recipient.objects.exists()


def test_what_was_typed_is_kept_while_proof_is_asked_for(manager, client_for):
    client = client_for(manager, at=timezone.now() - timedelta(hours=1))
    typed = {"topics": ["keys", "members"], "expiry_days": ["3", "1"], "recipients": OPERATIONS}
    assert "/reauthenticate/" in client.post(ADDRESS, typed)["Location"]
    page = client.get(ADDRESS).content.decode()
    assert re.findall(r'value="(\w+)"[^>]*\schecked', page) == ["keys", "members", "3", "1"]
    assert f"{OPERATIONS}</textarea>" in page


def test_the_same_again_tells_nobody(contoso, owner):
    choose(contoso)
    choose(contoso)
    assert (Outbox.objects.count(), LogEntry.objects.count()) == (0, 0)


def test_a_topic_that_was_left_out_is_not_mailed(contoso, owner, manager):
    choose(contoso, topics=[Topic.MEMBERS], recipients=[OPERATIONS])
    Outbox.objects.all().delete()
    notify(contoso.pk, topic=Topic.KEYS, subject="Keys")
    assert sent_to() == []
    leave_tenant(tenant=contoso, actor=member_actor(manager))
    assert sent_to() == [OPERATIONS, owner.email]
    assert Outbox.objects.get(to=owner.email).subject == "Manager left Contoso"


def test_one_statement_finds_that_whoever_acts_is_alone(contoso, owner, django_assert_num_queries):
    with django_assert_num_queries(1):
        notify(contoso.pk, topic=Topic.KEYS, subject="Keys", actor=owner.as_actor())
    Recipient.objects.create(tenant=contoso, email=OPERATIONS)
    notify(contoso.pk, topic=Topic.KEYS, subject="Keys", actor=owner.as_actor())
    assert sent_to() == [OPERATIONS]


def test_whoever_acts_gets_no_mail_of_it(contoso, owner, manager):
    notify(contoso.pk, topic=Topic.KEYS, subject="Keys", actor=owner.as_actor())
    assert sent_to() == [manager.email]
    text = Outbox.objects.get().text
    assert text.endswith(
        "You get this mail as a manager of Contoso. Choose which mails are sent:\n"
        "http://localhost:8000/tenant/notifications/"
    )


@pytest.mark.parametrize(
    ("days", "told"),
    [(EXPIRY_DAYS, [60, 30, 14, 7, 3, 1, 0]), ((30, 3), [30, 3, 0]), ((), [0])],
)
def test_mails_before_an_expiry_come_on_the_chosen_days(days, told, contoso, owner, signing_key):
    choose(contoso, expiry_days=days)
    Outbox.objects.all().delete()
    license = make_license(subscription=make_subscription(tenant=contoso, plan="smb-yearly"))
    expiry = license.keys.first().expires_at
    found = [
        left for left in range(62, -3, -1) if reminders.send(now=expiry - timedelta(days=left))
    ]
    assert found == told
    assert Outbox.objects.count() == len(told)


def test_without_mails_of_expiries_none_is_sent_and_none_is_made_up_for(
    contoso, owner, signing_key
):
    choose(contoso, topics=[])
    Outbox.objects.all().delete()
    license = make_license(subscription=make_subscription(tenant=contoso, plan="smb-yearly"))
    expiry = license.keys.first().expires_at
    assert reminders.send(now=expiry - timedelta(days=30)) == 0
    choose(contoso)
    Outbox.objects.all().delete()
    assert reminders.send(now=expiry - timedelta(days=29)) == 0
    assert reminders.send(now=expiry - timedelta(days=14)) == 1


# The link that stops them


@pytest.fixture
def link(contoso, owner) -> str:
    choose(contoso, recipients=[OPERATIONS, "other@contoso.example"])
    [found] = re.findall(
        r"http://localhost:8000(/notifications/stop/\S+/)", Outbox.objects.get(to=OPERATIONS).text
    )
    return found


def test_a_recipient_stops_the_mails_without_an_account(link, contoso, client):
    page = client.get(link)
    assert (page.status_code, "Stop these mails?" in page.content.decode()) == (200, True)
    assert Recipient.objects.active().count() == 2
    assert "The mails are stopped" in client.post(link).content.decode()
    Outbox.objects.all().delete()
    notify(contoso.pk, topic=Topic.KEYS, subject="Keys")
    assert sent_to() == ["other@contoso.example", "owner@contoso.example"]
    entry = LogEntry.objects.for_tenant(contoso.pk).first()
    assert (entry.actor_name, entry.details["after"]) == (
        "Recipient of the mail",
        {"recipients": ["other@contoso.example"]},
    )
    assert [client.get(link).status_code, client.post(link).status_code] == [404, 404]


def test_two_who_press_at_once_stop_it_once(link, contoso):
    recipient = Recipient.objects.get(email=OPERATIONS)
    for _ in range(2):
        stop_notifications(recipient=recipient)
    assert LogEntry.objects.for_tenant(contoso.pk).count() == 2  # the choice, and the end


def test_a_link_that_was_changed_stops_nothing(link, client):
    assert client.post(link.replace(":", "x", 1)).status_code == 404
    assert Recipient.objects.active().count() == 2


def test_a_removed_address_gets_no_mail_and_can_be_added_again(link, contoso):
    choose(contoso, recipients=["other@contoso.example"])
    assert [r.email for r in Recipient.objects.active()] == ["other@contoso.example"]
    choose(contoso, recipients=[OPERATIONS])
    assert [r.email for r in Recipient.objects.active()] == [OPERATIONS]


def test_a_tenant_cannot_mail_the_whole_world(contoso):
    for times in range(2):
        choose(contoso, recipients=[f"{times}-{n}@world.example" for n in range(10)])
    with pytest.raises(Refused) as refusal:
        choose(contoso, recipients=["one-more@world.example"])
    assert refusal.value.sentence == "More than 20 addresses in 24 hours. Wait a day."
    with time_machine.travel(timezone.now() + timedelta(days=1, seconds=1)):
        choose(contoso, recipients=["one-more@world.example"])


def test_a_mail_program_stops_them_with_one_post(link):
    """It sends no cookie, and so no CSRF token (RFC 8058 3.2)."""
    stranger = Client(enforce_csrf_checks=True)
    assert stranger.post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert [r.email for r in Recipient.objects.active()] == ["other@contoso.example"]
