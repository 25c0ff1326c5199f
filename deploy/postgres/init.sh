#!/bin/sh
# The first start of the container: /docker-entrypoint-initdb.d/init.sh
set -eu
OWNER_PASSWORD=$(cat /run/secrets/owner-password) \
PORTAL_PASSWORD=$(cat /run/secrets/portal-password) \
    psql --quiet --set=ON_ERROR_STOP=1 --username=postgres --file=/sql/roles.sql
