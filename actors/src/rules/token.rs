//! The words of a condition: names, signs, numbers and texts, each with its position.
//!
//! `syntax` puts them together. What conditions do not know at all (bytes, unsigned numbers, null) is already
//! refused here, with what to write instead.

use super::syntax::SyntaxError;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// `event`
    Name(String),
    /// `true`
    Bool(bool),
    /// The digits of an int: whether they fit depends on the sign before them.
    Int(u64),
    /// `1.5`
    Double(f64),
    /// `"text"`, without quotes and escapes.
    Text(String),
    /// An operator or a bracket.
    Sign(Sign),
    /// The end of the text.
    End,
}

/// Operators, brackets and what stands between; `SIGNS` shows what each looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Or,
    And,
    Equal,
    Unequal,
    LessEqual,
    GreaterEqual,
    Less,
    Greater,
    In,
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
    Not,
    Question,
    Colon,
    Dot,
    Comma,
    Open,
    Close,
    OpenSquare,
    CloseSquare,
    OpenCurly,
    CloseCurly,
    /// No operator of CEL, but the likeliest slip: kept so that the error can say so.
    Assign,
}

/// How signs look; longer ones before those they begin with.
const SIGNS: [(&str, Sign); 26] = [
    ("||", Sign::Or),
    ("&&", Sign::And),
    ("==", Sign::Equal),
    ("!=", Sign::Unequal),
    ("<=", Sign::LessEqual),
    (">=", Sign::GreaterEqual),
    ("<", Sign::Less),
    (">", Sign::Greater),
    ("in", Sign::In),
    ("+", Sign::Plus),
    ("-", Sign::Minus),
    ("*", Sign::Times),
    ("/", Sign::Divide),
    ("%", Sign::Remainder),
    ("!", Sign::Not),
    ("?", Sign::Question),
    (":", Sign::Colon),
    (".", Sign::Dot),
    (",", Sign::Comma),
    ("(", Sign::Open),
    (")", Sign::Close),
    ("[", Sign::OpenSquare),
    ("]", Sign::CloseSquare),
    ("{", Sign::OpenCurly),
    ("}", Sign::CloseCurly),
    ("=", Sign::Assign),
];

impl Sign {
    /// As it is written.
    pub fn text(self) -> &'static str {
        let sign = SIGNS.iter().find(|(_, sign)| *sign == self);
        sign.map_or("", |(text, _)| text)
    }
}

/// All words of a text, read one after the other.
pub struct Tokens {
    /// Position in characters, the word, and how it is written.
    all: Vec<((usize, Token), String)>,
    next: usize,
}

impl Tokens {
    /// Cuts a text into words.
    ///
    /// # Errors
    /// The first character or literal that is no word of a condition.
    pub fn of(text: &str) -> Result<Self, SyntaxError> {
        let mut reader = Reader { text, at: 0 };
        let mut all = Vec::new();
        loop {
            reader.skip_blanks();
            let (start, before) = (reader.at, reader.text);
            let token = reader.token().map_err(|what| (start, what))?;
            let written = &before[..before.len() - reader.text.len()];
            let ended = token == Token::End;
            all.push(((start, token), written.to_owned()));
            if ended {
                return Ok(Self { all, next: 0 });
            }
        }
    }

    /// The next word. The last one, the end, stays.
    pub fn peek(&self) -> &(usize, Token) {
        &self.all[self.next.min(self.all.len() - 1)].0
    }

    /// Takes the next word.
    pub fn next(&mut self) -> (usize, Token) {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    /// Where the word taken last stood, and how it was written; the end is written as nothing.
    pub fn last(&self) -> (usize, &str) {
        let last = self.next.saturating_sub(1).min(self.all.len() - 1);
        let ((at, _), written) = &self.all[last];
        (*at, written)
    }
}

struct Reader<'a> {
    /// What is left.
    text: &'a str,
    /// Characters before it.
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.text.split_at(bytes);
        self.at += taken.chars().count();
        self.text = rest;
        taken
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.text.find(|c| !fits(c)).unwrap_or(self.text.len());
        self.take(end)
    }

    /// White space and comments.
    fn skip_blanks(&mut self) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{C}'));
            if !self.text.starts_with("//") {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn token(&mut self) -> Result<Token, String> {
        let mut chars = self.text.chars();
        let Some(first) = chars.next() else {
            return Ok(Token::End);
        };
        let second_is_digit = chars.next().is_some_and(|c| c.is_ascii_digit());
        match first {
            '"' | '\'' => self.quoted(false),
            '0'..='9' => self.number(),
            '.' if second_is_digit => self.number(),
            'a'..='z' | 'A'..='Z' | '_' => self.name(),
            other => {
                let found = SIGNS.iter().find(|(sign, _)| self.text.starts_with(sign));
                let (written, sign) =
                    found.ok_or_else(|| format!("`{other}` cannot stand here"))?;
                self.take(written.len());
                Ok(Token::Sign(*sign))
            }
        }
    }

    fn name(&mut self) -> Result<Token, String> {
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let quoted = self.text.starts_with(['"', '\'']);
        match name {
            "r" | "R" if quoted => self.quoted(true),
            "b" | "B" | "br" | "bR" | "Br" | "BR" | "rb" | "rB" | "Rb" | "RB" if quoted => {
                Err("no field holds bytes: write a string".into())
            }
            "true" => Ok(Token::Bool(true)),
            "false" => Ok(Token::Bool(false)),
            "null" => Err("nothing is null: ask with `has(..)` whether a field is there".into()),
            "in" => Ok(Token::Sign(Sign::In)),
            name => Ok(Token::Name(name.to_owned())),
        }
    }

    fn number(&mut self) -> Result<Token, String> {
        let all = self.text;
        let digits = |c: char| c.is_ascii_digit();
        let hexadecimal = ["0x", "0X"].iter().any(|prefix| all.starts_with(prefix));
        let token = if hexadecimal {
            self.take(2);
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            if digits.is_empty() {
                return Err("`0x` is no number".into());
            }
            u64::from_str_radix(digits, 16).map(Token::Int).ok()
        } else {
            self.take_while(digits);
            let mut double = false;
            if fraction_follows(self.text) {
                self.take(1);
                self.take_while(digits);
                double = true;
            }
            if let Some(length) = exponent_length(self.text) {
                self.take(length);
                self.take_while(digits);
                double = true;
            }
            let written = &all[..all.len() - self.text.len()];
            if double {
                written.parse().map(Token::Double).ok()
            } else {
                written.parse().map(Token::Int).ok()
            }
        };
        let written = &all[..all.len() - self.text.len()];
        if self.text.starts_with(['u', 'U']) {
            return Err(format!("numbers are ints and doubles: write `{written}`"));
        }
        token.ok_or_else(|| "a number is too large for an int".into())
    }

    /// A text from its quotes on.
    fn quoted(&mut self, raw: bool) -> Result<Token, String> {
        const NO_END: &str = "a text has no closing quote";
        let quote = &self.text[..1];
        let triple = quote.repeat(3);
        let long = self.text.starts_with(&triple);
        let close = if long { triple.as_str() } else { quote };
        self.take(close.len());
        let mut text = String::new();
        loop {
            if self.text.starts_with(close) {
                self.take(close.len());
                return Ok(Token::Text(text));
            }
            let c = self.text.chars().next().ok_or(NO_END)?;
            match c {
                '\n' | '\r' if !long => return Err(NO_END.into()),
                '\\' if raw => {
                    // In a raw text a backslash stands for itself and keeps the quote behind it from closing.
                    let after = self.text.chars().nth(1).ok_or(NO_END)?;
                    text.push_str(self.take(1 + after.len_utf8()));
                }
                '\\' => text.push(self.escape()?),
                c => text.push_str(self.take(c.len_utf8())),
            }
        }
    }

    /// A backslash and what it stands for.
    fn escape(&mut self) -> Result<char, String> {
        let all = self.text;
        let kind = all.chars().nth(1).ok_or("a text has no closing quote")?;
        let (skipped, digits, radix) = match kind {
            'x' | 'X' => (2, 2, 16),
            'u' => (2, 4, 16),
            'U' => (2, 8, 16),
            '0'..='3' => (1, 3, 8),
            simple => {
                let c = match simple {
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{C}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{B}',
                    '\\' | '?' | '"' | '\'' | '`' => simple,
                    other => return Err(format!("`\\{other}` stands for nothing in a text")),
                };
                self.take(1 + kind.len_utf8());
                return Ok(c);
            }
        };
        let code = all
            .get(skipped..skipped + digits)
            .filter(|code| code.chars().all(|c| c.is_digit(radix)))
            .and_then(|code| u32::from_str_radix(code, radix).ok())
            .and_then(char::from_u32);
        self.take(1 + kind.len_utf8());
        let rest = skipped + digits - 2;
        let c =
            code.ok_or_else(|| format!("`\\{kind}` is not followed by a character's number"))?;
        self.take(rest);
        Ok(c)
    }
}

/// Whether a dot and a digit follow: `1.x` selects, `1.5` is a number.
fn fraction_follows(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('.') && chars.next().is_some_and(|c| c.is_ascii_digit())
}

/// The length of `e`, `e+` or `e-` if digits follow it.
fn exponent_length(text: &str) -> Option<usize> {
    let after = text.strip_prefix(['e', 'E'])?;
    let digits = after.strip_prefix(['+', '-']).unwrap_or(after);
    digits
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some(text.len() - digits.len())
}
