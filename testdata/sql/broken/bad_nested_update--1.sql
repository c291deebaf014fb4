ALTER EXTENSION bad_nested_update UPDATE;
