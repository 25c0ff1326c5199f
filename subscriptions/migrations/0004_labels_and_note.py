"""Add labels and a note to subscriptions, and the indexes by which their list is read."""

from django.db import migrations, models
from django.db.models.functions import Lower


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0003_subscription_state_reason")]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="labels",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="Separated by a comma and a space.",
                max_length=320,
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="note",
            field=models.TextField(blank=True, db_default="", default="", editable=False),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                models.F("tenant"), Lower("name"), models.F("id"), name="subscription_by_name"
            ),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(fields=["tenant", "state", "ends_at"], name="subscription_by_state"),
        ),
    ]
