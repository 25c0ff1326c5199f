from django.db import migrations


def drop(apps, schema_editor):
    """Delete addresses that wait for a link of before: who asked for one is not on record."""
    addresses = apps.get_model("account", "EmailAddress").objects.using(
        schema_editor.connection.alias
    )
    confirmed = addresses.filter(verified=True).values("user_id")
    waiting = addresses.filter(verified=False, user_id__in=confirmed)
    addresses.filter(pk__in=[*waiting.values_list("pk", flat=True)]).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("portal", "0004_users_session_epoch"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]

    operations = [migrations.RunPython(drop, migrations.RunPython.noop, elidable=True)]
