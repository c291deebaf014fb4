CREATE FUNCTION f() RETURNS int LANGUAGE c AS '$libdir/never_there';
