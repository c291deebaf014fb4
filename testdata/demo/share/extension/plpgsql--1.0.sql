CREATE FUNCTION plpgsql_call_handler(integer) RETURNS integer
    AS 'MODULE_PATHNAME', 'plpgsql_call_handler' LANGUAGE c STRICT;
