//! The text of a Go template, cut into tokens: text outside of `{{ }}`, words and signs inside.
//! Knows about trimmed white space and comments; never knows what the words mean.

/// Kind of a token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// Text outside of actions, white space already trimmed.
    Text,
    /// `{{`.
    Open,
    /// `}}`.
    Close,
    /// White space between words.
    Space,
    /// The name of a function or a keyword.
    Word,
    /// `.name`.
    Field,
    /// `.`.
    Dot,
    /// `$` or `$name`.
    Variable,
    /// A number as written, or a character in single quotes.
    Number,
    /// A string in double quotes or back quotes, with what it means.
    Literal(String),
    /// `:=`.
    Declare,
    /// `=`.
    Assign,
    /// `|`.
    Pipe,
    /// `(`.
    Left,
    /// `)`.
    Right,
    /// `,`.
    Comma,
    /// After the last token.
    End,
}

/// One token.
#[derive(Clone, Debug)]
pub(super) struct GoToken<'a> {
    pub(super) kind: TokenKind,
    /// As it stands in the template; for text, without what was trimmed.
    pub(super) text: &'a str,
    /// Its first byte.
    pub(super) at: usize,
}

/// A mistake that makes a template unreadable, and its offset.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Mistake {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Mistake {
        Mistake { at, message: message.into() }
    }
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const BLANKS: &[char] = &[' ', '\t', '\r', '\n'];

/// Returns all tokens of `source`, the last one being `End`.
pub(super) fn tokens(source: &str) -> Result<Vec<GoToken<'_>>, Mistake> {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::with_capacity(source.len() / 8 + 8) };
    let mut trim = false;
    while let Some(open) = source[lexer.at..].find(OPEN).map(|found| lexer.at + found) {
        let inside = &source[open + OPEN.len()..];
        let trims_before = inside.strip_prefix('-').is_some_and(|rest| rest.starts_with(BLANKS));
        lexer.text(open, trim, trims_before);
        lexer.at = open + OPEN.len() + if trims_before { 2 } else { 0 };
        trim = if lexer.rest().trim_start_matches(|c| trims_before && BLANKS.contains(&c)).starts_with("/*") {
            lexer.comment(open)?
        } else {
            lexer.tokens.push(GoToken { kind: TokenKind::Open, text: OPEN, at: open });
            lexer.action(open)?
        };
    }
    lexer.text(source.len(), trim, false);
    lexer.push(TokenKind::End, source.len(), source.len());
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<GoToken<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn push(&mut self, kind: TokenKind, start: usize, end: usize) {
        self.tokens.push(GoToken { kind, text: &self.source[start..end], at: start });
        self.at = end;
    }

    fn text(&mut self, end: usize, trim_start: bool, trim_end: bool) {
        let whole = &self.source[self.at..end];
        let start = if trim_start { whole.len() - whole.trim_start_matches(BLANKS).len() } else { 0 };
        let text = if trim_end { whole[start..].trim_end_matches(BLANKS) } else { &whole[start..] };
        if !text.is_empty() {
            self.tokens.push(GoToken { kind: TokenKind::Text, text, at: self.at + start });
        }
        self.at = end;
    }

    /// Skips a comment; returns whether white space after it is trimmed.
    fn comment(&mut self, open: usize) -> Result<bool, Mistake> {
        let Some(end) = self.rest().find("*/") else { return Err(Mistake::new(open, "the comment is not closed")) };
        self.at += end + 2;
        let trims = self.trims_after();
        let rest = &self.rest()[if trims { 2 } else { 0 }..];
        if !rest.starts_with(CLOSE) {
            return Err(Mistake::new(open, "the comment must end right before }}"));
        }
        self.at = self.source.len() - rest.len() + CLOSE.len();
        Ok(trims)
    }

    /// Checks whether ` -}}` comes next.
    fn trims_after(&self) -> bool {
        let rest = self.rest();
        rest.starts_with(BLANKS) && rest[1..].strip_prefix('-').is_some_and(|rest| rest.starts_with(CLOSE))
    }

    /// Reads the tokens up to `}}`; returns whether white space after it is trimmed.
    fn action(&mut self, open: usize) -> Result<bool, Mistake> {
        let mut parentheses: Vec<usize> = Vec::new();
        loop {
            let start = self.at;
            let rest = self.rest();
            let trims = self.trims_after();
            if trims || rest.starts_with(CLOSE) {
                if let Some(unclosed) = parentheses.pop() {
                    return Err(Mistake::new(unclosed, "the parenthesis is not closed"));
                }
                let start = start + if trims { 2 } else { 0 };
                self.push(TokenKind::Close, start, start + CLOSE.len());
                return Ok(trims);
            }
            let Some(first) = rest.chars().next() else {
                return Err(Mistake::new(open, "the action is not closed: }} is missing"));
            };
            match first {
                ' ' | '\t' | '\r' | '\n' => self.space(),
                ':' if rest.starts_with(":=") => self.push(TokenKind::Declare, start, start + 2),
                '=' => self.push(TokenKind::Assign, start, start + 1),
                '|' => self.push(TokenKind::Pipe, start, start + 1),
                ',' => self.push(TokenKind::Comma, start, start + 1),
                '(' => {
                    parentheses.push(start);
                    self.push(TokenKind::Left, start, start + 1);
                }
                ')' => {
                    if parentheses.pop().is_none() {
                        return Err(Mistake::new(start, "the parenthesis was not opened"));
                    }
                    self.push(TokenKind::Right, start, start + 1);
                }
                '"' => self.quoted()?,
                '`' => self.raw()?,
                '\'' => self.character()?,
                '$' => self.name(TokenKind::Variable)?,
                '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    let kind = if rest[1..].starts_with(is_of_a_word) { TokenKind::Field } else { TokenKind::Dot };
                    self.name(kind)?;
                }
                '.' | '+' | '-' | '0'..='9' => self.number()?,
                c if is_of_a_word(c) => self.name(TokenKind::Word)?,
                c => return Err(Mistake::new(start, format!("`{}` has no meaning here", c.escape_debug()))),
            }
        }
    }

    fn space(&mut self) {
        let start = self.at;
        while self.rest().starts_with(BLANKS) && !self.trims_after() {
            self.at += 1;
        }
        let end = self.at;
        self.push(TokenKind::Space, start, end);
    }

    /// Reads a word, a variable or a field: it may begin with a sign, and must be followed by something that ends words.
    fn name(&mut self, kind: TokenKind) -> Result<(), Mistake> {
        let start = self.at;
        let sign = usize::from(kind != TokenKind::Word);
        let word = self.rest()[sign..].find(|c| !is_of_a_word(c)).unwrap_or(self.rest().len() - sign);
        let end = start + sign + if kind == TokenKind::Dot { 0 } else { word };
        let after = &self.source[end..];
        let ends = after.starts_with(CLOSE) || after.chars().next().is_none_or(|c| " \t\r\n.,|:)(".contains(c));
        if kind != TokenKind::Dot && !ends {
            let c = after.chars().next().unwrap_or_default();
            return Err(Mistake::new(end, format!("`{}` cannot follow a name", c.escape_debug())));
        }
        self.push(kind, start, end);
        Ok(())
    }

    fn number(&mut self) -> Result<(), Mistake> {
        let start = self.at;
        let bytes = self.rest().as_bytes();
        let mut length = usize::from(bytes[0] == b'+' || bytes[0] == b'-');
        while let Some(byte) = bytes.get(length) {
            let sign_of_exponent = matches!(byte, b'+' | b'-')
                && matches!(bytes[length - 1], b'e' | b'E' | b'p' | b'P')
                && length > 1
                && !(bytes[..length].starts_with(b"0x") && matches!(bytes[length - 1], b'e' | b'E'));
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || sign_of_exponent) {
                break;
            }
            length += 1;
        }
        self.push(TokenKind::Number, start, start + length);
        Ok(())
    }

    fn raw(&mut self) -> Result<(), Mistake> {
        let start = self.at;
        let Some(length) = self.rest()[1..].find('`') else {
            return Err(Mistake::new(start, "the back quote is not closed"));
        };
        let meaning = self.rest()[1..=length].replace('\r', "");
        self.push(TokenKind::Literal(meaning), start, start + length + 2);
        Ok(())
    }

    fn quoted(&mut self) -> Result<(), Mistake> {
        let start = self.at;
        let (end, meaning) = self.unquoted('"')?;
        let meaning = String::from_utf8(meaning)
            .map_err(|_| Mistake::new(start, "the string is not UTF-8 text: its escapes make other bytes"))?;
        self.push(TokenKind::Literal(meaning), start, end);
        Ok(())
    }

    fn character(&mut self) -> Result<(), Mistake> {
        let start = self.at;
        let (end, meaning) = self.unquoted('\'')?;
        let one = std::str::from_utf8(&meaning).is_ok_and(|text| text.chars().count() == 1) || meaning.len() == 1;
        if !one {
            return Err(Mistake::new(start, "single quotes hold one character; a string has double quotes"));
        }
        self.push(TokenKind::Number, start, end);
        Ok(())
    }

    /// Returns the end of the quoted text that begins here, and the bytes that it means.
    fn unquoted(&self, quote: char) -> Result<(usize, Vec<u8>), Mistake> {
        let start = self.at;
        let mut meaning = Vec::new();
        let mut chars = self.rest()[1..].char_indices().map(|(offset, c)| (start + 1 + offset, c));
        let unclosed = || Mistake::new(start, "the quote is not closed");
        loop {
            match chars.next().ok_or_else(unclosed)? {
                (_, '\n') => return Err(unclosed()),
                (at, c) if c == quote => return Ok((at + 1, meaning)),
                (at, '\\') => {
                    let (_, c) = chars.next().ok_or_else(unclosed)?;
                    let bad = || Mistake::new(at, "there is no such escape in a quoted string");
                    let mut code = |first: Option<char>, digits: usize, radix: u32| {
                        let mut text: String = first.into_iter().collect();
                        text.extend(chars.by_ref().take(digits).map(|(_, c)| c));
                        let all_digits = text.chars().all(|c| c.is_digit(radix));
                        u32::from_str_radix(&text, radix).ok().filter(|_| all_digits).ok_or_else(bad)
                    };
                    match c {
                        'a' => meaning.push(7),
                        'b' => meaning.push(8),
                        'f' => meaning.push(12),
                        'n' => meaning.push(b'\n'),
                        'r' => meaning.push(b'\r'),
                        't' => meaning.push(b'\t'),
                        'v' => meaning.push(11),
                        '\\' => meaning.push(b'\\'),
                        c if c == quote => meaning.push(c as u8),
                        'x' => meaning.push(u8::try_from(code(None, 2, 16)?).map_err(|_| bad())?),
                        '0'..='7' => meaning.push(u8::try_from(code(Some(c), 2, 8)?).map_err(|_| bad())?),
                        'u' | 'U' => {
                            let c = char::from_u32(code(None, if c == 'u' { 4 } else { 8 }, 16)?).ok_or_else(bad)?;
                            meaning.extend(c.encode_utf8(&mut [0; 4]).bytes());
                        }
                        _ => return Err(bad()),
                    }
                }
                (_, c) => meaning.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
    }
}

fn is_of_a_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
