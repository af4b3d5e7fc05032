//! Which machine this is, so that an identity is not used on two of them: the machine-id, hashed with a key of netkit's own
//! as machine-id(5) asks, since it must not leave the machine as it is. Read by `run` at start.

use ring::hmac;
use std::fmt::Write as _;
use std::path::Path;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineId(String);

impl MachineId {
    /// This machine; `None` where it has no machine-id, as in many containers.
    #[must_use]
    pub fn of_this_box() -> Option<MachineId> {
        MachineId::read(Path::new("/etc/machine-id"))
    }

    fn read(path: &Path) -> Option<MachineId> {
        MachineId::from_text(&std::fs::read_to_string(path).ok()?)
    }

    /// The machine whose machine-id is this one; `None` if that is none (`uninitialized` before the first boot).
    #[must_use]
    pub fn from_text(machine_id: &str) -> Option<MachineId> {
        let machine_id = machine_id.trim();
        if machine_id.len() != 32 || !machine_id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"netkit: which box an identity was made on");
        let hash = hmac::sign(&key, machine_id.to_ascii_lowercase().as_bytes());
        let mut text = String::new();
        for byte in hash.as_ref().iter().take(16) {
            let _ = write!(text, "{byte:02x}"); // a String takes all
        }
        Some(MachineId(text + "\n"))
    }

    /// How it is written down.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Whether what was written down is this machine.
    pub(super) fn is(&self, written: &[u8]) -> bool {
        written.trim_ascii() == self.0.trim().as_bytes()
    }
}
