"""Keep since when, and why, an operator suspended, resumed or ended a subscription."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0002_names_put_right")]

    operations = [
        migrations.AddField(
            "subscription",
            "state_since",
            models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            "subscription",
            "state_reason",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="Why an operator suspended, resumed or ended it; customers read it.",
                max_length=500,
            ),
        ),
    ]
