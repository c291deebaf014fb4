CREATE OR REPLACE FUNCTION s.f1(a text DEFAULT 'x) AS ''y''', b int = (1), VARIADIC c text[] DEFAULT ARRAY[')', ';'])
 RETURNS SETOF public.language LANGUAGE 'c' STRICT IMMUTABLE PARALLEL SAFE COST 0.5 ROWS 10 AS 'lib';
CREATE FUNCTION f2(OUT a int, INOUT b double precision, timestamp with time zone) LANGUAGE C AS 'lib', 'f2_sym' SET search_path TO language, 'as';
CREATE FUNCTION f3() RETURNS TABLE(a int, b text) AS 'lib' LANGUAGE C SECURITY DEFINER SET TIME ZONE INTERVAL '1' SET a.b = -1;
CREATE PROCEDURE p1(int) LANGUAGE C AS 'lib';
CREATE FUNCTION f4() RETURNS language LANGUAGE "c" AS 'lib' SUPPORT s.language TRANSFORM FOR TYPE hstore, FOR TYPE s.t WINDOW;
CREATE FUNCTION not_c1() RETURNS int LANGUAGE 'C' AS 'lib';
CREATE FUNCTION not_c2() RETURNS int LANGUAGE internal AS 'int4in';
CREATE FUNCTION not_c3() RETURNS int LANGUAGE sql AS 'SELECT 1 -- LANGUAGE c';
CREATE FUNCTION f5(a character varying(10), b bit varying, c "char", d interval day to second(3), e t.c%TYPE) RETURNS t.c%TYPE LANGUAGE c AS 'lib';
CREATE FUNCTION f6() RETURNS int CALLED ON NULL INPUT NOT LEAKPROOF LANGUAGE c SET x FROM CURRENT RESET ALL AS 'lib';
