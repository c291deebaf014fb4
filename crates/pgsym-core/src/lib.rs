//! Reads PostgreSQL extension trees.
