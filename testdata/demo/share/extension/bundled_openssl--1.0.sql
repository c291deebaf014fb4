CREATE FUNCTION fetch_url(integer) RETURNS integer
    AS 'MODULE_PATHNAME', 'fetch_url' LANGUAGE c STRICT;
