CREATE TABLE rows_of (a int);
CREATE VIEW seen AS SELECT 1 AS a;
CREATE FUNCTION takes_row(rows_of) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_cmp';
CREATE FUNCTION takes_view(seen) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_eq';
CREATE FUNCTION takes_record(record) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_ne';
