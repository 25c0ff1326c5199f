"""Let tenants choose which mails they get, and who gets them besides."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models.functions import Lower

import portal.tenants.models


class Migration(migrations.Migration):
    dependencies = [("portal", "0008_passkey_credentials")]

    operations = [
        migrations.CreateModel(
            "NotificationPreferences",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="notification_preferences",
                        serialize=False,
                        to="portal.tenant",
                    ),
                ),
                ("topics", models.JSONField(blank=True, default=portal.tenants.models.all_topics)),
                (
                    "expiry_days",
                    models.JSONField(blank=True, default=portal.tenants.models.all_expiry_days),
                ),
            ],
            options={"verbose_name_plural": "notification preferences"},
        ),
        migrations.CreateModel(
            "Recipient",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("email", models.EmailField(max_length=254)),
                (
                    "added_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="recipients",
                        to="portal.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        models.F("tenant"),
                        Lower("email"),
                        condition=models.Q(("ended_at", None)),
                        name="recipient_once",
                        violation_error_message="This address gets the mails already.",
                    )
                ]
            },
        ),
    ]
