//! The attribute `#[handler]` of `portcell-sdk`, where it is documented.
//!
//! It finds the name of the function and adds the export `handle`. What happens when the host
//! calls it is `portcell_sdk::run`, an ordinary function; whether the signature fits is left to
//! rustc.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// Makes a function the handler of this plugin. Documented where it is re-exported.
#[proc_macro_attribute]
pub fn handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let added = match name_of_handler(arguments, item.clone()) {
        Ok(name) => export(&name),
        Err(misuse) => misuse.into_compile_error(),
    };
    let mut output = item;
    output.extend(added);
    output
}

/// A mistake, and the token to point at.
struct Misuse {
    message: &'static str,
    at: Span,
}

impl Misuse {
    fn into_compile_error(self) -> TokenStream {
        let mut message = Literal::string(self.message);
        message.set_span(self.at);
        let mut bang = Punct::new('!', Spacing::Alone);
        bang.set_span(self.at);
        let mut body = Group::new(Delimiter::Brace, TokenTree::from(message).into());
        body.set_span(self.at);
        [Ident::new("compile_error", self.at).into(), bang.into(), TokenTree::from(body)]
            .into_iter()
            .collect()
    }
}

fn name_of_handler(arguments: TokenStream, item: TokenStream) -> Result<Ident, Misuse> {
    if let Some(argument) = arguments.into_iter().next() {
        let message = "#[handler] takes no arguments";
        return Err(Misuse { message, at: argument.span() });
    }
    let not_a_function =
        |at| Misuse { message: "#[handler] goes on a function: `fn name(conn: Connection)`", at };

    let mut tokens = item.into_iter();
    let mut first = None;
    while let Some(token) = tokens.next() {
        match &token {
            // An attribute or a doc comment, and the `(crate)` of a visibility.
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                tokens.next();
                continue;
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => continue,
            TokenTree::Literal(_) => continue,
            TokenTree::Ident(word) => match word.to_string().as_str() {
                "async" => {
                    let message = "a handler is not async: its calls wait, and only its own \
                                   connection waits with them";
                    return Err(Misuse { message, at: word.span() });
                }
                "fn" => break,
                "pub" | "const" | "unsafe" | "extern" => {}
                _ => return Err(not_a_function(first.unwrap_or(word.span()))),
            },
            other => return Err(not_a_function(first.unwrap_or(other.span()))),
        }
        first.get_or_insert(token.span());
    }
    let Some(TokenTree::Ident(name)) = tokens.next() else {
        return Err(not_a_function(first.unwrap_or_else(Span::call_site)));
    };
    match tokens.next() {
        Some(TokenTree::Punct(punct)) if punct.as_char() == '<' => Err(Misuse {
            message: "a handler has no generic parameters: the host could not choose them",
            at: punct.span(),
        }),
        _ => Ok(name),
    }
}

/// The export, and off wasm the same call without it, so that the signature is checked there too.
///
/// It is in a scope of its own and under another name, so that the handler may be called `handle`.
fn export(handler: &Ident) -> TokenStream {
    let template = r#"
        const _: () = {
            #[cfg_attr(target_family = "wasm", unsafe(export_name = "handle"))]
            #[allow(unsafe_code, dead_code, reason = "the name under which the host finds the handler")]
            extern "C" fn __portcell_handle() -> i32 {
                ::portcell_sdk::run(HANDLER)
            }
        };
    "#;
    let tokens = template.parse().unwrap_or_else(|_| TokenStream::new());
    with_handler(tokens, handler)
}

/// Puts the name in its place, and every token at the name, so that errors point there.
fn with_handler(tokens: TokenStream, handler: &Ident) -> TokenStream {
    let here = Span::call_site().located_at(handler.span());
    tokens
        .into_iter()
        .map(|token| {
            let mut token = match token {
                TokenTree::Ident(word) if word.to_string() == "HANDLER" => {
                    return handler.clone().into();
                }
                TokenTree::Group(group) => {
                    let stream = with_handler(group.stream(), handler);
                    Group::new(group.delimiter(), stream).into()
                }
                other => other,
            };
            token.set_span(here);
            token
        })
        .collect()
}
