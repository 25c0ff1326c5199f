from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("licenses", "0003_rotation_completed"),
    ]

    operations = [
        migrations.AddField(
            model_name="signingkey",
            name="withdrawal_told_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When every tenant concerned was told that it is disabled.",
                null=True,
            ),
        ),
    ]
