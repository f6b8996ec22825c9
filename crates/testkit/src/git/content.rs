//! File contents that compress and differ like source code does, without being anyone's code.

use crate::random::Random;

const WORDS: [&str; 32] = [
    "record", "handler", "format", "stream", "level", "context", "process", "channel", "buffer", "option", "value",
    "result", "input", "output", "style", "helper", "question", "table", "cursor", "section", "width", "message",
    "event", "token", "parser", "writer", "reader", "filter", "state", "index", "count", "limit",
];
const LINES: [&str; 8] = [
    "        $this->{a} = ${b}->get{C}({n});",
    "        if (null === ${a} || ${b} < {n}) {\n            throw new \\LogicException('The {a} must not exceed the {b}.');\n        }",
    "        foreach (${a}s as $key => ${b}) {\n            $this->{c}s[$key] = ${b}->{a}($key, {n});\n        }",
    "        return ${a} instanceof {B} ? ${a}->{c}() : new {B}(${a}, {n});",
    "    /**\n     * Gives the {a} of this {b}, or the {c} with number {n}.\n     */",
    "    public function get{A}{B}(int ${a} = {n}): {C}\n    {",
    "        // The {a} comes before the {b}: see section {n} of the {c}.",
    "    }\n",
];

/// A PHP class of roughly `lines` statements.
pub(super) fn php_class(random: &mut Random, namespace: &str, class: &str, lines: usize) -> String {
    let mut text = format!("<?php\n\ndeclare(strict_types=1);\n\nnamespace {namespace};\n\nfinal class {class}\n{{\n");
    for _ in 0..lines {
        text.push_str(&line(random));
        text.push('\n');
    }
    text.push_str("}\n");
    text
}

fn line(random: &mut Random) -> String {
    let mut line = (*random.pick(&LINES)).to_owned();
    for (lower, upper) in [("{a}", "{A}"), ("{b}", "{B}"), ("{c}", "{C}")] {
        let word = *random.pick(&WORDS);
        line = line.replace(lower, word).replace(upper, &capitalised(word));
    }
    line.replace("{n}", &random.below(1000).to_string())
}

/// `record` is `Record`.
pub(super) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A class name that is its own for each number.
pub(super) fn class_name(number: usize) -> String {
    let first = WORDS[number % WORDS.len()];
    let second = WORDS[(number / WORDS.len() + number) % WORDS.len()];
    format!("{}{}{number}", capitalised(first), capitalised(second))
}
