CREATE FUNCTION healthy_add(integer) RETURNS integer
    AS 'MODULE_PATHNAME', 'healthy_add' LANGUAGE c STRICT;
