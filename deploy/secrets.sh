#!/bin/sh
# Makes the secrets that belong to this deployment alone, once. Never run it again for a ledger that is in use: keep
# the directory with the backups.
set -eu
cd "$(dirname "$0")"

random() {
    head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'
}

mkdir -m 700 secrets
password=$(random)
printf '%s\n' "$password" >secrets/ledger_password
printf 'postgresql://finexio:%s@postgres/finexio\n' "$password" >secrets/ledger_url
random >secrets/postgres_password
random >secrets/state_key
# The users inside the containers have to read them, and others on this machine do not get past the directory.
chmod 444 secrets/*
