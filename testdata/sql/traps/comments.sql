\echo Use "CREATE EXTENSION x" to load this file. \quit
-- CREATE FUNCTION hidden1() RETURNS int LANGUAGE c AS 'no';
/* CREATE FUNCTION hidden2() RETURNS int LANGUAGE c AS 'no'; /* nested ' */ " still */
CREATE FUNCTION f1() RETURNS int -- AS 'wrong', ';
LANGUAGE /* 'sql' */ c AS 'lib1'; CREATE FUNCTION f2() RETURNS int LANGUAGE c/**/AS/* */'lib2','g2';
SELECT 1 +/* c */ 2 */*; */ 3, 4 - -5, 6 --;
;
