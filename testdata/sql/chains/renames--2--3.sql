DROP FUNCTION g(renames_s.u);
ALTER SCHEMA renames_s RENAME TO renames_z;
DROP FUNCTION renames_z.moved(int), renames_z.moved_too(renames_z.u);
DROP ROUTINE l(int);
