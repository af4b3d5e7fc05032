//! What differs between two configurations, and which of it can be put in force while netkitd runs.

use super::Config;

/// Keys that differ, as written in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Can be put in force live.
    pub live: Vec<String>,
    /// Wait for a restart.
    pub restart: Vec<String>,
}

macro_rules! compare {
    ($old:expr, $new:expr, $list:expr, $($section:ident . $key:ident),* $(,)?) => {
        $(if $old.$section.$key != $new.$section.$key {
            $list.push(concat!(stringify!($section), ".", stringify!($key)).to_owned());
        })*
    };
}

impl Config {
    /// What `new` changes.
    #[must_use]
    pub fn diff(&self, new: &Config) -> Changes {
        let mut changes = Changes::default();
        compare!(
            self,
            new,
            changes.live,
            node.log_level,
            control.readers,
            chat.plain,
            chat.plain_encoding,
            chat.accept,
            chat.allow,
            files.http,
            files.plain,
            files.allow,
            files.hosts,
            downloads.allow,
            downloads.active,
            downloads.limit,
            downloads.connections,
            downloads.keep_free,
            discovery.mdns,
            discovery.interfaces,
            discovery.peers,
            retention.age,
            retention.messages,
            retention.size,
        );
        compare!(
            self,
            new,
            changes.restart,
            node.name,
            node.state_dir,
            control.socket,
            control.group,
            chat.listen,
            files.listen,
            files.share_roots,
            downloads.dir,
        );
        if self.shares != new.shares {
            changes.live.push("share".to_owned());
        }
        changes
    }

    /// This configuration with everything of `new` that can be put in force live.
    #[must_use]
    pub fn with_live_from(&self, new: &Config) -> Config {
        let mut config = self.clone();
        config.node.log_level = new.node.log_level;
        config.control.readers.clone_from(&new.control.readers);
        config.chat = super::Chat { listen: self.chat.listen, ..new.chat.clone() };
        let (listen, share_roots) = (self.files.listen, self.files.share_roots.clone());
        config.files = super::Files { listen, share_roots, ..new.files.clone() };
        config.shares.clone_from(&new.shares);
        config.downloads = super::Downloads { dir: self.downloads.dir.clone(), ..new.downloads.clone() };
        config.discovery.clone_from(&new.discovery);
        config.retention = new.retention;
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_keys_are_put_in_force_and_others_wait() {
        let old = Config::from_text("");
        let new = Config::from_text(
            "[node]\nname = \"other\"\nlog_level = \"debug\"\n[control]\nreaders = [\"bob\"]\n\
             [chat]\nlisten = \"[::]:1\"\nplain = false\nplain_encoding = \"utf-8\"\naccept = \"known\"\nallow = []\n\
             [files]\nlisten = \"[::]:2\"\nhttp = false\nplain = false\nallow = []\nhosts = [\"x\"]\n\
             [[share]]\nname = \"s\"\npath = \"/srv\"\n\
             [downloads]\ndir = \"/x\"\nallow = [\"/y\"]\nactive = 9\nlimit = 1\nconnections = 2\nkeep_free = 0\n\
             [discovery]\nmdns = false\ninterfaces = []\npeers = [\"z\"]\n[retention]\nage = \"1d\"\nmessages = 1000\nsize = \"1 MiB\"\n",
        );
        let changes = old.diff(&new);
        assert_eq!(changes.restart, ["node.name", "chat.listen", "files.listen", "downloads.dir"]);
        assert_eq!(changes.live.len(), 22, "{:?}", changes.live);
        let live = old.with_live_from(&new);
        assert_eq!(old.diff(&live).live, changes.live, "every live key was taken over");
        assert_eq!(old.diff(&live).restart, [] as [String; 0], "and no other");
        assert_eq!(old.diff(&old), Changes::default());
    }
}
