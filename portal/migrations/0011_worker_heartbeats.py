from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0010_users_time_zone")]

    operations = [
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("host", models.CharField(max_length=255)),
                ("pid", models.PositiveIntegerField()),
                ("started_at", models.DateTimeField()),
                ("beat_at", models.DateTimeField()),
                ("doing", models.CharField(blank=True, max_length=60)),
                ("doing_since", models.DateTimeField()),
                ("secret_key_print", models.CharField(max_length=16)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["host", "pid"], name="heartbeat_process_unique")
                ]
            },
        ),
    ]
