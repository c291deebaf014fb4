CREATE FUNCTION f() RETURNS int AS '$libdir/citext', 'citext_hash';
