CREATE FUNCTION seen(integer) RETURNS integer
    AS 'MODULE_PATHNAME', 'seen' LANGUAGE c STRICT;
CREATE FUNCTION hidden_sum(integer) RETURNS integer
    AS 'MODULE_PATHNAME', 'hidden_sum' LANGUAGE c STRICT;
