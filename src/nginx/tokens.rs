//! A configuration as words, `;` and braces, as nginx separates them, and as directives. Pure: knows no directive's meaning.

/// One directive: its words, up to the `;` or the `{` of its block, and how many blocks it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name and its arguments.
    pub words: Vec<String>,
    /// Number of blocks around it.
    pub depth: usize,
}

/// Returns the directives of a configuration, or of a part of one, in their order, those with a block included.
pub fn directives(text: &str) -> impl Iterator<Item = Directive> {
    let mut tokens = Tokens::of(text);
    let mut depth = 0_usize;
    std::iter::from_fn(move || {
        let mut words: Vec<String> = Vec::new();
        loop {
            let at = depth;
            match tokens.next()? {
                Token::Word(word) => {
                    words.push(word);
                    continue;
                }
                Token::End => {}
                Token::Open => depth += 1,
                Token::Close => {
                    depth = depth.saturating_sub(1);
                    words.clear();
                }
            }
            if !words.is_empty() {
                return Some(Directive { words, depth: at });
            }
        }
    })
}

/// A token.
pub enum Token {
    /// A word, without its quotes.
    Word(String),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// The tokens of a text, as nginx separates them.
pub struct Tokens<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl<'a> Tokens<'a> {
    /// Returns the tokens of this text.
    pub fn of(text: &'a str) -> Tokens<'a> {
        Tokens { rest: text.chars().peekable() }
    }

    /// Reads a word up to its end; `quote` is the quote that it begins with.
    fn word(&mut self, quote: Option<char>) -> String {
        let mut word = String::new();
        // `${name}` is one piece.
        let mut in_variable = false;
        while let Some(c) = self.rest.peek().copied() {
            let is_end = match quote {
                Some(quote) => c == quote,
                None if in_variable || c == '{' && word.ends_with('$') => false,
                None => c.is_whitespace() || matches!(c, ';' | '{' | '}'),
            };
            in_variable = quote.is_none() && (in_variable || c == '{') && c != '}';
            if is_end {
                break;
            }
            self.rest.next();
            if c == '\\' {
                word.extend(self.rest.next());
            } else {
                word.push(c);
            }
        }
        if quote.is_some() {
            self.rest.next();
        }
        word
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let c = self.rest.peek().copied()?;
            if c == '#' {
                while self.rest.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            if c.is_whitespace() {
                self.rest.next();
                continue;
            }
            let single = match c {
                ';' => Token::End,
                '{' => Token::Open,
                '}' => Token::Close,
                '"' | '\'' => {
                    self.rest.next();
                    return Some(Token::Word(self.word(Some(c))));
                }
                _ => return Some(Token::Word(self.word(None))),
            };
            self.rest.next();
            return Some(single);
        }
    }
}
