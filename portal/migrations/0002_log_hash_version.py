"""Each log row names the list of columns that its hash covers."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="logentry",
            name="hash_version",
            # With NULL allowed SQLite adds the column without copying the table, and so keeps
            # the triggers of the log.
            field=models.PositiveSmallIntegerField(db_default=1, null=True),
        ),
    ]
