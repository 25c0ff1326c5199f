"""Create the table of service tokens."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("portal", "0012_find_mail_given_up"),
        ("subscriptions", "0004_labels_and_note"),
    ]

    operations = [
        migrations.CreateModel(
            name="ServiceToken",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("scopes", models.JSONField(default=list)),
                ("for_all_subscriptions", models.BooleanField(default=True)),
                (
                    "networks",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="CIDR; it works from everywhere if there is none.",
                    ),
                ),
                ("secret_sha256", models.CharField(editable=False, max_length=64, unique=True)),
                (
                    "ending",
                    models.CharField(
                        editable=False,
                        help_text="Its last characters, by which people find it.",
                        max_length=4,
                    ),
                ),
                ("expires_at", models.DateTimeField()),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                ("created_by_id", models.UUIDField(blank=True, editable=False, null=True)),
                ("created_by_name", models.CharField(editable=False, max_length=200)),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("last_used_from", models.CharField(blank=True, editable=False, max_length=45)),
                ("overlap_ends_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("revoked_by_name", models.CharField(blank=True, editable=False, max_length=200)),
                ("revoked_reason", models.CharField(blank=True, editable=False, max_length=500)),
                (
                    "reminded_days",
                    models.PositiveSmallIntegerField(blank=True, editable=False, null=True),
                ),
                (
                    "chosen",
                    models.ManyToManyField(
                        blank=True,
                        help_text="What it reaches, unless it is for all subscriptions.",
                        related_name="+",
                        to="subscriptions.subscription",
                    ),
                ),
                (
                    "successor",
                    models.OneToOneField(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="predecessor",
                        to="subscriptions.servicetoken",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="service_tokens",
                        to="portal.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-pk"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("overlap_ends_at", None), ("revoked_at", None)),
                        fields=["expires_at"],
                        name="service_token_by_end",
                    ),
                    models.Index(fields=["created_at", "id"], name="service_token_by_creation"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("expires_at__gt", models.F("created_at"))),
                        name="service_token_expires_after_creation",
                        violation_error_message="A token expires after it was made.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("successor", None), ("overlap_ends_at__isnull", False), _connector="OR"
                        ),
                        name="service_token_overlap_fits_successor",
                        violation_error_message="A token that was rotated has an end of its overlap.",
                    ),
                ],
            },
        ),
    ]
