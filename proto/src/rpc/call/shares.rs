//! `shares.*` and `files.*`: what this box shares.

use crate::name::ShareName;
use serde::{Deserialize, Serialize};

/// Who may see a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ShareAccess {
    /// Anyone who is let in at all.
    Public,
    /// Trusted peers.
    Trusted,
    /// These of them, by id; in a share of the configuration also by name.
    #[serde(untagged)]
    Peers(Vec<String>),
}

super::plain_data! {
    /// Parameters of `shares.list`.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    SharesList {}

    /// Answer of `shares.list`.
    ShareList {
        /// Those of the configuration first.
        shares: Vec<Share>,
    }

    /// A directory that is shared.
    Share {
        /// Its name.
        name: String,
        /// Where it is.
        path: String,
        /// Who may see it.
        access: ShareAccess,
        /// Whether names that start with a dot are shown.
        dot_files: bool,
        /// It stands in the configuration, which alone can change it.
        configured: bool,
    }

    /// Parameters of `shares.add`.
    #[serde(deny_unknown_fields)]
    SharesAdd {
        /// What it is to be called.
        name: ShareName,
        /// A directory, from the root.
        path: String,
        /// Who may see it; default: trusted peers. A name is that of a peer that is known here, and kept as its id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        access: Option<ShareAccess>,
        /// Whether names that start with a dot are shown.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dot_files: bool,
    }

    /// Parameters of `shares.remove`.
    #[serde(deny_unknown_fields)]
    SharesRemove {
        /// Which share.
        name: String,
    }

    /// Parameters of `files.list`.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    FilesList {
        /// `SHARE/path`; empty: the shares themselves.
        path: String,
        /// Whose; without: our own.
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
    }
}
