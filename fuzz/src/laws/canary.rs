use crate::saw;

/// Holds for everything but one word, which one bit keeps apart from the seed: an attack that does not break
/// this law breaks none.
///
/// # Panics
/// On purpose.
pub fn canary(data: &[u8]) {
    saw(data.len() > 3);
    assert!(
        !data.windows(4).any(|window| window == b"Map\xff"),
        "the canary was found"
    );
}
