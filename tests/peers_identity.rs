//! Who a box is: made once, kept private, never used on two machines.

use crate::harness::pair::{box_of, builder, pair};
use crate::harness::{Node, is_root, may_skip};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_identity_is_made_once_and_kept_private() {
    let (mut alice, bob) = pair();
    let id = alice.id();
    assert_eq!(id.parse::<netkit_proto::ids::PeerId>().unwrap().to_string(), id);
    let key = alice.path("state").join("identity.key");
    assert_eq!((mode(&key), mode(&alice.path("state"))), (0o600, 0o700));
    alice.restart();
    assert_eq!(alice.id(), id);
    alice.kill();
    alice.start();
    assert_eq!((alice.id(), bob.peer(&id).is_some()), (id, true));
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let mut node = box_of(builder("alice"));
    let id = node.id();
    node.stop();
    let key = node.path("state").join("identity.key");
    for bad in [0o640, 0o604, 0o644] {
        set_mode(&key, bad);
        let refused = node.refuses_to_start();
        assert_eq!(refused.code(), 1, "{refused:?}");
        let says = &refused.stderr;
        assert!(says.contains("identity.key") && says.contains("chmod 600"), "what to do: {says}");
    }
    set_mode(&key, 0o600);
    // Nor a link to one that they may not.
    let aside = node.path("aside.key");
    std::fs::rename(&key, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &key).unwrap();
    assert!(node.refuses_to_start().expect(1).stderr.contains("no regular file"));
    std::fs::remove_file(&key).unwrap();
    let refused = node.refuses_to_start().expect(1);
    assert!(refused.stderr.contains("missing"), "the certificate alone is no identity: {}", refused.stderr);
    std::fs::rename(&aside, &key).unwrap();
    node.start();
    assert_eq!(node.id(), id);
}

/// A netkitd that sees another machine-id.
fn elsewhere(machine: &Path) -> String {
    format!("mount --bind {} /etc/machine-id && exec \"$0\" \"$@\"", machine.display())
}

#[test]
fn a_copy_of_a_box_is_refused_and_told_what_to_do() {
    let test = "a_copy_of_a_box_is_refused_and_told_what_to_do";
    let has_one = std::fs::read_to_string("/etc/machine-id").is_ok();
    if may_skip(is_root() && has_one, test, "root and /etc/machine-id, to give a box another one") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let machine = |digit: &str| {
        let path = dir.path().join(digit);
        std::fs::write(&path, format!("{}\n", digit.repeat(32))).unwrap();
        path
    };
    let (first, second) = (machine("1"), machine("2"));
    let state = dir.path().join("state");
    let on = |machine: &Path| -> Node {
        let script = elsewhere(machine);
        builder("alice").state(&state).wrapper(&["unshare", "--mount", "sh", "-c", &script]).prepare()
    };
    let mut original = on(&first);
    original.start();
    let id = original.id();
    original.stop();
    let mut copy = on(&second);
    let refused = copy.refuses_to_start();
    assert_eq!(refused.code(), 1, "{refused:?}");
    let says = &refused.stderr;
    for word in ["another machine", "identity.key", "identity.machine", "new identity"] {
        assert!(says.contains(word), "what to do: {says}");
    }
    // Refused again, and the original goes on.
    copy.refuses_to_start().expect(1);
    original.start();
    assert_eq!(original.id(), id);
    original.stop();
    // As it was told: this box is the same one with another machine-id, or it is a copy.
    std::fs::remove_file(state.join("identity.machine")).unwrap();
    copy.start();
    assert_eq!(copy.id(), id);
    copy.stop();
    original.refuses_to_start().expect(1);
    for name in ["identity.key", "identity.crt", "identity.machine"] {
        std::fs::remove_file(state.join(name)).unwrap();
    }
    original.start();
    assert_ne!(original.id(), id);
}
