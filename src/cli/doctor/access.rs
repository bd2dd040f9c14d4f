//! Who may enter: the keys, and whether there are any.

use super::Check;
use crate::auth::Keys;
use crate::config::Config;

/// Looks whether the keys can be read, and who comes in without one.
pub(super) fn keys(config: &Config, checks: &mut Vec<Check>) {
    const NAME: &str = "access";
    let auth = &config.auth;
    let keys = match Keys::load(&auth.secret, auth.keys_file.as_deref()) {
        Ok(keys) => keys,
        Err(error) => {
            let advice = "correct auth.keys_file or auth.secret; docs/auth.md tells how";
            return checks.push(Check::fail(NAME, error, advice));
        }
    };
    if !auth.is_set() {
        let found = "no key is set: everybody who reaches the server owns every map";
        return checks.push(match config.listen.ip().is_loopback() {
            true => Check::ok(NAME, found),
            false => Check::warn(NAME, found, "make a key: docs/auth.md"),
        });
    }
    let makes = match keys.signer() {
        Some(_) => "one of them makes tokens and share links",
        None => "none of them makes tokens or share links here",
    };
    let found = format!("{} keys check tokens, {makes}", keys.iter().count());
    checks.push(match config.allow_anonymous {
        false => Check::ok(NAME, found),
        true => Check::warn(
            NAME,
            format!(
                "{found}; those without a token have the role {}",
                auth.anonymous_role
            ),
            "set allow_anonymous = false, unless this is meant",
        ),
    });
}
