from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0015_service_token_actors")]

    operations = [
        migrations.CreateModel(
            name="InstallationCount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=60)),
                ("labels", models.CharField(blank=True, max_length=200)),
                ("count", models.PositiveBigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("name", "labels"), name="installation_count_unique"
                    )
                ]
            },
        ),
    ]
