CREATE FUNCTION e1() RETURNS int LANGUAGE c AS E'l\x69b', E's\171m\'s';
CREATE FUNCTION u1() RETURNS int LANGUAGE c AS U&'l\0069b', U&'!0073ym' UESCAPE '!';
CREATE FUNCTION a1() RETURNS int LANGUAGE c AS 'MODULE_'
   'PATHNAME', 's'
 'ym';
CREATE FUNCTION b1() RETURNS int LANGUAGE c AS 'back\', 'slash\\';
CREATE FUNCTION d1() RETURNS int LANGUAGE c AS $$lib$$, $tag$s$$ym$tag$;
CREATE FUNCTION q1() RETURNS int LANGUAGE c AS 'it''s', '';
SELECT E'\\', B'01', X'1F', N'x', 'a;b', $a$;$A$;$a$, "a;""b", foo$1$ FROM (SELECT 1 AS foo$1$) foo$;
CREATE FUNCTION "Quoted;Name"() RETURNS int LANGUAGE c AS 'lib';
CREATE FUNCTION U&"d\0061ta"() RETURNS int LANGUAGE c AS 'lib', '-';
CREATE FUNCTION MixedCase_and_a_name_that_is_longer_than_what_an_identifier_may_have() RETURNS int LANGUAGE c AS 'lib';
