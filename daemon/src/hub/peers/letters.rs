//! The letters that wait for one peer, in the order of their numbers, and the bytes of their texts, which its share of
//! memory is counted in. What becomes of them is decided by who takes them out.

use crate::store::Letter;
use std::collections::VecDeque;
use std::ops::Deref;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Letters {
    queue: VecDeque<Letter>,
    bytes: usize,
}

impl Letters {
    /// The bytes of their texts.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, letter: Letter) {
        self.bytes += letter.text.len();
        self.queue.push_back(letter);
    }

    /// Takes out the first, if its number is not above this one.
    pub(super) fn pop_up_to(&mut self, n: u64) -> Option<Letter> {
        let letter = self.queue.pop_front_if(|letter| letter.n <= n)?;
        self.bytes -= letter.text.len();
        Some(letter)
    }

    /// Takes out the one at this place.
    pub(super) fn remove(&mut self, at: usize) -> Option<Letter> {
        let letter = self.queue.remove(at)?;
        self.bytes -= letter.text.len();
        Some(letter)
    }
}

impl Deref for Letters {
    type Target = VecDeque<Letter>;

    fn deref(&self) -> &VecDeque<Letter> {
        &self.queue
    }
}
