from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0003_email_changes")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="session_epoch",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="Goes up to end every session of the user at once.",
            ),
        ),
    ]
