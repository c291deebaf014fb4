CREATE FUNCTION f() RETURNS int LANGUAGE c AS '$libdir/hstore', 'never_there';
DROP FUNCTION f();
