//! Pages of the log as JSON, with an explicit `gap` where events are missing. Used by `events.read` and by
//! subscriptions that fell behind.

use crate::store::{Gap, Page};
use netkit_proto::rpc::event::{self, Event};
use netkit_proto::time::Timestamp;
use std::time::SystemTime;

/// Hands every event of the page to `each`, as a function that writes its JSON; gaps come where events are
/// missing.
pub(super) fn for_each_line(page: &Page, mut each: impl FnMut(&dyn Fn(&mut String))) {
    let mut gaps = page.gaps.iter().peekable();
    for entry in &page.entries {
        while let Some(gap) = gaps.next_if(|gap| gap.to < entry.seq) {
            each(&|out| write_gap(out, *gap));
        }
        each(&|out| event::write_line(out, entry.seq, entry.at, &entry.body));
    }
    for gap in gaps {
        each(&|out| write_gap(out, *gap));
    }
}

fn write_gap(out: &mut String, Gap { from, to, lost }: Gap) {
    let gap = Event::Gap { from, to, lost };
    event::write_line(out, to, Timestamp::from(SystemTime::now()), &gap.to_body());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Entry;
    use netkit_proto::ids::Seq;
    use netkit_proto::rpc::event::Record;

    #[test]
    fn gaps_stand_where_events_are_missing() {
        let entry = |seq| Entry { seq: Seq(seq), at: Timestamp(0), body: r#"{"kind":"x"}"#.into() };
        let gap = |from, to, lost| Gap { from: Seq(from), to: Seq(to), lost };
        let gaps = vec![gap(1, 2, 2), gap(4, 4, 1), gap(6, 9, 4)];
        let page = Page { entries: vec![entry(3), entry(5)], gaps, ..Page::default() };
        let mut seen = Vec::new();
        for_each_line(&page, |write| {
            let mut line = String::new();
            write(&mut line);
            let record: Record = serde_json::from_str(&line).unwrap();
            let lost = if let Event::Gap { lost, .. } = record.event { lost } else { 0 };
            seen.push((record.seq.0, lost));
        });
        assert_eq!(seen, [(2, 2), (3, 0), (4, 1), (5, 0), (9, 4)]);
    }
}
