#!/bin/sh
# Makes what compose.yaml needs and nobody else may know, in ./secrets, and .env: ./make-secrets.sh mail.example.org
# What is there already stays as it is. The certificate is self-signed; put your own in its place, as secrets/tls.crt and secrets/tls.key.
set -eu
cd "$(dirname "$0")"
name=${1:?"usage: ./make-secrets.sh NAME (the server's name, such as mail.example.org)"}

# The directory is for its owner only; the files in it are read by the users inside the containers.
umask 022
mkdir -p secrets
chmod 700 secrets
[ -s secrets/instance-secret ] || openssl rand -hex 32 > secrets/instance-secret
[ -s secrets/database-password ] || openssl rand -hex 24 > secrets/database-password
if [ ! -s secrets/tls.crt ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
    -subj "/CN=$name" -addext "subjectAltName=DNS:$name" -keyout secrets/tls.key -out secrets/tls.crt 2> secrets/openssl.log ||
    { cat secrets/openssl.log >&2; exit 1; }
  rm -f secrets/openssl.log
fi
chmod 644 secrets/*
[ -s .env ] || printf 'MAIL_HOSTNAME=%s\n' "$name" > .env
echo "secrets/ and .env are there. Keep a copy of secrets/instance-secret with your backups: the DKIM keys are encrypted with it."
