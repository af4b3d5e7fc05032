//! `cursors.*`: named places in the log.

use crate::ids::{Epoch, Seq};
use crate::name::CursorName;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

super::plain_data! {
    /// Parameters of `cursors.open`.
    #[serde(deny_unknown_fields)]
    CursorsOpen {
        /// Which cursor of the caller's; made if it does not exist.
        name: CursorName,
    }

    /// Answer of `cursors.open`.
    CursorOpened {
        /// Which log this is.
        epoch: Epoch,
        /// The number of the last event that was done with. Missing: a new cursor, or one of a log that was
        /// replaced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<Seq>,
        /// The cursor stood in a log that was replaced since.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        epoch_changed: bool,
    }

    /// Parameters of `cursors.commit`.
    #[serde(deny_unknown_fields)]
    CursorsCommit {
        /// Which cursor; this session holds it.
        name: CursorName,
        /// The log that `seq` counts in; another one than the present is an error.
        epoch: Epoch,
        /// The number of the last event that was done with.
        seq: Seq,
    }

    /// Parameters of `cursors.close`.
    #[serde(deny_unknown_fields)]
    CursorsClose {
        /// Which cursor; this session holds it.
        name: CursorName,
    }

    /// Parameters of `cursors.remove`.
    #[serde(deny_unknown_fields)]
    CursorsRemove {
        /// Which cursor of the caller's; nobody else holds it.
        name: CursorName,
    }

    /// Parameters of `cursors.list`.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    CursorsList {}

    /// Answer of `cursors.list`.
    CursorList {
        /// The caller's cursors by name.
        cursors: Vec<Cursor>,
    }

    /// A named place in the log.
    Cursor {
        /// Its name.
        name: CursorName,
        /// Which log it stands in.
        epoch: Epoch,
        /// The number of the last event that was done with.
        seq: Seq,
        /// When it was moved last.
        moved: Timestamp,
        /// Whether some session holds it.
        held: bool,
    }
}
