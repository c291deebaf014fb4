ALTER SCHEMA drop_schema_s RENAME TO drop_schema_z;
DROP SCHEMA drop_schema_z CASCADE;
