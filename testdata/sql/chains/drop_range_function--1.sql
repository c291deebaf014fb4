CREATE FUNCTION difference(int, int) RETURNS float8 IMMUTABLE LANGUAGE c AS 'MODULE_PATHNAME', 'citext_cmp';
CREATE FUNCTION difference(int, int, int) RETURNS float8 IMMUTABLE LANGUAGE c AS 'MODULE_PATHNAME', 'citext_eq';
CREATE TYPE r AS RANGE (SUBTYPE = integer, SUBTYPE_DIFF = difference);
CREATE FUNCTION takes_range(r) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_ne';
