DROP FUNCTION add_two(integer);
CREATE FUNCTION add_many(integer) RETURNS integer
    AS 'MODULE_PATHNAME' LANGUAGE c STRICT;
