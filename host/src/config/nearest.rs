//! "Did you mean": the known name that a mistyped one resembles.

/// The candidate nearest to `name`, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The end of a message: `; did you mean `NAME`?`, or nothing.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    match nearest(name, candidates) {
        Some(known) => format!("; did you mean `{known}`?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_near_are_meant() {
        let known = ["idle_timeout", "write_timeout", "bind"];
        assert_eq!(nearest("idle_timout", known), Some("idle_timeout"));
        assert_eq!(nearest("Bind", known), Some("bind"));
        assert_eq!(nearest("bnid", known), Some("bind"));
        assert_eq!(nearest("port", known), None);
        assert_eq!(did_you_mean("bin", known), "; did you mean `bind`?");
        assert_eq!(did_you_mean("x", known), "");
    }
}
