//! Seeded simulation: peers, network, clock, faults, checkers.
