//! Who is told, outside of live maps, what happens in them.

use mapweave_proto::{MapName, Seq};

use super::core::Sender;
use super::people::PeopleNews;

/// Hears of every live map. No method waits or fails: rooms call them between two requests.
pub trait Observer: Send + Sync {
    /// People have come to a map, or left it.
    fn people(&self, map: &MapName, news: &PeopleNews);
    /// The log of a map is durable up to here.
    fn changed(&self, map: &MapName, upto: Seq);
    /// Somebody has a message for whoever runs the server; whether it is taken.
    fn message(&self, map: &MapName, from: &Sender, text: &str) -> bool;
}
