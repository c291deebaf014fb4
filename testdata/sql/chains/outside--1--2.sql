DROP FUNCTION takes_prefix(public.citext);
DROP FUNCTION takes_prefixes(citext[]);
