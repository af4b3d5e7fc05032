//! Several networks at once: what they have in common, which lie in others, one divided, whether they hold an address.
//! Called by `ip`; the arithmetic is in `prefix`.

use super::prefix::{self, Count};
use super::target::Target;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, say};
use ipnet::IpNet;
use serde::Serialize;
use std::net::IpAddr;

/// Lines that `--split` prints for a person who did not say how many.
const SPLIT_LINES: usize = 1024;

#[derive(Serialize)]
struct Common {
    kind: &'static str,
    /// Of which addresses.
    version: u8,
    network: String,
    hosts: Count,
}

#[derive(Serialize)]
struct Overlap {
    kind: &'static str,
    network: String,
    within: String,
}

/// Tells the smallest network with all of a family, and which lie in others.
pub(super) fn compare(out: &mut Out, json: bool, targets: &[Target]) -> Outcome {
    let nets: Vec<IpNet> = targets.iter().map(Target::net).collect();
    let families = nets.iter().partition::<Vec<IpNet>, _>(|net| net.addr().is_ipv4());
    let is_mixed = !families.0.is_empty() && !families.1.is_empty();
    for (version, family) in [(4, families.0), (6, families.1)] {
        if family.len() < 2 {
            continue;
        }
        if let Some(net) = prefix::common(&family) {
            let hosts = prefix::hosts(&net);
            let them = if is_mixed { format!("the IPv{version} ones") } else { "them".to_owned() };
            let text = format!("common    {net}, the smallest network with all of {them}: {hosts}");
            let object = Common { kind: "common", version, network: net.to_string(), hosts: hosts.count };
            out.either(json, &object, &text)?;
        }
        for (net, within) in prefix::overlaps(&family) {
            let text = if net == within {
                format!("overlap   {net} was named twice")
            } else {
                format!("overlap   {net} lies in {within}")
            };
            let object = Overlap { kind: "overlap", network: net.to_string(), within: within.to_string() };
            out.either(json, &object, &text)?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Subnet {
    kind: &'static str,
    network: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    broadcast: Option<IpAddr>,
    first: IpAddr,
    last: IpAddr,
    hosts: Count,
}

/// Divides the networks into ones of `prefix`, at most `most` lines in all; says how many were left out.
pub(super) fn split(
    out: &mut Out,
    json: bool,
    targets: &[Target],
    prefix: u8,
    most: Option<usize>,
) -> Outcome {
    // First all that can go wrong, so that nothing is printed of what fails.
    for target in targets {
        let net = target.net();
        if target.prefix.is_none() {
            let (address, usual) = (target.address, if target.address.is_ipv4() { 24 } else { 64 });
            return Err(Failure::new(Exit::Usage, format!("dividing {address}: it is one address"))
                .hint(format!("say of which network it is: {address}/{usual}")));
        }
        if !(net.prefix_len()..=net.max_prefix_len()).contains(&prefix) {
            return Err(Failure::new(
                Exit::Usage,
                format!("dividing {net}: it holds no network of /{prefix}"),
            )
            .hint(format!("from /{} to /{} can be", net.prefix_len(), net.max_prefix_len())));
        }
    }
    let mut left = most.unwrap_or_else(|| lines_for(out.is_terminal() && !json));
    for net in targets.iter().map(|target| target.net().trunc()) {
        let Ok(subnets) = net.subnets(prefix) else { continue }; // looked at above
        let mut shown = 0_u128;
        for subnet in subnets.take(left) {
            let (hosts, broadcast) = (prefix::hosts(&subnet), prefix::broadcast(&subnet));
            let object = Subnet {
                kind: "subnet",
                network: subnet.to_string(),
                broadcast,
                first: hosts.first,
                last: hosts.last,
                hosts: hosts.count,
            };
            let text = format!("{:<18} {hosts}", object.network);
            out.either(json, &object, &text)?;
            shown += 1;
        }
        left -= usize::try_from(shown).unwrap_or(left);
        let all = Count::of_subnets(&net, prefix);
        if all.value() != Some(shown) {
            out.flush()?;
            say(&format!("{net} has {all} networks of /{prefix}, {shown} are shown; -n N shows more"));
        }
    }
    Ok(())
}

/// How many lines are printed where nobody said how many: programs get all.
fn lines_for(person: bool) -> usize {
    if person { SPLIT_LINES } else { usize::MAX }
}

#[derive(Serialize)]
struct Contains {
    kind: &'static str,
    network: String,
    of: String,
    contains: bool,
}

/// Tells for each of the networks whether it holds `what`; fails with 1 where one does not.
pub(super) fn contains(out: &mut Out, json: bool, targets: &[Target], what: &Target) -> Outcome {
    let inner = if what.prefix.is_some() { what.net().trunc() } else { what.net() };
    let shown = if what.prefix.is_some() { inner.to_string() } else { what.address.to_string() };
    let mut all = true;
    for net in targets.iter().map(|target| target.net().trunc()) {
        let contains = net.contains(&inner);
        all &= contains;
        let text = format!("{net} {} {shown}", if contains { "contains" } else { "does not contain" });
        let object = Contains { kind: "contains", network: net.to_string(), of: shown.clone(), contains };
        out.either(json, &object, &text)?;
    }
    out.flush()?;
    if all { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_person_is_spared_lines() {
        assert_eq!((lines_for(true), lines_for(false)), (SPLIT_LINES, usize::MAX));
    }
}
