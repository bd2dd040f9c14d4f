//! Cases that broke other servers. `docs/defects.md` lists all of them with the tests that stand for them.

mod comeback;
mod held_sync;
