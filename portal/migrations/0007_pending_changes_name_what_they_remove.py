from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0006_names_put_right")]

    operations = [
        migrations.AddField(
            model_name="pendingchange",
            name="removes",
            field=models.JSONField(
                help_text="NULL where an earlier release did not say.", null=True
            ),
        ),
    ]
