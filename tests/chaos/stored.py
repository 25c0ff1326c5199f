"""Write what a database has to a file (JSON): `python -m tests.chaos.stored FILE`.

`keys` are all license keys by `jti`; `log` has a sentence for each tenant whose log is not whole.
"""

import json
import sys
from pathlib import Path

import django


def main(file: Path) -> None:
    from licenses.models import LicenseKey
    from portal.activity.verify import tenants_with_log, verify

    rows = LicenseKey.objects.select_related("license")
    keys = {
        str(row.jti): {
            "subscription": str(row.license.subscription_id),
            "sha256": row.token_sha256,
            "state": row.state,
        }
        for row in rows.iterator()
    }
    faults = [fault for tenant_id in tenants_with_log() if (fault := verify(tenant_id))]
    log = [f"The log of {fault.tenant_id} is not whole: {fault.sentence}." for fault in faults]
    file.write_text(json.dumps({"keys": keys, "log": log}))


if __name__ == "__main__":
    django.setup()
    main(Path(sys.argv[1]))
