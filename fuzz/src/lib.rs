//! Laws that any bytes must keep, and a driver that attacks them.
