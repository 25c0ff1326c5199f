"""Bring the names of people and tenants that were stored before into the form that is kept now."""

from django.db import migrations

from portal.core.names import put_stored_right

OTHERWISE = {"User": "Unnamed person", "Tenant": "Unnamed tenant"}


def put_names_right(apps, schema_editor):
    using = schema_editor.connection.alias
    for model_name, otherwise in OTHERWISE.items():
        model = apps.get_model("portal", model_name)
        put_stored_right(model._base_manager.using(using), in_mails=True, otherwise=otherwise)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("portal", "0005_drop_waiting_addresses")]
    rewrites = ["portal_user.name", "portal_tenant.name"]

    operations = [migrations.RunPython(put_names_right, migrations.RunPython.noop)]
