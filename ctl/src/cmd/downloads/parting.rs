//! What is said by a wait that ends before its downloads do. Used by `vigil`.

use super::bars::MOST;
use crate::exit::{Exit, Failure};

/// That time is up.
#[must_use]
pub(super) fn out_of_time(ids: &[u64]) -> Failure {
    let what = match ids {
        [id] => format!("download {id} is not finished in time: it goes on"),
        ids => format!("{} downloads are not finished in time: they go on", ids.len()),
    };
    Failure::new(Exit::Unfinished, what).hint(format!("to wait again: netkitctl queue wait{}", named(ids)))
}

/// That leaving ends nothing.
#[must_use]
pub(super) fn goes_on(exit: Exit, ids: &[u64]) -> Failure {
    let what = match ids {
        [id] => format!("download {id} goes on"),
        ids => format!("{} downloads go on", ids.len()),
    };
    let look = if let [id] = ids { format!("show {id}") } else { "--watch".to_owned() };
    let cancel = if ids.len() > MOST { " ID…".to_owned() } else { named(ids) };
    Failure::new(exit, what)
        .hint(format!("to look at it: netkitctl queue {look}; to end it: netkitctl queue cancel{cancel}"))
}

/// The ids, each behind a space; none where they are too many to type.
fn named(ids: &[u64]) -> String {
    if ids.len() > MOST { String::new() } else { ids.iter().map(|id| format!(" {id}")).collect() }
}
