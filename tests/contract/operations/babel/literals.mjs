// Reads [{ source, language }] as JSON and writes, for each, the literals tagged `gql` or `graphql`, or null for a syntax error.
import { readFileSync } from "node:fs";
import { parse } from "@babel/parser";

const PLUGINS = {
  js: ["jsx", "decorators", "decoratorAutoAccessors"],
  ts: ["typescript", "decorators", "decoratorAutoAccessors"],
  tsx: ["typescript", "jsx", "decorators", "decoratorAutoAccessors"],
};
const TAGS = new Set(["gql", "graphql"]);

function unwrapped(node) {
  while (node?.extra?.parenthesized && node.type === "ParenthesizedExpression") node = node.expression;
  return node;
}

function literals(source, language) {
  let program;
  try {
    program = parse(source, { sourceType: "module", plugins: PLUGINS[language], ranges: false, attachComment: false });
  } catch {
    return null;
  }
  const found = [];
  const magic = program.comments.filter((each) => each.type === "CommentBlock" && /^\s*graphql\s*$/i.test(each.value));
  const afterMagic = new Set();
  for (const comment of magic) {
    let at = comment.end;
    for (;;) {
      while (/\s/.test(source[at] ?? "")) at += 1;
      const next = program.comments.find((each) => each.start === at);
      if (next === undefined) break;
      at = next.end;
    }
    afterMagic.add(at);
  }
  const add = (node, tag) => found.push({ start: node.start, end: node.end, tag });
  const isLiteral = (node) => node?.type === "TemplateLiteral" || node?.type === "StringLiteral";
  const visit = (node, tagged) => {
    if (node === null || typeof node !== "object") return;
    if (Array.isArray(node)) return node.forEach((each) => visit(each, tagged));
    if (typeof node.type !== "string" || node.type === "CommentBlock" || node.type === "CommentLine") return;
    if (node.type === "TaggedTemplateExpression" && node.tag.type === "Identifier" && TAGS.has(node.tag.name)) {
      add(node.quasi, node.tag.name);
      tagged.add(node.quasi);
    }
    if (node.type === "CallExpression" && node.callee.type === "Identifier" && TAGS.has(node.callee.name)) {
      const first = unwrapped(node.arguments[0]);
      if (isLiteral(first)) {
        add(first, node.callee.name);
        tagged.add(first);
      }
    }
    if (isLiteral(node) && !tagged.has(node)) {
      const isMarked = afterMagic.has(node.start);
      if (isMarked || (node.type === "TemplateLiteral" && source.startsWith("#graphql", node.start + 1))) add(node, null);
    }
    for (const key of Object.keys(node)) if (key !== "loc" && key !== "extra") visit(node[key], tagged);
  };
  visit(program.program, new Set());
  return found.sort((a, b) => a.end - b.end);
}

const cases = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(cases.map(({ source, language }) => literals(source, language))));
