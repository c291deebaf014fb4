CREATE FUNCTION trampoline(integer) RETURNS integer
    AS 'MODULE_PATHNAME', 'trampoline' LANGUAGE c STRICT;
