DROP FUNCTION takes(t);
CREATE FUNCTION takes(t, t) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_smaller';
