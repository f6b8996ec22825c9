//! Odd zips, built byte by byte.
