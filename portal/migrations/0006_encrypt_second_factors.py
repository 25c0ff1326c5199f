from django.db import migrations

from portal.accounts.secrets_at_rest import FIELDS, decrypt, encrypt


def encrypt_all(apps, schema_editor):
    factors = apps.get_model("mfa", "Authenticator").objects.using(schema_editor.connection.alias)
    for factor in factors.exclude(type="webauthn").order_by("pk"):
        for field in FIELDS:
            if field in factor.data:
                factor.data[field] = encrypt(decrypt(factor.data[field]))
        factor.save(update_fields=["data"])


class Migration(migrations.Migration):
    dependencies = [
        ("portal", "0005_drop_waiting_addresses"),
        ("mfa", "0003_authenticator_type_uniq"),
    ]

    operations = [migrations.RunPython(encrypt_all, migrations.RunPython.noop, elidable=True)]
