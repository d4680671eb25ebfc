//! Names of what is in a project's folder and is no source of it: what tools and editors leave
//! there. What `.gitignore` names comes beside it.

use std::path::{Component, Path};

/// Folders of tools, wherever they are.
const TOOLS: [&str; 4] = [".git", "node_modules", ".zig-cache", "zig-out"];

/// Folders where builds leave what they make, unless they are in a folder `src`: there they are
/// modules of that name.
const OUTPUTS: [&str; 2] = ["target", "build"];

/// Whether a folder is a tool's; `path` is below that of the project.
pub(super) fn is_output(path: &Path) -> bool {
    let is_one_of = |names: &[&str]| names.iter().any(|name| path.ends_with(name));
    let is_in_src = path.components().any(|part| part == Component::Normal("src".as_ref()));
    is_one_of(&TOOLS) || (is_one_of(&OUTPUTS) && !is_in_src)
}

/// Whether a file of this name is one that an editor or a desktop keeps beside what is edited.
pub(super) fn is_an_editors(name: &str) -> bool {
    let is_swap = |rest: &str| {
        let (_, end) = rest.rsplit_once('.').unwrap_or_default();
        end.len() == 3 && end.starts_with("sw")
    };
    name.ends_with('~')
        || name == "4913"
        || name == ".DS_Store"
        || name.starts_with(".#")
        || name.starts_with(".goutputstream-")
        || name.ends_with(".kate-swp")
        || name.contains("___jb_")
        || (name.starts_with('#') && name.ends_with('#'))
        || (name.starts_with('.') && is_swap(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_tools_are_known_by_their_names() {
        for output in [".git", "a/node_modules", "zig-out", "target", "a/target", "build"] {
            assert!(is_output(Path::new(output)), "{output}");
        }
        for source in ["src", "src/build", "a/src/x/target", ".github", "builds", ".cargo", "out"] {
            assert!(!is_output(Path::new(source)), "{source}");
        }
    }

    #[test]
    fn files_of_editors_are_known_by_their_names() {
        for name in [
            "main.rs~",
            ".main.rs.swp",
            ".main.rs.swx",
            ".swo",
            "4913",
            ".#main.rs",
            "#main.rs#",
            ".main.rs.kate-swp",
            "main.rs___jb_tmp___",
            ".goutputstream-ABC123",
            ".DS_Store",
        ] {
            assert!(is_an_editors(name), "{name}");
        }
        for name in
            ["main.rs", ".gitignore", "sw.js", "a.swift", ".swiftlint.yml", "#1", "build.zig"]
        {
            assert!(!is_an_editors(name), "{name}");
        }
    }
}
