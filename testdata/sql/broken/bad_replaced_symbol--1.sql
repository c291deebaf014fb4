CREATE FUNCTION f(text) RETURNS int LANGUAGE c STRICT AS '$libdir/hstore', 'never_there';
