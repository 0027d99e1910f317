//! Declared paths as a tree, and which of them speaks for a field.
//!
//! `metadata.source` stands before `metadata.*`, and that before `*.source`: of two paths that both lead to a field,
//! the one that is exact earlier speaks.

use std::collections::BTreeMap;

use super::Action;

/// The segment that stands for every key of an object or every item of a list, one level deep.
pub const ANY: &str = "*";

/// Everything declared for one destination, or one output type of it.
#[derive(Debug, Default)]
pub struct Tree {
    root: Node,
}

/// One segment of declared paths.
#[derive(Debug, Default)]
pub struct Node {
    action: Option<Action>,
    named: BTreeMap<String, Node>,
    any: Option<Box<Node>>,
}

impl Tree {
    /// Declares a path. False if it was declared already; the first declaration stands.
    pub fn declare<'a>(
        &mut self,
        segments: impl IntoIterator<Item = &'a str>,
        action: Action,
    ) -> bool {
        let mut node = &mut self.root;
        for segment in segments {
            node = match segment {
                ANY => node.any.get_or_insert_default(),
                name => node.named.entry(name.to_owned()).or_default(),
            };
        }
        if node.action.is_some() {
            return false;
        }
        node.action = Some(action);
        true
    }

    /// The action of a field at the top that was declared by its name.
    #[must_use]
    pub fn action_of(&self, name: &str) -> Option<Action> {
        self.root.named.get(name)?.action
    }

    /// Where a walk begins.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        Place(vec![&self.root])
    }
}

/// A place in the data: the declared paths that lead to it, the one that speaks first.
pub struct Place<'a>(Vec<&'a Node>);

impl<'a> Place<'a> {
    /// What is declared for the value here.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        self.0.iter().find_map(|node| node.action)
    }

    /// Whether anything below is declared, so that an object here is walked.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        self.0
            .iter()
            .any(|node| !node.named.is_empty() || node.any.is_some())
    }

    /// Whether items of a list here are declared.
    #[must_use]
    pub fn has_items(&self) -> bool {
        self.0.iter().any(|node| node.any.is_some())
    }

    /// Whether the policy's author wrote this very name, so that it is no data.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.0.iter().any(|node| node.named.contains_key(name))
    }

    /// One level down an object.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.below(|node| node.named.get(name))
    }

    /// One level down a list.
    #[must_use]
    pub fn items(&self) -> Self {
        self.below(|_| None)
    }

    fn below(&self, named: impl Fn(&'a Node) -> Option<&'a Node>) -> Self {
        let below = self
            .0
            .iter()
            .flat_map(|node| named(node).into_iter().chain(node.any.as_deref()));
        Self(below.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[(&str, Action)]) -> Tree {
        let mut tree = Tree::default();
        for (path, action) in paths {
            assert!(tree.declare(path.split('.'), *action), "{path}");
        }
        tree
    }

    #[test]
    fn s3_11_the_path_that_is_exact_earlier_speaks() {
        let tree = tree(&[
            ("*.b", Action::Mask),
            ("a.*", Action::Hash),
            ("a.b", Action::Plain),
        ]);
        let at = |path: &str| {
            path.split('.')
                .fold(tree.place(), |place, name| place.field(name))
                .action()
        };
        assert_eq!(at("a.b"), Some(Action::Plain));
        assert_eq!(at("a.c"), Some(Action::Hash));
        assert_eq!(at("x.b"), Some(Action::Mask));
        assert_eq!(at("x.c"), None);
        assert_eq!(at("a"), None);
        assert_eq!(at("a.b.c"), None);
        assert_eq!(tree.place().field("a").items().action(), Some(Action::Hash));
        assert_eq!(tree.place().field("x").items().action(), None);
    }

    #[test]
    fn a_path_is_declared_once() {
        let mut tree = tree(&[("a.*", Action::Mask)]);
        assert!(!tree.declare(["a", "*"], Action::Plain));
        assert_eq!(
            tree.place().field("a").field("x").action(),
            Some(Action::Mask)
        );
    }
}
