ALTER FUNCTION citext_hash(int) RENAME TO renamed;
ALTER TYPE e RENAME TO u;
ALTER TYPE u SET SCHEMA renames_s;
ALTER FUNCTION moved(int) SET SCHEMA renames_s;
ALTER FUNCTION moved_too(renames_s.u) SET SCHEMA renames_s;
ALTER PROCEDURE p(int) RENAME TO q;
ALTER ROUTINE k(int) RENAME TO l;
CREATE FUNCTION moved(int) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'citext_larger';
