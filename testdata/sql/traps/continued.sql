CREATE FUNCTION c1() RETURNS int LANGUAGE c AS 'l' -- a comment ends at its line, and the literal goes on
   -- over another
 'ib', E's\x79' --
'm';
CREATE FUNCTION c2() RETURNS int LANGUAGE c AS U&'l\0069'
'b', 's' --x'
'ym';
