from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0016_installation_counts")]

    operations = [
        migrations.AddField(
            model_name="endpoint",
            name="is_proven",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="The last attempt was delivered, to the address as it is.",
                verbose_name="proven",
            ),
        ),
        migrations.AddField(
            model_name="attempt",
            name="headers",
            field=models.TextField(
                blank=True, db_default="", help_text="Headers of the request, one a line."
            ),
        ),
    ]
