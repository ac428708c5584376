#!/bin/sh
# Make the database on the first start, then run it. POSTGRES_PASSWORD is the password of the user and owner "hub".
set -eu
PATH=/usr/lib/postgresql/15/bin:$PATH
if [ ! -d /data/db ]; then
    printf '%s' "$POSTGRES_PASSWORD" > /data/password
    initdb --pgdata=/data/db --username=hub --pwfile=/data/password --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    echo "host all all all scram-sha-256" >> /data/db/pg_hba.conf
    rm /data/password
fi
exec postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories=/tmp
