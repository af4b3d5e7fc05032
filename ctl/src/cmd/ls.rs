//! `netkitctl ls`: what is in our own shares, or in a peer's.

use crate::context::Context;
use crate::exit::Outcome;
use crate::format::show_bytes;
use crate::output::{Out, escape_line, say};
use crate::time::{self, show_time};
use netkit_proto::files::listing::EntryKind;
use netkit_proto::rpc::call::{Call, FilesList};

/// List what this box shares, or a peer does
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl ls                                          the shares
  netkitctl ls isos/debian
  netkitctl ls bob:                                     what bob shares with this box
  netkitctl ls bob:isos/debian
  netkitctl ls bob:isos --json | jq -r '.entries[].name'

Whether a peer shows something here is its own business: a share may be for peers that it trusts.")]
pub(crate) struct Args {
    /// SHARE/path, or PEER:SHARE/path; nothing, or PEER: alone: the shares
    #[arg(default_value = "", hide_default_value = true)]
    path: String,
}

/// Asks and prints.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let request = request(args.path);
    let mut client = context.connect()?;
    if let Some(peer) = &request.peer {
        client.waits_for(peer);
    }
    let mut out = Out::stdout();
    if context.json {
        let answer = client.call_raw(FilesList::METHOD, &request)?;
        out.json(answer.get())?;
        return out.flush();
    }
    let listing = client.call(&request)?;
    let now = time::now();
    for entry in &listing.entries {
        let slash = if entry.kind == EntryKind::Dir { "/" } else { "" };
        let size = entry.size.map(show_bytes).unwrap_or_default();
        let modified = entry.modified.map(|at| show_time(at, &now)).unwrap_or_default();
        out.line(&format!("{size:>12} {modified:>19} {}{slash}", escape_line(&entry.name)))?;
    }
    out.flush()?;
    if listing.truncated {
        say("there is more than a listing holds");
    }
    Ok(())
}

/// A colon before the first slash is behind a peer's name: no share has one in its own.
fn request(text: String) -> FilesList {
    match text.split_once(':') {
        Some((peer, path)) if !peer.contains('/') => {
            FilesList { path: path.to_owned(), peer: Some(peer.to_owned()) }
        }
        _ => FilesList { path: text, peer: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_stands_before_the_colon() {
        for (text, peer, path) in [
            ("", None, ""),
            ("isos/a:b", None, "isos/a:b"),
            ("bob:", Some("bob"), ""),
            ("bob~k7:isos/x:y", Some("bob~k7"), "isos/x:y"),
        ] {
            let expected = FilesList { path: path.into(), peer: peer.map(str::to_owned) };
            assert_eq!(request(text.into()), expected, "{text}");
        }
    }
}
