"""Bring the names of subscriptions and plans that were stored before into the form kept now."""

from django.db import migrations

from portal.core.names import put_stored_right

OTHERWISE = {"Subscription": "Unnamed subscription", "Plan": "Unnamed plan"}


def put_names_right(apps, schema_editor):
    using = schema_editor.connection.alias
    for model_name, otherwise in OTHERWISE.items():
        model = apps.get_model("subscriptions", model_name)
        put_stored_right(model._base_manager.using(using), in_mails=False, otherwise=otherwise)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("subscriptions", "0001_initial")]
    rewrites = ["subscriptions_subscription.name", "subscriptions_plan.name"]

    operations = [migrations.RunPython(put_names_right, migrations.RunPython.noop)]
