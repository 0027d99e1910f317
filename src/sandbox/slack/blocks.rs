//! Limits of Block Kit, as its reference lists them: what exceeds one is `invalid_blocks`.

use serde_json::Value;

/// Blocks of a message.
const BLOCKS_MAX: usize = 50;
/// Characters of a `block_id` or `action_id`.
const ID_MAX: usize = 255;
/// Characters of the text of a section.
const SECTION_MAX: usize = 3_000;
/// Fields of a section, and characters of each.
const FIELDS_MAX: (usize, usize) = (10, 2_000);
/// Characters of a header.
const HEADER_MAX: usize = 150;
/// Elements of a context.
const CONTEXT_MAX: usize = 10;
/// Elements of an actions block.
const ACTIONS_MAX: usize = 25;
/// Characters of a button's text, URL and value.
const BUTTON_MAX: (usize, usize, usize) = (75, 3_000, 2_000);
/// Characters of an image's URL and alternative text.
const IMAGE_MAX: (usize, usize) = (3_000, 2_000);
/// Characters of a markdown block, all of a message together.
const MARKDOWN_MAX: usize = 12_000;

/// Everything that is wrong, as Slack words it: what, and where.
pub fn check(blocks: &[Value]) -> Vec<String> {
    let mut found = Found::default();
    if blocks.len() > BLOCKS_MAX {
        found.add(
            "/blocks",
            &format!("no more than {BLOCKS_MAX} items allowed"),
        );
    }
    for (at, block) in blocks.iter().enumerate() {
        found.block(block, &format!("/blocks/{at}"));
    }
    found.messages
}

#[derive(Default)]
struct Found {
    messages: Vec<String>,
}

impl Found {
    fn add(&mut self, place: &str, what: &str) {
        self.messages
            .push(format!("[ERROR] {what} [json-pointer:{place}]"));
    }

    fn block(&mut self, block: &Value, place: &str) {
        self.length(block, "block_id", ID_MAX, place);
        match block["type"].as_str() {
            Some("section") => self.section(block, place),
            Some("header") => {
                let place = format!("{place}/text");
                self.text(&block["text"], &["plain_text"], HEADER_MAX, &place);
            }
            Some("context") => {
                let elements = self.list(block, "elements", CONTEXT_MAX, place);
                for (at, element) in elements.iter().enumerate() {
                    let place = format!("{place}/elements/{at}");
                    match element["type"].as_str() {
                        Some("image") => self.image(element, &place),
                        _ => self.text(element, &TEXTS, SECTION_MAX, &place),
                    }
                }
            }
            Some("actions") => {
                let elements = self.list(block, "elements", ACTIONS_MAX, place);
                for (at, element) in elements.iter().enumerate() {
                    self.element(element, &format!("{place}/elements/{at}"));
                }
            }
            Some("image") => self.image(block, place),
            Some("markdown") => {
                if block["text"].as_str().is_none_or(str::is_empty) {
                    self.add(place, "missing required field: text");
                }
                self.length(block, "text", MARKDOWN_MAX, place);
            }
            Some("divider" | "rich_text" | "table" | "video" | "file") => {}
            Some(other) => self.add(place, &format!("unsupported type: {other}")),
            None => self.add(place, "missing required field: type"),
        }
    }

    fn section(&mut self, block: &Value, place: &str) {
        let has_text = !block["text"].is_null();
        if has_text {
            let place = format!("{place}/text");
            self.text(&block["text"], &TEXTS, SECTION_MAX, &place);
        }
        if !block["fields"].is_null() {
            let fields = self.list(block, "fields", FIELDS_MAX.0, place);
            for (at, field) in fields.iter().enumerate() {
                let place = format!("{place}/fields/{at}");
                self.text(field, &TEXTS, FIELDS_MAX.1, &place);
            }
        } else if !has_text {
            self.add(place, "missing required field: text");
        }
        if !block["accessory"].is_null() {
            self.element(&block["accessory"], &format!("{place}/accessory"));
        }
    }

    fn element(&mut self, element: &Value, place: &str) {
        self.length(element, "action_id", ID_MAX, place);
        match element["type"].as_str() {
            Some("button") => {
                let (text, url, value) = BUTTON_MAX;
                let text_place = format!("{place}/text");
                self.text(&element["text"], &["plain_text"], text, &text_place);
                self.length(element, "url", url, place);
                self.length(element, "value", value, place);
            }
            Some("image") => self.image(element, place),
            // Menus and pickers, which no message of ours has.
            Some(_) => {}
            None => self.add(place, "missing required field: type"),
        }
    }

    fn image(&mut self, image: &Value, place: &str) {
        for name in ["image_url", "alt_text"] {
            let is_file = name == "image_url" && !image["slack_file"].is_null();
            if !is_file && image[name].as_str().is_none_or(str::is_empty) {
                self.add(place, &format!("missing required field: {name}"));
            }
        }
        self.length(image, "image_url", IMAGE_MAX.0, place);
        self.length(image, "alt_text", IMAGE_MAX.1, place);
    }

    fn text(&mut self, text: &Value, kinds: &[&str], most: usize, place: &str) {
        if !text["type"]
            .as_str()
            .is_some_and(|kind| kinds.contains(&kind))
        {
            self.add(
                place,
                &format!("must be a text object: {}", kinds.join(" or ")),
            );
            return;
        }
        if text["text"].as_str().is_none_or(str::is_empty) {
            self.add(place, "must be more than 0 characters");
        }
        self.length(text, "text", most, place);
    }

    fn length(&mut self, holder: &Value, name: &str, most: usize, place: &str) {
        let length = holder[name].as_str().map_or(0, |text| text.chars().count());
        if length > most {
            let place = format!("{place}/{name}");
            self.add(
                &place,
                &format!("must be less than {} characters", most + 1),
            );
        }
    }

    fn list<'a>(&mut self, holder: &'a Value, name: &str, most: usize, place: &str) -> &'a [Value] {
        let list = holder[name].as_array().map_or(&[][..], Vec::as_slice);
        let place = format!("{place}/{name}");
        if list.is_empty() {
            self.add(&place, "must have at least 1 item");
        } else if list.len() > most {
            self.add(&place, &format!("no more than {most} items allowed"));
        }
        list
    }
}

/// Kinds of text objects.
const TEXTS: [&str; 2] = ["mrkdwn", "plain_text"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn long(length: usize) -> String {
        "é".repeat(length)
    }

    fn section(length: usize) -> Value {
        json!({ "type": "section", "text": { "type": "mrkdwn", "text": long(length) } })
    }

    #[test]
    fn each_limit_is_met_at_the_limit_and_not_one_above() {
        let header = |length| json!({ "type": "header", "text": { "type": "plain_text", "text": long(length) } });
        let field = |length| json!({ "type": "mrkdwn", "text": long(length) });
        let fields = |count| json!({ "type": "section", "fields": vec![field(1); count] });
        let wide = |length| json!({ "type": "section", "fields": [field(length)] });
        let context = |count| json!({ "type": "context", "elements": vec![field(1); count] });
        let button = |length| json!({ "type": "button", "text": { "type": "plain_text", "text": long(length) } });
        let actions = |count| json!({ "type": "actions", "elements": vec![button(1); count] });
        let pressed = |length| json!({ "type": "actions", "elements": [button(length)] });
        let named = |length| json!({ "type": "divider", "block_id": long(length) });
        let image = |length| json!({ "type": "image", "image_url": "https://x/y", "alt_text": long(length) });
        type Made<'a> = &'a dyn Fn(usize) -> Value;
        let limits: [(Made<'_>, usize); 10] = [
            (&section, 3_000),
            (&header, 150),
            (&fields, 10),
            (&wide, 2_000),
            (&context, 10),
            (&pressed, 75),
            (&actions, 25),
            (&named, 255),
            (&image, 2_000),
            (
                &|length| json!({ "type": "markdown", "text": long(length) }),
                12_000,
            ),
        ];
        for (at, (made, most)) in limits.iter().enumerate() {
            assert_eq!(check(&[made(*most)]), Vec::<String>::new(), "limit {at}");
            assert_eq!(check(&[made(most + 1)]).len(), 1, "above limit {at}");
        }
        assert!(check(&vec![section(1); 50]).is_empty());
        assert_eq!(
            check(&vec![section(1); 51]),
            ["[ERROR] no more than 50 items allowed [json-pointer:/blocks]"]
        );
    }

    #[test]
    fn what_lacks_something_is_named_with_its_place() {
        for block in [
            json!({ "type": "section" }),
            json!({ "type": "section", "text": "plain" }),
            json!({ "type": "header", "text": { "type": "mrkdwn", "text": "x" } }),
            json!({ "type": "image", "image_url": "https://x/y" }),
            json!({ "type": "surprise" }),
            json!({ "text": "no type" }),
            section(0),
        ] {
            let messages = check(&[section(1), block.clone()]);
            assert_eq!(messages.len(), 1, "{block}: {messages:?}");
            assert!(messages[0].contains("/blocks/1"), "{messages:?}");
        }
    }
}
