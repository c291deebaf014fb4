CREATE FUNCTION geocode(integer) RETURNS integer
    AS 'MODULE_PATHNAME', 'geocode' LANGUAGE c STRICT;
