//! `netkitctl share`: what this box shares, and what it is to share.

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, escape_line};
use clap::Subcommand;
use netkit_proto::ids::PeerId;
use netkit_proto::name::ShareName;
use netkit_proto::rpc::call::{
    Call, Peer, PeersList, Share, ShareAccess, SharesAdd, SharesList, SharesRemove,
};
use std::path::PathBuf;

/// Show, add or remove the directories that this box shares
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl share
  netkitctl share add isos /srv/isos --public
  netkitctl share add photos ~/Photos --with bob --with alice
  netkitctl share remove isos

A public share is for anyone on the LAN: browsers, curl, the bare file name. The others are for trusted
peers, who prove who they are.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show what is shared
    List,
    /// Share a directory, from now on and after a restart
    Add {
        /// What it is to be called
        name: ShareName,
        /// The directory
        path: PathBuf,
        /// Anyone may see it [default: trusted peers]
        #[arg(long, conflicts_with = "with")]
        public: bool,
        /// Only this peer may see it, if it is trusted; can be given several times. A name is looked up now: the share is for
        /// that box, whatever it is called later
        #[arg(long, value_name = "PEER")]
        with: Vec<String>,
        /// Names that start with a dot are shown, too
        #[arg(long)]
        dot_files: bool,
    },
    /// End a share that was added; what is being sent of it goes on
    Remove {
        /// Its name
        name: String,
    },
}

/// Does what was asked.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    match args.what.unwrap_or(What::List) {
        What::List => list(context),
        What::Add { name, path, public, with, dot_files } => {
            let path = std::path::absolute(&path)
                .map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", path.display())))?;
            let Some(path) = path.to_str().map(str::to_owned) else {
                return Err(Failure::new(Exit::Usage, format!("{} is not UTF-8", path.display())));
            };
            let access = match (public, with.is_empty()) {
                (true, _) => ShareAccess::Public,
                (false, true) => ShareAccess::Trusted,
                (false, false) => ShareAccess::Peers(with),
            };
            context.connect()?.call(&SharesAdd { name, path, access: Some(access), dot_files })?;
            Ok(())
        }
        What::Remove { name } => {
            context.connect()?.call(&SharesRemove { name })?;
            Ok(())
        }
    }
}

fn list(context: &Context) -> Outcome {
    let mut client = context.connect()?;
    let mut out = Out::stdout();
    if context.json {
        let answer = client.call_raw(SharesList::METHOD, &SharesList {})?;
        out.json(answer.get())?;
    } else {
        let shares = client.call(&SharesList {})?.shares;
        let is_by_peer = |share: &Share| matches!(share.access, ShareAccess::Peers(_));
        let peers = match shares.iter().any(is_by_peer) {
            true => client.call(&PeersList {})?.peers,
            false => Vec::new(),
        };
        for share in shares {
            out.line(&escape_line(&row(&share, &peers)))?;
        }
    }
    out.flush()
}

/// A peer as it is called now, with the start of its id; as the share names it where that is no peer's id.
fn called(text: &str, peers: &[Peer]) -> String {
    let id = text.parse::<PeerId>().ok();
    let peer = peers.iter().find(|peer| Some(peer.id) == id);
    peer.map_or_else(|| text.to_owned(), |peer| format!("{}~{}", peer.name, peer.id.short()))
}

fn row(share: &Share, peers: &[Peer]) -> String {
    let access = match &share.access {
        ShareAccess::Public => "public".to_owned(),
        ShareAccess::Trusted => "trusted".to_owned(),
        ShareAccess::Peers(named) => {
            named.iter().map(|text| called(text, peers)).collect::<Vec<_>>().join(",")
        }
    };
    let dots = if share.dot_files { "  with dot files" } else { "" };
    let fixed = if share.configured { "  (configured)" } else { "" };
    format!("{:<16} {access:<8} {}{dots}{fixed}", share.name, share.path)
}
