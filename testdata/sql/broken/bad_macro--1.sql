CREATE FUNCTION f() RETURNS int LANGUAGE c AS '$lib/never_there', 'f';
