//! Where things are by default: for the service and root, and for a user (XDG base directories).

use etcetera::BaseStrategy as _;
use etcetera::base_strategy::Xdg;
use std::ffi::OsString;
use std::path::PathBuf;

/// Default places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The configuration file.
    pub config: PathBuf,
    /// `node.state_dir`
    pub state_dir: PathBuf,
    /// `control.socket`
    pub socket: PathBuf,
    /// `downloads.dir`
    pub downloads: PathBuf,
}

/// A user without a home directory.
#[derive(Debug, thiserror::Error)]
#[error("can't find the home directory: set HOME, or name the configuration and all its paths")]
pub struct NoHome;

impl Paths {
    /// The places for this process: the environment's variables and whether it is root decide. A service manager
    /// names the directories that it made.
    ///
    /// # Errors
    /// [`NoHome`]
    pub fn from_env(env: impl Fn(&str) -> Option<OsString>, is_root: bool) -> Result<Paths, NoHome> {
        let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // Of several directories, separated by colons, ours is the first (systemd.exec(5)).
        let given = |name: &str| {
            let value = env(name)?.into_string().ok()?;
            Some(PathBuf::from(value.split(':').next()?)).filter(|path| path.is_absolute())
        };
        let mut paths = if is_root || absolute("HOME").is_none() && given("STATE_DIRECTORY").is_some() {
            Paths {
                config: "/etc/netkit/netkitd.toml".into(),
                state_dir: "/var/lib/netkit".into(),
                socket: "/run/netkit/netkitd.sock".into(),
                downloads: "/var/lib/netkit/downloads".into(),
            }
        } else {
            let home = absolute("HOME")
                .or_else(|| Xdg::new().ok().map(|xdg| xdg.home_dir().to_owned()))
                .ok_or(NoHome)?;
            let state_dir =
                absolute("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")).join("netkit");
            Paths {
                config: absolute("XDG_CONFIG_HOME")
                    .unwrap_or_else(|| home.join(".config"))
                    .join("netkit/netkitd.toml"),
                // Without a runtime directory the socket stays where only this user can put things.
                socket: absolute("XDG_RUNTIME_DIR")
                    .map_or_else(|| state_dir.join("netkitd.sock"), |dir| dir.join("netkit/netkitd.sock")),
                downloads: absolute("XDG_DOWNLOAD_DIR")
                    .unwrap_or_else(|| home.join("Downloads"))
                    .join("netkit"),
                state_dir,
            }
        };
        if let Some(state) = given("STATE_DIRECTORY") {
            if is_root || absolute("XDG_RUNTIME_DIR").is_none() {
                paths.downloads = state.join("downloads");
            }
            paths.state_dir = state;
        }
        if let Some(runtime) = given("RUNTIME_DIRECTORY") {
            paths.socket = runtime.join("netkitd.sock");
        }
        if let Some(config) = given("CONFIGURATION_DIRECTORY") {
            paths.config = config.join("netkitd.toml");
        }
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(is_root: bool, env: &[(&str, &str)]) -> [String; 4] {
        let find = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        let Paths { config, state_dir, socket, downloads } = Paths::from_env(find, is_root).unwrap();
        [config, state_dir, socket, downloads].map(|path| path.display().to_string())
    }

    #[test]
    fn places_follow_from_who_runs_it() {
        let service = [
            "/etc/netkit/netkitd.toml",
            "/var/lib/netkit",
            "/run/netkit/netkitd.sock",
            "/var/lib/netkit/downloads",
        ];
        assert_eq!(paths(true, &[("HOME", "/root"), ("XDG_STATE_HOME", "/x")]), service);
        let systemd = [
            ("STATE_DIRECTORY", "/var/lib/netkit:/var/lib/other"),
            ("RUNTIME_DIRECTORY", "/run/netkit"),
            ("CONFIGURATION_DIRECTORY", "/etc/netkit"),
        ];
        assert_eq!(paths(false, &systemd), service, "the system's unit, with a user of its own");
        assert_eq!(
            paths(false, &[("HOME", "/home/a")]),
            [
                "/home/a/.config/netkit/netkitd.toml",
                "/home/a/.local/state/netkit",
                "/home/a/.local/state/netkit/netkitd.sock",
                "/home/a/Downloads/netkit"
            ]
        );
        let xdg = [
            ("HOME", "/home/a"),
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
            ("XDG_DOWNLOAD_DIR", "relative/is/ignored"),
        ];
        assert_eq!(
            paths(false, &xdg),
            [
                "/c/netkit/netkitd.toml",
                "/s/netkit",
                "/run/user/1000/netkit/netkitd.sock",
                "/home/a/Downloads/netkit"
            ]
        );
    }
}
