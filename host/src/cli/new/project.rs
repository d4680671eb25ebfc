//! A project: its files, and what is typed next.

use std::path::Path;

use anyhow::Error;

use super::embedded;
use super::language::Language;
use super::name::Name;

/// A project that is about to be made.
#[derive(Debug)]
pub(super) struct Project {
    language: Language,
    inetd: bool,
    name: Name,
}

/// A file of it.
#[derive(Debug)]
pub(super) struct File {
    /// Where it is in the project's folder.
    pub(super) path: &'static str,
    pub(super) text: String,
}

impl Project {
    /// A project in this language; with `inetd` a plain program without the SDK. An error if the
    /// language has another use for the name.
    pub(super) fn new(language: Language, inetd: bool, name: Name) -> Result<Self, Error> {
        language.takes(&name)?;
        Ok(Self { language, inetd, name })
    }

    /// All that is in it.
    pub(super) fn files(&self) -> Vec<File> {
        let own = embedded::templates(self.language, self.inetd);
        let own =
            own.map(|template| File { path: template.path, text: self.filled(template.text) });
        // As it is: what looks like a placeholder there is none.
        let sdk = (!self.inetd).then(|| embedded::sdk(self.language)).into_iter().flatten();
        let sdk = sdk.map(|text| File { path: text.path, text: text.text.to_owned() });
        own.chain(sdk).collect()
    }

    /// What is told when it is there.
    pub(super) fn next_steps(&self, path: &Path) -> String {
        let what = if self.inetd { "a plain program" } else { "a handler" };
        format!(
            "{name}: {what} in {language}. It needs {needs}.\n\n  \
               cd {folder}\n  \
               portcell dev         # builds it, serves it, and does both again after every change\n  \
               nc 127.0.0.1 7000    # in another terminal\n\n\
             README.md there has the rest.\n",
            name = self.name.as_str(),
            language = self.language.title(),
            needs = self.language.needs(),
            folder = quoted(path),
        )
    }

    /// A template with this project's words in it.
    fn filled(&self, template: &str) -> String {
        let recipe = self.language.recipe(self.inetd);
        // In this order: the first ones have placeholders in them.
        [
            ("{{what}}", if self.inetd { "A plain program" } else { "A handler" }),
            ("{{sdk}}", if self.inetd { "" } else { SDK }),
            ("{{language}}", self.language.title()),
            ("{{needs}}", self.language.needs()),
            ("{{source}}", recipe.source),
            ("{{build}}", recipe.build),
            ("{{tests}}", recipe.tests),
            ("{{module}}", recipe.module),
            ("{{crate}}", &self.name.with_underscores()),
            ("{{name}}", self.name.as_str()),
        ]
        .into_iter()
        .fold(template.to_owned(), |text, (placeholder, word)| text.replace(placeholder, word))
    }
}

/// What the README says of the SDK's folder.
const SDK: &str = "\n- `sdk/`: portcell's SDK for {{language}}, of the portcell that made this project; \
                   its comments are the reference";

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(is_plain) && !text.starts_with('-') {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portcell::config::Config;

    use super::*;

    fn projects() -> impl Iterator<Item = Project> {
        let modes = |language| [(language, false), (language, true)];
        Language::ALL.into_iter().flat_map(modes).map(|(language, inetd)| {
            let name = Name::of(Path::new("small-talk")).unwrap();
            Project::new(language, inetd, name).unwrap()
        })
    }

    fn text(project: &Project, path: &str) -> String {
        let files = project.files();
        let file = files.iter().find(|file| file.path == path);
        file.unwrap_or_else(|| panic!("{project:?} has no {path}")).text.clone()
    }

    #[test]
    fn no_placeholder_is_left_in_a_project() {
        for project in projects() {
            for file in project.files() {
                let is_of_the_sdk = file.path.starts_with("sdk/");
                assert!(is_of_the_sdk || !file.text.contains("{{"), "{project:?}: {}", file.path);
            }
        }
    }

    #[test]
    fn every_project_has_what_a_project_has() {
        for project in projects() {
            let files = project.files();
            let paths: BTreeSet<_> = files.iter().map(|file| file.path).collect();
            assert_eq!(paths.len(), files.len(), "{project:?} has a file twice");
            let source = project.language.recipe(project.inetd).source;
            for path in
                ["README.md", ".gitignore", "portcell.toml", "tests/conversation.txt", source]
            {
                assert!(paths.contains(path), "{project:?} has no {path}");
            }
            let has_sdk = paths.iter().any(|path| path.starts_with("sdk/"));
            assert_eq!(has_sdk, !project.inetd, "{project:?}");
        }
    }

    #[test]
    fn the_readme_is_of_one_screen() {
        for project in projects() {
            let lines = text(&project, "README.md").lines().count();
            assert!(lines <= 40, "{project:?}: {lines}");
        }
    }

    #[test]
    fn the_configuration_serves_what_the_build_makes() {
        for project in projects() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("portcell.toml");
            std::fs::write(&path, text(&project, "portcell.toml")).unwrap();
            let config = Config::read(&path).unwrap();
            let handler = &config.handlers[0];
            assert_eq!(handler.name, "small-talk");
            assert!(handler.watch);
            let recipe = project.language.recipe(project.inetd);
            assert_eq!(handler.build.as_deref(), Some(recipe.build));
            let module = handler.module.strip_prefix(folder.path()).unwrap();
            assert_eq!(module, Path::new(&project.filled(recipe.module)));
        }
    }

    #[test]
    fn what_is_typed_next_is_told() {
        let name = Name::of(Path::new("small-talk")).unwrap();
        let project = Project::new(Language::Go, false, name).unwrap();
        let told = project.next_steps(Path::new("my services/small-talk"));
        assert!(told.starts_with("small-talk: a handler in Go. It needs make, and Go"), "{told}");
        assert!(told.contains("\n  cd 'my services/small-talk'\n  portcell dev "), "{told}");
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_needs_it() {
        for (path, quoted_path) in
            [("a/b-c_d", "a/b-c_d"), ("it's", r"'it'\''s'"), ("$a b", "'$a b'"), ("-a", "'-a'")]
        {
            assert_eq!(quoted(Path::new(path)), quoted_path);
        }
    }
}
