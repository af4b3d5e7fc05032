//! `netkitctl rpc METHOD [JSON]`: any method of the control socket, the escape hatch. Knows no method but that
//! `events.subscribe` is followed by notifications.

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Out, escape_json};
use crate::wait::{self, Ready};
use netkit_proto::rpc::call::{Call, EventsSubscribe};
use serde_json::value::RawValue;

/// Call any method of netkitd's control socket
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netkitctl rpc rpc.discover                            what there is to call
  netkitctl rpc chat.send '{\"to\":\"udp://10.0.0.9:7890\",\"text\":\"hi\"}'
  netkitctl rpc events.subscribe '{\"filter\":{\"topics\":[\"message\"]}}'
  netkitctl rpc events.read - < parameters.json")]
pub(crate) struct Args {
    /// The method, noun.verb
    method: String,
    /// Its parameters, a JSON object; - reads them from stdin
    #[arg(value_name = "JSON", default_value = "{}", hide_default_value = true)]
    params: String,
}

/// Calls the method and prints what it answers.
pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let params = read_params(args.params)?;
    let mut client = context.connect()?;
    let mut out = Out::stdout();
    let pretty = out.is_terminal() && !context.json;
    let answer = client.call_raw(&args.method, &params)?;
    print(&mut out, &answer, pretty)?;
    out.flush()?;
    if args.method != EventsSubscribe::METHOD {
        return Ok(());
    }
    loop {
        while let Some(params) = client.arrived()? {
            print(&mut out, &params, pretty)?;
        }
        out.flush()?;
        let ready = wait::readable(&[client.fd()], Some(out.fd()), None);
        match ready.map_err(|e| Failure::new(Exit::Failed, format!("waiting for netkitd: {e}")))? {
            Ready::Input(_) => client.fill()?,
            Ready::OutputClosed | Ready::Deadline => return Ok(()),
        }
    }
}

fn read_params(argument: String) -> Outcome<Box<RawValue>> {
    let usage = |why: String| Failure::new(Exit::Usage, why).hint("for example: '{\"limit\":10}'");
    let text = if argument == "-" {
        std::io::read_to_string(std::io::stdin())
            .map_err(|e| usage(format!("reading parameters from stdin: {e}")))?
    } else {
        argument
    };
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| usage(format!("the parameters are not JSON: {e}")))?;
    if !value.is_object() && !value.is_array() {
        return Err(usage("the parameters are not a JSON object".into()));
    }
    // What was typed goes out as it was, on one line: to_string of a Value would change large numbers.
    let line: String = text.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }).collect();
    RawValue::from_string(line).map_err(|e| usage(format!("the parameters are not JSON: {e}")))
}

fn print(out: &mut Out, json: &RawValue, pretty: bool) -> Outcome {
    if pretty
        && let Ok(value) = serde_json::from_str::<serde_json::Value>(json.get())
        && let Ok(text) = serde_json::to_string_pretty(&value)
    {
        return out.line(&escape_json(&text));
    }
    out.json(json.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_checked_before_anything_is_sent() {
        for (text, expected) in [
            ("{}", Some("{}")),
            ("{\n\"a\": 12345678901234567890123}", Some("{ \"a\": 12345678901234567890123}")),
            ("[1]", Some("[1]")),
            ("{", None),
            ("1", None),
            ("null", None),
            ("", None),
        ] {
            let read = read_params(text.to_owned());
            assert_eq!(read.as_ref().ok().map(|raw| raw.get()), expected, "{text}");
            assert!(read.is_ok() || read.is_err_and(|f| f.exit == Exit::Usage));
        }
    }
}
