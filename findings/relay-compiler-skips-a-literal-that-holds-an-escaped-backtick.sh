#!/usr/bin/env bash
# relay-compiler skips a graphql literal that holds an escaped backtick, and succeeds.
#
# In JavaScript, \` inside a template is a backtick. GraphQL allows one in a comment or a description, where people write it
# around the names of fields. relay-compiler 21.0.1 finds no document in such a literal: it writes no artifact for its operation,
# prints no warning and exits with 0. Literals before and behind it in the same file are compiled. Its own Babel plugin (21.0.1)
# does read the literal, and makes a reference to the artifact that does not exist, so that the bundler fails, or the first
# render. `relay-compiler --validate` reports nothing either.
#
# Output seen:
#   compiler: exit code 0, artifacts AppAfterQuery AppBeforeQuery
#   Babel plugin: refers to AppAfterQuery AppBeforeQuery AppCommentedQuery
#   compiler --validate: exit code 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --prefix . relay-compiler@21.0.1 babel-plugin-relay@21.0.1 @babel/core@7.28.5 \
  graphql@16.11.0 >/dev/null
mkdir src
cat >src/App.js <<'SOURCE'
const { graphql } = require('relay-runtime')
const before = graphql`
  query AppBeforeQuery { greeting }
`
const commented = graphql`
  # The field \`greeting\` is all there is.
  query AppCommentedQuery { greeting }
`
const after = graphql`
  query AppAfterQuery { greeting }
`
SOURCE
echo 'type Query { greeting: String }' >schema.graphql
echo '{"src": "./src", "schema": "./schema.graphql", "language": "javascript"}' >relay.config.json

code=0
npx relay-compiler >log.txt 2>&1 || code=$?
artifacts=$(cd src/__generated__ && echo *.graphql.js | sed 's/\.graphql\.js//g')
echo "compiler: exit code $code, artifacts $artifacts"
[ "$code" = 0 ] && [ "$artifacts" = "AppAfterQuery AppBeforeQuery" ]
! grep -i -E "warn|error|Commented" log.txt

referred=$(node - <<'NODE'
const { code } = require('@babel/core').transformFileSync('src/App.js', { plugins: ['relay'], babelrc: false, configFile: false })
const names = [...code.matchAll(/__generated__\/(\w+)\.graphql/g)].map(([, name]) => name)
console.log([...new Set(names)].sort().join(' '))
NODE
)
echo "Babel plugin: refers to $referred"
[ "$referred" = "AppAfterQuery AppBeforeQuery AppCommentedQuery" ]

code=0
npx relay-compiler --validate >log.txt 2>&1 || code=$?
echo "compiler --validate: exit code $code"
[ "$code" = 0 ]
