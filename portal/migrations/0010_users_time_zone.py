from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0009_notification_preferences")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="time_zone",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="Name of the zone in which pages show times; empty: the browser's.",
                max_length=64,
            ),
        ),
    ]
