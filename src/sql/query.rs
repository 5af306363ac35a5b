//! Ad-hoc queries. To be filled.
