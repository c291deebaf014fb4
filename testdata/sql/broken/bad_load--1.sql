LOAD '$libdir/never_there';
