DROP FUNCTION IF EXISTS a(integer), b(pg_catalog.text, int[]), never_there(int) CASCADE;
DROP FUNCTION c(timestamptz, character varying, pg_catalog."char", real);
DROP PROCEDURE p(IN int), q(int, text);
DROP ROUTINE r(IN int, OUT text), only_one;
DROP FUNCTION o(a int, OUT b text);
DROP OPERATOR <-+-> (int, int) CASCADE;
DROP AGGREGATE IF EXISTS total(int) CASCADE;
