//! The committed page was built from the committed sources.

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// `ui/dist/SOURCE_HASH` is the hash over all sources; whoever changes one must build again.
#[test]
fn the_built_page_belongs_to_its_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
    let mut names: Vec<String> = [
        "package.json",
        "package-lock.json",
        "index.html",
        "vite.config.ts",
        "tsconfig.json",
    ]
    .map(str::to_owned)
    .into();
    for folder in ["src", "public"] {
        collect(&root, &root.join(folder), &mut names);
    }
    names.sort();
    let mut hash = Sha256::new();
    for name in &names {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(std::fs::read(root.join(name)).expect("sources of the page can be read"));
        hash.update([0]);
    }
    let hash: String = hash
        .finalize()
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect();
    let built = std::fs::read_to_string(root.join("dist/SOURCE_HASH")).expect("the page is built");
    assert_eq!(
        built.trim(),
        hash,
        "the page is older than its sources: npm ci && npm run build in ui/"
    );
}

fn collect(root: &Path, folder: &Path, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path: PathBuf = entry.expect("entries can be read").path();
        if path.is_dir() {
            collect(root, &path, names);
        } else {
            let name = path.strip_prefix(root).expect("sources lie in ui");
            names.push(name.to_string_lossy().replace('\\', "/"));
        }
    }
}
