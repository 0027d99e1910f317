//! Whether what a template renders is a list of addresses or channels that a message can go to (S2.11).

use super::Stage;
use crate::sinks::{email::address::mailboxes, template::Template};

impl Stage<'_> {
    /// A list of addresses for mail.
    pub(super) fn mailboxes(&mut self, template: &Template, text: &str, most: usize, name: &str) {
        let all = mailboxes(text);
        let mut found: Vec<String> = all
            .iter()
            .filter_map(|(written, mailbox)| match mailbox {
                Ok(_) => None,
                Err(why) => Some(format!("{written:?} is {why}")),
            })
            .collect();
        if all.is_empty() {
            found.push("renders to no address".to_owned());
        } else if all.len() > most {
            found.push("renders to more than one address".to_owned());
        }
        for problem in found {
            self.note(template.key().to_owned(), format!("over {name}: {problem}"));
        }
    }

    /// A list of channels and users of Slack's.
    pub(super) fn channels(&mut self, template: &Template, text: &str, name: &str) {
        let ids = text.split([',', ';', '\n']).map(str::trim);
        let ids: Vec<&str> = ids.filter(|id| !id.is_empty()).collect();
        if ids.is_empty() {
            let problem = format!("over {name}: renders to no channel or user");
            self.note(template.key().to_owned(), problem);
        }
        for id in ids {
            // Names are taken as well, though ids are what lasts.
            let plain = |c: char| c.is_alphanumeric() || "#-_.".contains(c);
            if !id.chars().all(plain) {
                let problem = format!("over {name}: {id:?} is no id of a channel or user");
                self.note(template.key().to_owned(), problem);
            }
        }
    }
}
