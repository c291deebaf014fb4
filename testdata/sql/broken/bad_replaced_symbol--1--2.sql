CREATE OR REPLACE FUNCTION f(text) RETURNS int LANGUAGE c STRICT AS '$libdir/hstore', 'hstore_hash';
