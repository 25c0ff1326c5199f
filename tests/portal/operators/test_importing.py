"""The import of CSV files: a dry run with a result for every row, then the rows; and exports."""

import csv
import io
import re
from datetime import UTC, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from portal.accounts.proof import proof_address
from portal.activity.models import LogEntry
from portal.core.dates import NOT_ISO, OUT_OF_RANGE
from portal.mail.models import Outbox
from portal.operators import importing
from portal.operators.model_admin import BAD_FILTER
from portal.tenants.models import Invitation, Tenant
from portal.webhooks.models import Endpoint
from subscriptions.models import Plan, State, Subscription
from tests.support.accounts import sign_in, stale
from tests.support.admin_pages import address
from tests.support.factories import make_subscription
from tests.support.operator_actions import TENANTS, operator_of


def send(client, model, text, **fields):
    file = SimpleUploadedFile("table.csv", text.encode("utf-8-sig"), "text/csv")
    values = {"file": file, "reason": "Bought", **fields}
    return client.post(address(model, "import"), values)


def confirm(client, model, response):
    """Send the form that the dry run answered with."""
    return client.post(
        address(model, "import"),
        {"text": response.context["text"], "reason": "Bought", "confirmed": "1"},
    )


def results(response):
    assert response.status_code == 200
    return [(result.line, result.text) for result in response.context["results"]]


def test_a_dry_run_shows_every_row_result_and_stores_nothing(operator_client, contoso):
    response = send(operator_client, Tenant, TENANTS)
    assert results(response) == [
        (2, "Added"),
        (3, "Added"),
        (4, "country: XXX is not a country code: three letters, such as USA."),
        (5, "There is a tenant Contoso in this country already."),
    ]
    assert [row.line for row in response.context["refused_first"]] == [4, 5, 2, 3]
    assert Tenant.objects.get() == contoso
    left = LogEntry.objects.count(), Outbox.objects.count(), Invitation.objects.count()
    assert left == (0, 0, 0)


def test_the_confirmed_file_is_imported_row_by_row(operator_client, contoso):
    dry = send(operator_client, Tenant, TENANTS)
    assert results(confirm(operator_client, Tenant, dry)) == results(dry)
    made = Tenant.objects.exclude(pk=contoso.pk).order_by("name")
    assert [(t.name, t.country, t.requires_two_factor) for t in made] == [
        ("=Formula, Inc", "USA", False),
        ("Northwind", "NLD", True),
    ]
    assert [mail.to for mail in Outbox.objects.order_by("pk")] == [
        "jane@northwind.example",
        "joe@formula.example",
    ]
    told = [(row.action, row.reason) for row in LogEntry.objects.all()]
    assert told == [("tenant.opened", "Bought")] * 2


def test_a_file_needs_a_recent_proof(operator, contoso, client_for):
    client = client_for(operator, at=stale())
    response = client.get(address(Tenant, "import"))  # before a file is chosen
    assert response.headers["Location"] == proof_address(address(Tenant, "import"))
    response = send(client, Tenant, TENANTS)
    assert response.headers["Location"] == proof_address(address(Tenant, "import"))
    assert Tenant.objects.get() == contoso


def test_a_dry_run_is_shown_again_after_the_proof(operator, contoso, client_for):
    client = client_for(operator, at=stale())
    sent = {"text": TENANTS, "reason": "Bought", "confirmed": "1"}
    response = client.post(address(Tenant, "import"), sent)
    assert response.headers["Location"] == proof_address(address(Tenant, "import"))
    sign_in(client, operator)
    shown = client.get(address(Tenant, "import"))
    assert [row.refused for row in shown.context["results"]] == [False, False, True, True]
    assert (shown.context["is_done"], Tenant.objects.get()) == (False, contoso)
    reason = shown.context["form"].cleaned_data["reason"]
    assert (shown.context["text"], reason) == (TENANTS, "Bought")
    confirm(client, Tenant, shown)
    assert Tenant.objects.count() == 3


@pytest.mark.parametrize("fields", [{"text": TENANTS}, {"confirmed": "1"}])
def test_a_file_that_no_dry_run_has_shown_is_not_imported(fields, operator_client, contoso):
    text = b"name,country,owner_email\nNever Shown Ltd,USA,a@b.example\n"
    file = SimpleUploadedFile("table.csv", text, "text/csv")
    sent = {"file": file, "reason": "Bought", **fields}
    response = operator_client.post(address(Tenant, "import"), sent)
    assert (response.status_code, response.context["form"].errors["file"]) == (
        422,
        ["No dry run has shown this file. Send it alone."],
    )
    assert Tenant.objects.get() == contoso


def test_subscriptions_are_imported(operator_client, contoso):
    text = (
        "tenant,plan,name,starts_at,ends_at\n"
        f"{contoso.pk},smb-yearly,Terminals,2027-01-31,2028-01-31\n"
        f"{contoso.pk},smb-yearly,Terminals,,\n"
        f"{contoso.pk},demo-yearly,Trial,,\n"
        f"{contoso.pk},none,Other,,\n"
    )
    dry = send(operator_client, Subscription, text)
    assert [text.partition(".")[0] for _, text in results(dry)] == [
        "Added",
        "The tenant has a subscription Terminals of this plan already",
        "The plan Demo (2023-05 terminals) yearly is not offered",
        "plan: There is no plan with the code none",
    ]
    confirm(operator_client, Subscription, dry)
    made = Subscription.objects.get()
    assert (made.name, made.plan.code, made.state) == ("Terminals", "smb-yearly", State.PENDING)
    assert f"{made.starts_at:%Y-%m-%d} {made.ends_at:%Y-%m-%d}" == "2027-01-31 2028-01-31"


def test_a_tenant_is_found_by_name_or_owner_and_every_error_is_told(
    operator_client, contoso, owner
):
    text = (
        "tenant,plan,name,ends_at\n"
        "contoso,smb-yearly,A,\n"
        f"{owner.email},smb-yearly,B,\n"
        "Nowhere,smb-yerly,C,31.12.2027\n"
    )
    dry = send(operator_client, Subscription, text)
    told = dict(results(dry))
    assert (told[2], told[3]) == ("Added", "Added")
    for sentence in ("There is no tenant Nowhere.", "Did you mean smb-yearly?", NOT_ISO):
        assert sentence in told[4]
    sent = {"text": dry.context["text"], "reason": "Bought"}
    mend = operator_client.post(f"{address(Subscription, 'import')}refused/", sent)
    lines = b"".join(mend.streaming_content).decode("utf-8-sig").splitlines()
    assert lines == ["tenant,plan,name,ends_at", "Nowhere,smb-yerly,C,31.12.2027"]


FORGIVEN = [
    "tenant,plan,name,ends_at\n{0},smb-yearly,A,2027-01-31\n{0},smb-yearly,B,\n",
    "tenant;plan;name;ends_at\n{0};smb-yearly;A;2027-01-31\n{0};smb-yearly;B;\n",
    "tenant\tplan\tname\tends_at\n{0}\tsmb-yearly\tA\t2027-01-31\n{0}\tsmb-yearly\tB\t\n",
    " Tenant ,PLAN,Name,Ends_At,,\n {0} , smb-yearly ,\u00a0A, 2027-01-31 ,,\n{0},smb-yearly,B,,,",
    "\n,,,\ntenant,plan,name,ends_at\r\n\r\n{0},smb-yearly,A,2027-01-31\r\n,,,\n{0},smb-yearly,B,\n",
]


@pytest.mark.parametrize("text", FORGIVEN)
def test_what_programs_write_differently_is_forgiven(text, operator_client, contoso):
    dry = send(operator_client, Subscription, text.format(contoso.pk))
    assert [row.text for row in dry.context["results"]] == ["Added", "Added"]
    confirm(operator_client, Subscription, dry)
    made = Subscription.objects.order_by("name").values_list("name", "ends_at")
    end = datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert list(made) == [("A", end), ("B", None)]


def test_the_dry_run_says_what_was_understood(operator_client, contoso):
    text = (
        "tenant,plan,name,starts_at,ends_at\n"
        f"{contoso.pk},smb-yearly,A,2027-01-31T01:00+05:30,2027-12-31\n"
    )
    response = send(operator_client, Subscription, text)
    [row] = response.context["results"]
    plan = Plan.objects.get(code="smb-yearly")
    assert dict(row.understood) == {
        "tenant": "Contoso",
        "plan": str(plan),
        "name": "A",
        "starts_at": "30 Jan 2027 at 19:30 UTC",
        "ends_at": "31 Dec 2027 at 23:59 UTC",
    }
    assert "ends_at: 31 Dec 2027 at 23:59 UTC" in response.content.decode()


@pytest.mark.parametrize(
    ("ends_at", "sentence"),
    [
        ("31.12.2027", NOT_ISO),
        ("12/31/2027", NOT_ISO),
        ("9999-12-31", OUT_OF_RANGE),
        ("0001-01-01T00:00+14:00", OUT_OF_RANGE),
        ("99999999999999999999999", NOT_ISO),
    ],
)
def test_a_date_that_is_not_understood_refuses_its_row(ends_at, sentence, operator_client, contoso):
    text = f"tenant,plan,name,ends_at\n{contoso.pk},smb-yearly,A,{ends_at}\n"
    assert results(send(operator_client, Subscription, text)) == [(2, f"ends_at: {sentence}")]


def test_lines_are_counted_as_an_editor_does(operator_client):
    text = 'name,country,owner_email\n"A\nB",USA,a@b.example\n\nC,XXX,a@b.example\n'
    found = results(send(operator_client, Tenant, text))
    assert [line for line, _ in found] == [2, 5]


def test_what_was_exported_is_imported_as_it_was(operator_client):
    name = "=A;=B \uff1dC,-D"
    Tenant.objects.create(name=name, country="USA", requires_two_factor=True)
    response = operator_client.get(address(Tenant, "export"))
    exported = b"".join(response.streaming_content).decode("utf-8-sig")
    heads = ["name", "country", "requires two factor", "owner email"]
    [row] = csv.DictReader(io.StringIO(exported))
    row["owner email"] = "a@b.example"
    Tenant.objects.all().delete()
    table = io.StringIO()
    csv.writer(table).writerows([heads, [row[head] for head in heads]])
    confirm(operator_client, Tenant, send(operator_client, Tenant, table.getvalue()))
    made = Tenant.objects.get()
    assert (made.name, made.country, made.requires_two_factor) == (name, "USA", True)


@pytest.mark.parametrize(
    ("word", "country", "expected"),
    [("TRUE", "USA", True), ("False", "usa", False), ("true", "Usa", True), ("", "USA", False)],
)
def test_codes_are_read_in_any_case(word, country, expected, operator_client):
    text = f"Name,Country,Owner Email,Requires  Two factor\nA,{country},a@b.example,{word}\n"
    confirm(operator_client, Tenant, send(operator_client, Tenant, text))
    made = Tenant.objects.get()
    assert (made.country, made.requires_two_factor) == ("USA", expected)


BIG = "9" * 23
STRANGE = [
    (Subscription, "effective_state=nonsense"),
    (Subscription, "country=XX"),
    (Subscription, "is_self_started__exact=7"),
    (Subscription, "plan__id__exact=999999"),
    (Subscription, f"plan__id__exact={BIG}"),
    (Subscription, "plan=999999"),
    (Subscription, "tenant__id__exact=00000000-0000-0000-0000-000000000001"),
    (Subscription, "pk__in=1,x"),
    (Subscription, "state__exact=nonsense"),
    (Subscription, "state=nonsense"),
    (Subscription, "state__in=active,nonsense"),
    (Subscription, "state__exact=active&state__exact=nonsense"),
    (Subscription, "created_at__gte=2027-13-01"),
    (Subscription, "plan__isnull=maybe"),
    (Subscription, "nothing=x"),
    (Subscription, "o=abc"),
    (Subscription, "o=99"),
    (Subscription, "p=abc"),
    (Subscription, f"p={BIG}"),
    (Subscription, "q=%00"),
    (LogEntry, f"seq__gt={BIG}"),
    (LogEntry, "actor_kind__exact=nonsense"),
    (Outbox, "state=maybe"),
    (Endpoint, "off_at__isempty=maybe"),
]
REFUSED = [
    (Subscription, "created_at__month=13"),
    (Subscription, "name__regex=("),
    (Subscription, "name__iregex=(a%2B)%2B$"),
    (Subscription, "tenant__name__regex=("),
    (LogEntry, "at__day=31&at__month=2"),
    (LogEntry, "details__foo=x"),
    (LogEntry, "details__id__regex=("),
    (LogEntry, "details__id__foo=x"),
]
UNDERSTOOD = [
    (Subscription, "effective_state=pending&o=-1.2&p=1&q=Term"),
    (Subscription, "o=&state__in=pending,active&plan__isnull=0"),
    (Subscription, "tenant__id__exact={tenant}&created_at__gt=2026-01-01T00:00:00%2B00:00"),
    (LogEntry, "tenant_id__exact={tenant}&details__id=x&seq__gt=0"),
    (Outbox, "state=failing"),
    (Endpoint, "off_at__isempty=1"),
]


@pytest.mark.parametrize(("model", "query"), STRANGE)
def test_an_export_refuses_a_filter_that_is_not_understood(model, query, operator_client, contoso):
    make_subscription(tenant=contoso)
    response = operator_client.get(f"{address(model, 'export')}?{query}")
    assert response.status_code == 400
    assert BAD_FILTER in response.content.decode()


@pytest.mark.parametrize("page", ["changelist", "export"])
@pytest.mark.parametrize(("model", "query"), REFUSED)
def test_no_list_takes_a_look_up_that_it_does_not_offer(
    model, query, page, operator_client, contoso
):
    make_subscription(tenant=contoso)
    assert operator_client.get(f"{address(model, page)}?{query}").status_code == 400


@pytest.mark.parametrize("page", ["changelist", "export"])
@pytest.mark.parametrize(("model", "query"), UNDERSTOOD)
def test_what_pages_link_to_is_understood(model, query, page, operator_client, contoso):
    query = query.format(tenant=contoso.pk)
    assert operator_client.get(f"{address(model, page)}?{query}").status_code == 200


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The submitted file is empty."),
        ("name\nA\n", "each once. Missing: country, owner_email."),
        ("name,country,owner_email,size\n", "each once. Unknown: size."),
        ("name,name,country,owner_email\n", "each once"),
        ("name,country,owner_email\n", "The file has 0 rows"),
        ("name,country,owner_email\nA,USA\n", "Line 2 has more or fewer cells"),
        ("name,country,owner_email\n" + "A,USA,a@b.example\n" * 501, "The file has 501 rows"),
        ('name,country,owner_email\n"A,USA\n', "unexpected end of data"),
        ("x" * (256 * 1024 + 1), "The file is larger than 256 KiB. Split it."),
    ],
)
def test_a_file_that_can_not_be_read_is_refused_with_a_sentence(text, sentence, operator_client):
    file = SimpleUploadedFile("table.csv", text.encode(), "text/csv")
    response = operator_client.post(address(Tenant, "import"), {"file": file, "reason": "Bought"})
    assert response.status_code == 422
    assert sentence in response.context["form"].errors["file"][0]


@pytest.mark.parametrize(("rows", "status"), [(1, 200), (2, 200), (3, 422)])
def test_as_many_rows_as_the_limit_are_imported(rows, status, operator_client, monkeypatch):
    monkeypatch.setattr(importing, "MAX_ROWS", 2)
    lines = "".join(f"Name {number},USA,a{number}@b.example\n" for number in range(rows))
    file = SimpleUploadedFile("t.csv", f"name,country,owner_email\n{lines}".encode(), "text/csv")
    response = operator_client.post(address(Tenant, "import"), {"file": file, "reason": "Bought"})
    assert response.status_code == status
    assert len(response.context["results"]) == (rows if status == 200 else 0)


def test_bytes_that_are_no_text_are_refused(operator_client):
    file = SimpleUploadedFile("table.csv", b"\xff\xfe", "text/csv")
    response = operator_client.post(address(Tenant, "import"), {"file": file, "reason": "Bought"})
    assert response.context["form"].errors["file"] == [
        "This is no UTF-8 text. Save the table as CSV UTF-8."
    ]


@pytest.mark.parametrize(("group", "status"), [("sales", 200), ("support", 403), ("security", 403)])
def test_only_who_may_add_imports(group, status, db):
    client = operator_of(group)
    assert client.get(address(Tenant, "import")).status_code == status
    listing = client.get(address(Tenant, "changelist")).content.decode()
    assert ("Import CSV" in listing) == (status == 200)


# Exports


def test_the_filtered_list_is_exported(operator_client, contoso, fabrikam):
    make_subscription(tenant=contoso, name="=Terminals", state=State.PENDING)
    make_subscription(tenant=fabrikam, name="Other")
    url = address(Subscription, "changelist")
    listing = operator_client.get(url, {"effective_state": "pending"})
    [link] = re.findall(r'href="([^"]+/export/[^"]*)"', listing.content.decode())
    response = operator_client.get(link)
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    [head, row] = csv.reader(io.StringIO(text))
    assert response.headers["Content-Disposition"] == 'attachment; filename="subscription.csv"'
    cells = dict(zip(head, row, strict=True))
    assert "'=Terminals" in cells.values()
    assert "Contoso" in cells.values()


@pytest.mark.parametrize("model", [Tenant, Subscription])
def test_the_sample_file_has_every_column_and_is_read(model, operator_client):
    answer = operator_client.get(f"{address(model, 'changelist')}import/sample/")
    text = b"".join(answer.streaming_content)
    file = SimpleUploadedFile("sample.csv", text)
    page = operator_client.post(address(model, "import"), {"file": file, "reason": "Try"})
    assert len(page.context["results"]) == 2
    assert list(page.context["columns"]) == text.decode("utf-8-sig").splitlines()[0].split(",")
