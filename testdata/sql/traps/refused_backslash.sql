SELECT 1;
 \echo not in the first column
