CREATE FUNCTION f() RETURNS int LANGUAGE 'C' AS '$libdir/citext';
