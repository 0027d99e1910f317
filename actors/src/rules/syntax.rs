//! The grammar of conditions: from text to a tree with a position at every node.
//!
//! It is CEL's grammar without what conditions refuse anyway (maps, messages, bytes, unsigned numbers, null).
//! Written by hand because a rule file reaches every process through the event log, and the stack is a bound a
//! parser must keep for itself: the generated parser of the crate `cel` takes some 100 KB of stack for one pair
//! of brackets in a debug build, so that a file with twenty of them ends the process. Here nesting is counted
//! and refused. That both parsers read the same is held by the property tests in `oracle`.

use super::token::{Sign, Token, Tokens};

/// Deepest nesting of brackets and of operators: bounds the stack of parser, checks and evaluation.
pub const NESTING_MAX: usize = 32;

/// A part of an expression, and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// In characters from the start of the text: of an operator its sign, of a selection the field's name.
    pub at: usize,
    /// What it is.
    pub form: Form,
    /// Levels of operators and brackets below and including this one.
    height: usize,
}

/// What an expression can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// `true`
    Bool(bool),
    /// `3`
    Int(i64),
    /// `3.0`
    Double(f64),
    /// `"three"`
    Text(String),
    /// `event`
    Name(String),
    /// `a.field`
    Select(Box<Expr>, String),
    /// `a[b]`
    Index(Box<[Expr; 2]>),
    /// `name(args)`, `target.name(args)`
    Call {
        /// The function.
        name: String,
        /// What it is called on.
        target: Option<Box<Expr>>,
        /// What it is given.
        args: Vec<Expr>,
    },
    /// `!a`
    Not(Box<Expr>),
    /// `-a`
    Negate(Box<Expr>),
    /// `a && b && ..` or `a || b || ..`, the whole chain at once, so that a long one is not a deep one.
    Chain(Sign, Vec<Expr>),
    /// Any other operator between two.
    Binary(Sign, Box<[Expr; 2]>),
    /// `a ? b : c`
    If(Box<[Expr; 3]>),
    /// `[a, b]`
    List(Vec<Expr>),
}

/// Why a text is no expression: where, in characters, and what is wrong.
pub type SyntaxError = (usize, String);

/// Parses a whole expression.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(text: &str) -> Result<Expr, SyntaxError> {
    let mut parser = Parser {
        tokens: Tokens::of(text)?,
        depth: 0,
    };
    let expr = parser.expr()?;
    match parser.tokens.peek() {
        (_, Token::End) => Ok(expr),
        _more => Err(parser.unexpected()),
    }
}

struct Parser {
    tokens: Tokens,
    depth: usize,
}

fn too_deep(at: usize) -> SyntaxError {
    (at, format!("it nests deeper than {NESTING_MAX} levels"))
}

/// A node above `children`, if it does not stand too high.
fn node(at: usize, form: Form, children: &[usize]) -> Result<Expr, SyntaxError> {
    let height = children.iter().max().map_or(0, |below| below + 1);
    if height > NESTING_MAX {
        return Err(too_deep(at));
    }
    Ok(Expr { at, form, height })
}

/// Two operands and the sign between them; a chain of `&&` or `||` grows in length, not in height.
fn join(at: usize, sign: Sign, left: Expr, right: Expr) -> Result<Expr, SyntaxError> {
    if !matches!(sign, Sign::And | Sign::Or) {
        let heights = [left.height, right.height];
        return node(at, Form::Binary(sign, Box::new([left, right])), &heights);
    }
    let (mut parts, below) = match left {
        Expr {
            form: Form::Chain(of, parts),
            height,
            ..
        } if of == sign => (parts, height - 1),
        other => {
            let height = other.height;
            (vec![other], height)
        }
    };
    let heights = [below, right.height];
    parts.push(right);
    node(at, Form::Chain(sign, parts), &heights)
}

impl Parser {
    fn expr(&mut self) -> Result<Expr, SyntaxError> {
        if self.depth > NESTING_MAX {
            return Err(too_deep(self.tokens.peek().0));
        }
        self.depth += 1;
        let condition = self.binary(0)?;
        let expr = match self.takes(Sign::Question) {
            None => condition,
            Some(at) => {
                let then = self.binary(0)?;
                self.expect(Sign::Colon)?;
                let otherwise = self.expr()?;
                let heights = [condition.height, then.height, otherwise.height];
                let parts = Box::new([condition, then, otherwise]);
                node(at, Form::If(parts), &heights)?
            }
        };
        self.depth -= 1;
        Ok(expr)
    }

    /// Operators that bind at least as strongly as the row `weakest` of the table, from the left.
    fn binary(&mut self, weakest: usize) -> Result<Expr, SyntaxError> {
        let mut left = self.unary()?;
        while let (at, Token::Sign(sign)) = *self.tokens.peek()
            && let Some(row) = PRECEDENCES.iter().position(|signs| signs.contains(&sign))
            && row >= weakest
        {
            self.tokens.next();
            let right = self.binary(row + 1)?;
            left = join(at, sign, left, right)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, SyntaxError> {
        for sign in [Sign::Not, Sign::Minus] {
            let Some(at) = self.takes(sign) else {
                continue;
            };
            // As in CEL a pair of signs cancels out.
            let mut odd = true;
            while self.takes(sign).is_some() {
                odd = !odd;
            }
            if sign == Sign::Minus
                && odd
                && let (_, Token::Int(magnitude)) = self.tokens.peek()
            {
                let number = 0_i64
                    .checked_sub_unsigned(*magnitude)
                    .ok_or_else(|| too_large(at))?;
                self.tokens.next();
                return self.member(node(at, Form::Int(number), &[])?);
            }
            let operand = self.primary()?;
            let operand = self.member(operand)?;
            let height = [operand.height];
            return match (odd, sign) {
                (false, _) => Ok(operand),
                (true, Sign::Not) => node(at, Form::Not(Box::new(operand)), &height),
                (true, _minus) => node(at, Form::Negate(Box::new(operand)), &height),
            };
        }
        let operand = self.primary()?;
        self.member(operand)
    }

    /// Selections, calls and indices behind `operand`.
    fn member(&mut self, mut operand: Expr) -> Result<Expr, SyntaxError> {
        loop {
            if self.takes(Sign::Dot).is_some() {
                let (at, Token::Name(name)) = self.tokens.next() else {
                    return Err(self.unexpected_last());
                };
                let mut heights = vec![operand.height];
                let operand_box = Box::new(operand);
                let form = if self.takes(Sign::Open).is_some() {
                    let args = self.list(Sign::Close, false)?;
                    heights.extend(args.iter().map(|arg| arg.height));
                    Form::Call {
                        name,
                        target: Some(operand_box),
                        args,
                    }
                } else {
                    Form::Select(operand_box, name)
                };
                operand = node(at, form, &heights)?;
            } else if let Some(at) = self.takes(Sign::OpenSquare) {
                let index = self.expr()?;
                self.expect(Sign::CloseSquare)?;
                let heights = [operand.height, index.height];
                operand = node(at, Form::Index(Box::new([operand, index])), &heights)?;
            } else {
                return Ok(operand);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, SyntaxError> {
        let (at, token) = self.tokens.next();
        match token {
            Token::Bool(b) => node(at, Form::Bool(b), &[]),
            Token::Int(magnitude) => {
                let number = i64::try_from(magnitude).map_err(|_| too_large(at))?;
                node(at, Form::Int(number), &[])
            }
            Token::Double(number) => node(at, Form::Double(number), &[]),
            Token::Text(text) => node(at, Form::Text(text), &[]),
            Token::Name(name) => {
                if self.takes(Sign::Open).is_none() {
                    return node(at, Form::Name(name), &[]);
                }
                let args = self.list(Sign::Close, false)?;
                let heights: Vec<usize> = args.iter().map(|arg| arg.height).collect();
                let target = None;
                node(at, Form::Call { name, target, args }, &heights)
            }
            Token::Sign(Sign::Open) => {
                let inner = self.expr()?;
                self.expect(Sign::Close)?;
                Ok(inner)
            }
            Token::Sign(Sign::OpenSquare) => {
                let elements = self.list(Sign::CloseSquare, true)?;
                let heights: Vec<usize> = elements.iter().map(|element| element.height).collect();
                node(at, Form::List(elements), &heights)
            }
            Token::Sign(Sign::OpenCurly) => Err((at, "conditions build no maps".into())),
            Token::Sign(_) | Token::End => Err(self.unexpected_last()),
        }
    }

    /// Expressions between commas up to `close`; a list may end in a comma.
    fn list(&mut self, close: Sign, may_trail: bool) -> Result<Vec<Expr>, SyntaxError> {
        let mut elements = Vec::new();
        if self.takes(close).is_some() {
            return Ok(elements);
        }
        loop {
            elements.push(self.expr()?);
            if self.takes(close).is_some() {
                return Ok(elements);
            }
            self.expect(Sign::Comma)?;
            if may_trail && self.takes(close).is_some() {
                return Ok(elements);
            }
        }
    }

    /// Takes the next token if it is this sign, and says where it stood.
    fn takes(&mut self, sign: Sign) -> Option<usize> {
        match self.tokens.peek() {
            (at, Token::Sign(next)) if *next == sign => {
                let at = *at;
                self.tokens.next();
                Some(at)
            }
            _other => None,
        }
    }

    fn expect(&mut self, sign: Sign) -> Result<(), SyntaxError> {
        match self.takes(sign) {
            Some(_) => Ok(()),
            None => Err(self.unexpected()),
        }
    }

    /// The next token cannot stand where it does.
    fn unexpected(&mut self) -> SyntaxError {
        self.tokens.next();
        self.unexpected_last()
    }

    /// The token just taken cannot stand where it does.
    fn unexpected_last(&self) -> SyntaxError {
        let (at, found) = self.tokens.last();
        if found.is_empty() {
            return (at, "it ends too early".into());
        }
        let right = match found {
            "=" => "; equality is `==`",
            "and" | "AND" => "; write `&&`",
            "or" | "OR" => "; write `||`",
            "not" | "NOT" => "; write `!`",
            _unexpected => "",
        };
        (at, format!("`{found}` cannot stand here{right}"))
    }
}

fn too_large(at: usize) -> SyntaxError {
    (at, "a number is too large for an int".into())
}

/// The operators between two operands, weakest first; those of one row bind alike.
const PRECEDENCES: [&[Sign]; 5] = [
    &[Sign::Or],
    &[Sign::And],
    &[
        Sign::Equal,
        Sign::Unequal,
        Sign::Less,
        Sign::LessEqual,
        Sign::Greater,
        Sign::GreaterEqual,
        Sign::In,
    ],
    &[Sign::Plus, Sign::Minus],
    &[Sign::Times, Sign::Divide, Sign::Remainder],
];
