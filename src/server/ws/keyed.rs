//! Futures that run beside each other in one task, each under a key. Start at [`Keyed::set`].

use std::collections::HashMap;
use std::hash::Hash;

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;

/// Futures by key. One under a key that is taken stands in for the other, which is dropped.
pub struct Keyed<K, T> {
    running: FuturesUnordered<Abortable<BoxFuture<'static, (K, T)>>>,
    handles: HashMap<K, AbortHandle>,
}

impl<K: Copy + Eq + Hash + Send + 'static, T: 'static> Keyed<K, T> {
    /// None.
    pub fn new() -> Self {
        Self {
            running: FuturesUnordered::new(),
            handles: HashMap::new(),
        }
    }

    /// Runs a future under `key`, in place of the one that does so now.
    pub fn set(&mut self, key: K, future: BoxFuture<'static, T>) {
        let (handle, registration) = AbortHandle::new_pair();
        let keyed: BoxFuture<'static, (K, T)> = Box::pin(async move { (key, future.await) });
        self.running.push(Abortable::new(keyed, registration));
        if let Some(before) = self.handles.insert(key, handle) {
            before.abort();
        }
    }

    /// Drops the future under `key`, if there is one. Nothing of it comes any more.
    pub fn forget(&mut self, key: K) {
        if let Some(handle) = self.handles.remove(&key) {
            handle.abort();
        }
    }

    /// What the next future came to; never completes where there is none.
    ///
    /// # Cancel safety
    /// Safe: what runs goes on with the next call.
    pub async fn next(&mut self) -> (K, T) {
        loop {
            match self.running.next().await {
                Some(Ok((key, came))) => {
                    self.handles.remove(&key);
                    return (key, came);
                }
                // It was forgotten.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    fn waits(answer: oneshot::Receiver<u8>) -> BoxFuture<'static, u8> {
        async move { answer.await.unwrap_or(0) }.boxed()
    }

    #[tokio::test]
    async fn a_later_future_stands_in_for_the_one_under_its_key_and_for_no_other() {
        let mut keyed = Keyed::new();
        let [(first, one), (second, two), (other, three)] =
            [oneshot::channel(), oneshot::channel(), oneshot::channel()];
        keyed.set("a", waits(one));
        keyed.set("b", waits(three));
        keyed.set("a", waits(two));
        for (sender, value) in [(first, 1), (second, 2), (other, 3)] {
            // Whoever was stood in for hears nothing.
            let _ = sender.send(value);
        }
        let mut came = [keyed.next().await, keyed.next().await];
        came.sort_unstable();
        assert_eq!(came, [("a", 2), ("b", 3)]);
        assert!(keyed.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_is_forgotten_never_comes() {
        let mut keyed = Keyed::new();
        let (sender, answer) = oneshot::channel();
        keyed.set(1, waits(answer));
        keyed.forget(1);
        assert!(keyed.next().now_or_never().is_none());
        assert!(sender.send(7).is_err(), "it was dropped");
    }
}
