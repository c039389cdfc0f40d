#!/usr/bin/env bash
# tree-sitter's TypeScript grammar refuses some type arguments between a tag and its template.
#
# TypeScript allows type arguments before a tagged template (since 2.9): gql<Query, Variables>`…`. With
# tree-sitter-typescript 0.23.2 (tree-sitter 0.26.1), both grammars, `typescript` and `tsx`, parse one name or a generic name
# there, and report a syntax error for two arguments, an array, an object type and `typeof`. Before the arguments of a call the
# same types are parsed. A tool that looks for tagged templates in the tree finds gql<Query>`…`, and loses
# gql<Query, Variables>`…`, which code generators suggest.
#
# Output seen:
#   parsed   gql<Query>`{ a }`
#   parsed   gql<Query<A>>`{ a }`
#   refused  gql<Query, Variables>`{ a }`
#   refused  gql<Query[]>`{ a }`
#   refused  gql<{ a: string }>`{ a }`
#   refused  gql<typeof query>`{ a }`
#   parsed   gql<Query, Variables>('{ a }')
#   TypeScript 5.9.3 reports no syntax error in any of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tree-sitter==0.26.1 tree-sitter-typescript==0.23.2
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . typescript@5.9.3 >/dev/null
cat >snippets.txt <<'SNIPPETS'
parsed   gql<Query>`{ a }`
parsed   gql<Query<A>>`{ a }`
refused  gql<Query, Variables>`{ a }`
refused  gql<Query[]>`{ a }`
refused  gql<{ a: string }>`{ a }`
refused  gql<typeof query>`{ a }`
parsed   gql<Query, Variables>('{ a }')
SNIPPETS
venv/bin/python - <<'PYTHON'
import tree_sitter
import tree_sitter_typescript

grammars = (tree_sitter_typescript.language_typescript(), tree_sitter_typescript.language_tsx())
parsers = [tree_sitter.Parser(tree_sitter.Language(grammar)) for grammar in grammars]
for line in open("snippets.txt"):
    expected, source = line.rstrip("\n").split(maxsplit=1)
    refused = [parser.parse(f"const a = {source};".encode()).root_node.has_error for parser in parsers]
    assert refused == [expected == "refused"] * 2, f"now it is otherwise: {source}"
    print(f"{expected:8} {source}")
PYTHON
node - <<'NODE'
const ts = require('./node_modules/typescript')
const lines = require('fs').readFileSync('snippets.txt', 'utf8').trim().split('\n')
for (const line of lines) {
  const source = `const a = ${line.slice(9)};`
  const { diagnostics } = ts.transpileModule(source, { reportDiagnostics: true })
  if (diagnostics.length) throw new Error(`TypeScript refuses it too: ${source}`)
}
console.log(`TypeScript ${ts.version} reports no syntax error in any of them.`)
NODE
