//! Encodes the WIT package of plugins as a component of types alone: what uploads are held against before they are compiled.

use std::env;
use std::io::Write;
use std::path::Path;

use wit_parser::Resolve;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let package = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../wit/since_v0.1.0");
    writeln!(std::io::stdout(), "cargo::rerun-if-changed={}", package.display())?;
    let mut resolve = Resolve::default();
    let (id, _) = resolve.push_dir(&package)?;
    let encoded = wit_component::encode(&resolve, id)?;
    std::fs::write(Path::new(&env::var("OUT_DIR")?).join("plugin-package.wasm"), encoded)?;
    Ok(())
}
