// SPDX-License-Identifier: Apache-2.0
//! sonde-bench-peers PEER ROUNDS: prints `name value unit spread`.

mod fastrace_peer;
mod measure;
mod opentelemetry_sdk_peer;

use measure::Processors;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let processors = Processors::find();
    let rounds = arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(15);

    // The tracers' own threads are started below and keep off the processor that is measured on.
    processors.leave_last();
    match arguments.get(1).map(String::as_str) {
        Some("opentelemetry") => opentelemetry_sdk_peer::measure(&processors, rounds),
        Some("fastrace") => fastrace_peer::measure(&processors, rounds),
        _ => std::process::exit(2),
    }
}
