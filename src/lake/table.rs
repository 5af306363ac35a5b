//! tables (in work)
