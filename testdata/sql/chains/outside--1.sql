CREATE FUNCTION takes_prefix(citext) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_cmp';
CREATE FUNCTION takes_prefixes(public.citext[]) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_eq';
CREATE FUNCTION stays(citext, int) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_ne';
