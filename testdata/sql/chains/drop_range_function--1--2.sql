DROP FUNCTION difference(int, int) CASCADE;
