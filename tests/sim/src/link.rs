//! A TCP connection as the two ends see it: bytes in order, any number at once, and a cut at any byte.

use std::collections::VecDeque;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    /// Nothing passes for a while, and neither end is told.
    pub(crate) partitioned: bool,
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Pipe {
    bytes: VecDeque<u8>,
    /// Bytes that fit in before the writer has to wait.
    capacity: usize,
    /// Nothing more gets in: what is there may still arrive, then the reader sees the end.
    cut: bool,
}

impl Link {
    /// A connection on which `capacity` bytes may be under way to the client.
    pub(crate) fn new(capacity: usize) -> Self {
        let pipe = |capacity| Pipe {
            bytes: VecDeque::new(),
            capacity,
            cut: false,
        };
        Self {
            up: pipe(usize::MAX),
            down: pipe(capacity),
            partitioned: false,
        }
    }

    pub(crate) fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Whether bytes are under way.
    pub(crate) fn waits(&self, way: Way) -> bool {
        let pipe = match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        };
        pipe.len() > 0
    }

    /// Breaks the connection: of what is under way, only so many bytes still arrive.
    pub(crate) fn cut(&mut self, up: usize, down: usize) {
        self.up.cut(up);
        self.down.cut(down);
        self.partitioned = false;
    }
}

impl Pipe {
    /// Takes what fits of `bytes`, and says how much that was. A cut pipe swallows everything.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.cut {
            return bytes.len();
        }
        let fits = self
            .capacity
            .saturating_sub(self.bytes.len())
            .min(bytes.len());
        self.bytes.extend(bytes.iter().take(fits));
        fits
    }

    /// Up to `most` bytes, in order.
    pub(crate) fn read(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.bytes.len());
        self.bytes.drain(..count).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        !self.cut && self.bytes.len() >= self.capacity
    }

    /// Whether the reader has come to the end of a broken connection.
    pub(crate) fn is_over(&self) -> bool {
        self.cut && self.bytes.is_empty()
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Changes how much may be under way.
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// The writer closes: what is under way arrives.
    pub(crate) fn close(&mut self) {
        self.cut = true;
    }

    fn cut(&mut self, arrive: usize) {
        self.bytes.truncate(arrive);
        self.cut = true;
    }
}
