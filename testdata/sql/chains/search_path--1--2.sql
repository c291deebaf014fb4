CREATE FUNCTION g(int) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_ne';
DROP FUNCTION search_path_s.f(search_path_s.e);
SET search_path = search_path_s, pg_temp;
DROP FUNCTION g(int);
