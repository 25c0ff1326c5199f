-- Two roles and their database, for psql as a superuser; `migrate` grants the rest
-- (docs/postgresql.md). The passwords come from the environment: on a command line, others would
-- see them.
\getenv owner OWNER_PASSWORD
\getenv portal PORTAL_PASSWORD
CREATE ROLE portal_owner LOGIN PASSWORD :'owner';
CREATE ROLE portal LOGIN PASSWORD :'portal';
CREATE DATABASE portal OWNER portal_owner;
