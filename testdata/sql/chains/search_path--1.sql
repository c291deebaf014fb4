CREATE SCHEMA search_path_s;
SET LOCAL search_path TO search_path_s, public;
CREATE TYPE e AS ENUM ('a');
CREATE FUNCTION f(e) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_cmp';
CREATE FUNCTION g(int) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_eq';
