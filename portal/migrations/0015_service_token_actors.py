"""Let rows of the log name a service token as who acted."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0014_webhooks")]

    operations = [
        migrations.AlterField(
            model_name="logentry",
            name="actor_kind",
            field=models.CharField(
                choices=[
                    ("member", "Member"),
                    ("operator", "Operator"),
                    ("system", "System"),
                    ("token", "Service token"),
                ],
                max_length=10,
            ),
        ),
    ]
