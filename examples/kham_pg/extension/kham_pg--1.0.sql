\echo Use "CREATE EXTENSION kham_pg" to load this file. \quit

CREATE FUNCTION kham_start(internal, int4)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT;

CREATE FUNCTION kham_gettoken(internal, internal, internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT;

CREATE FUNCTION kham_end(internal)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT;

CREATE FUNCTION kham_lextypes(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT;

CREATE TEXT SEARCH PARSER kham (
    START = kham_start,
    GETTOKEN = kham_gettoken,
    END = kham_end,
    LEXTYPES = kham_lextypes,
    HEADLINE = prsd_headline
);

CREATE TEXT SEARCH CONFIGURATION kham (PARSER = kham);

ALTER TEXT SEARCH CONFIGURATION kham
    ADD MAPPING FOR word, thai, number WITH simple;
