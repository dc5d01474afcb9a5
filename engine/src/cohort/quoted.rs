//! Names in the quotes of other databases.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Names as SQL Server ([name]) and BigQuery (`project.dataset.name`) quote them, as quoted names in lower case.
pub(super) fn quoted_otherwise(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut read: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.as_slice();
    while let [first, others @ ..] = rest {
        let quoted = match first.token {
            Token::LBracket if !ends_in_a_value(&read) => in_brackets(others),
            Token::Char('`') => in_backticks(others),
            _ => None,
        };
        let (token, length) = match quoted {
            Some((name, length)) => (Token::make_word(&name.to_ascii_lowercase(), Some('"')), length),
            None => (first.token.clone(), 0),
        };
        read.push(TokenWithSpan::new(token, first.span));
        rest = &others[length..];
    }
    read
}

/// The name before a closing bracket, and how many tokens both are.
fn in_brackets(after: &[TokenWithSpan]) -> Option<(&str, usize)> {
    match after {
        [name, end, ..] if end.token == Token::RBracket => Some((plain_name(name)?, 2)),
        _ => None,
    }
}

/// The last name of a path before a closing backtick, and how many tokens all are.
fn in_backticks(after: &[TokenWithSpan]) -> Option<(&str, usize)> {
    let end = after.iter().position(|token| token.token == Token::Char('`'))?;
    Some((plain_name(after.get(end.checked_sub(1)?)?)?, end + 1))
}

fn plain_name(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

/// Whether a bracket that follows would be of an array or its element.
fn ends_in_a_value(read: &[TokenWithSpan]) -> bool {
    let last = read.iter().rev().map(|token| &token.token).find(|token| !matches!(token, Token::Whitespace(_)));
    match last {
        Some(Token::Word(word)) => {
            word.quote_style.is_none() && matches!(word.keyword, Keyword::NoKeyword | Keyword::ARRAY)
        }
        last => matches!(last, Some(Token::RBracket | Token::RParen)),
    }
}
