//! The settings in words: `docs/configuration.md` and the end of `mapweave serve --help`.

use std::fmt::Write;

use super::parse::Rule;
use super::settings::{Config, Key, keys};

/// The list of all settings in Markdown, by section.
pub fn reference() -> String {
    let (mut out, mut section) = (String::new(), None);
    let defaults = Config::default();
    for key in keys() {
        let own = key.name.split_once('.').map(|(section, _)| section);
        if section != Some(own) {
            section = Some(own);
            let title = own.map_or("Top level".to_owned(), |own| format!("`[{own}]`"));
            let _ = write!(
                out,
                "\n## {title}\n\n| Key | Default | Allowed | Meaning |\n|---|---|---|---|\n"
            );
        }
        let field = key.name.rsplit('.').next().unwrap_or(key.name);
        let meaning = meaning(key).replace('|', "\\|");
        let _ = writeln!(
            out,
            "| `{field}`<br>`{}` | {} | {} | {meaning} |",
            key.variable(),
            key.show(&defaults),
            allowed(key.rule)
        );
    }
    out
}

/// The list of all settings for a terminal: key, variable and default.
pub fn help() -> String {
    let defaults = Config::default();
    let mut out = String::from(
        "Every setting, its default and its variable (--set KEY=VALUE, MAPWEAVE_…, or the key in the\nTOML file; docs/configuration.md has their meaning and bounds):\n",
    );
    for key in keys() {
        let _ = writeln!(
            out,
            "  {} = {}\n      {}",
            key.name,
            key.show(&defaults),
            key.variable()
        );
    }
    out
}

fn meaning(key: &Key) -> String {
    key.doc
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ")
}

fn allowed(rule: Rule) -> String {
    match rule {
        Rule::Bytes { min, max } | Rule::Count { min, max } | Rule::Seconds { min, max } => {
            format!("{} – {}", rule.show_number(min), rule.show_number(max))
        }
        Rule::Switch => "true, false".to_owned(),
        Rule::Address => "address:port".to_owned(),
        Rule::Path | Rule::File => "path".to_owned(),
        Rule::Text => "text".to_owned(),
        Rule::Secret => "32 bytes or more".to_owned(),
        Rule::Url => "http://…, https://…".to_owned(),
        Rule::Upstream => "https://…, http://…".to_owned(),
        Rule::Patterns => "patterns".to_owned(),
        Rule::Choice(words) => words.join(", "),
        Rule::Filter => "log filter".to_owned(),
        Rule::Hosts => "host names".to_owned(),
        Rule::Origins => "origins".to_owned(),
        Rule::Networks => "networks, addresses".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    const START: &str = "<!-- settings: written from the code; a test compares them -->\n";

    /// `UPDATE_DOCS=1 cargo test -p mapweave --lib config` writes the list anew.
    #[test]
    fn the_documentation_lists_every_setting_as_it_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        let document = std::fs::read_to_string(&path).unwrap();
        let (head, list) = document.split_once(START).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, format!("{head}{START}{}", reference())).unwrap();
        } else {
            assert_eq!(
                list,
                reference(),
                "run UPDATE_DOCS=1 cargo test -p mapweave --lib config"
            );
        }
    }

    #[test]
    fn names_carry_their_unit() {
        for key in keys() {
            let unit = match key.rule {
                Rule::Bytes { .. } => "bytes",
                Rule::Seconds { .. } => "_s",
                _ => continue,
            };
            assert!(key.name.contains(unit), "{}", key.name);
        }
    }
}
