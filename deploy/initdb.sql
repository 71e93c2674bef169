-- Runs once, when there is no database yet: a role for the servers, which owns their database and nothing else.
\set password `cat /run/secrets/ledger_password`
CREATE ROLE finexio LOGIN PASSWORD :'password';
CREATE DATABASE finexio OWNER finexio;
REVOKE ALL ON DATABASE finexio FROM PUBLIC;
