CREATE SCHEMA drop_schema_s;
CREATE TYPE drop_schema_s.e AS ENUM ('a');
CREATE TYPE e AS ENUM ('b');
CREATE FUNCTION drop_schema_s.f(int) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_cmp';
CREATE FUNCTION f(int) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_eq';
CREATE FUNCTION g(drop_schema_s.e) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_ne';
CREATE FUNCTION h(e) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_lt';
