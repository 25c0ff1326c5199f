"""Tenants that close, and what the log needs to replace names by pseudonyms."""

from django.db import migrations, models


class Migration(migrations.Migration):
    fits_previous_release = "Its columns are new, and the previous release leaves them NULL."

    dependencies = [
        ("portal", "0012_find_mail_given_up"),
    ]

    operations = [
        migrations.AddField(
            model_name="logchain",
            name="erased_signature",
            field=models.CharField(db_default="", default="", max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="logchain",
            name="erased_to",
            field=models.PositiveBigIntegerField(db_default=0, default=0, null=True),
        ),
        migrations.AddField(
            model_name="logchain",
            name="erasing",
            field=models.JSONField(
                help_text="While names are replaced: pseudonyms of people, by keyed digests.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="logentry",
            name="seal",
            field=models.CharField(editable=False, max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="closed_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="closed"),
        ),
        migrations.AddField(
            model_name="tenant",
            name="closes_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="closes"),
        ),
        migrations.AddField(
            model_name="tenant",
            name="erased_at",
            field=models.DateTimeField(
                editable=False,
                help_text="When all of the closing was carried out.",
                null=True,
                verbose_name="erased",
            ),
        ),
        migrations.AddIndex(
            model_name="tenant",
            index=models.Index(
                condition=models.Q(("closes_at__isnull", False), ("erased_at", None)),
                fields=["closes_at"],
                name="tenant_closing",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("closed_at", None), ("erased_at", None)),
                    models.Q(("closed_at__isnull", False), ("closes_at__isnull", False)),
                    _connector="OR",
                ),
                name="tenant_closes_in_order",
            ),
        ),
    ]
