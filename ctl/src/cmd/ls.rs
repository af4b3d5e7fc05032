//! `netkitctl ls`: what is in our own shares.

use crate::context::Context;
use crate::exit::Outcome;
use crate::format::show_bytes;
use crate::output::{Out, escape_line, say};
use crate::time::{self, show_time};
use netkit_proto::files::listing::EntryKind;
use netkit_proto::rpc::call::{Call, FilesList};

/// List what this box shares
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl ls                                          the shares
  netkitctl ls isos/debian
  netkitctl ls isos --json | jq -r '.entries[].name'")]
pub(crate) struct Args {
    /// SHARE/path; nothing: the shares
    #[arg(default_value = "", hide_default_value = true)]
    path: String,
}

/// Asks and prints.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let request = FilesList { path: args.path };
    let mut client = context.connect()?;
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
