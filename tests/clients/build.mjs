// Bundles the checks named, as a frontend's build would: esbuild for TypeScript, Relay's own plugin for its tags.

import { readFile } from "node:fs/promises";

import { transformAsync } from "@babel/core";
import { build } from "esbuild";

const relay = {
  name: "relay",
  setup: ({ onLoad }) =>
    onLoad({ filter: /[/\\]relay[/\\][^/\\]+\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const options = { filename: path, plugins: ["relay"], parserOpts: { plugins: ["typescript"] }, configFile: false };
      return { contents: (await transformAsync(source, options)).code, loader: "ts" };
    }),
};

const names = process.argv.slice(2);
const with17 = names[0] === "--graphql17" && names.shift();

await build({
  entryPoints: names.map((name) => `${name}/check.ts`),
  alias: with17 ? { graphql: "graphql17" } : {},
  outdir: with17 ? "build/graphql17" : "build",
  outbase: ".",
  outExtension: { ".js": ".cjs" },
  bundle: true,
  platform: "node",
  format: "cjs",
  sourcemap: "inline",
  logLevel: "warning",
  plugins: [relay],
});
