// Bundles the tests with the page's modules that they import, and runs them: node run.mjs PAGE_SOURCES
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { build } from "esbuild";

const [page] = process.argv.slice(2);
await build({
  entryPoints: readdirSync(".").filter((name) => name.endsWith(".test.ts")),
  alias: { page, graphql: resolve("node_modules/graphql") }, // The page's own copy would be another.
  bundle: true,
  format: "esm",
  mainFields: ["module", "main"], // The other form of jsonc-parser cannot be bundled.
  nodePaths: ["node_modules"],
  outdir: "built",
  outExtension: { ".js": ".mjs" },
  platform: "node",
});
const built = readdirSync("built").map((name) => `built/${name}`);
process.exitCode = spawnSync("node", ["--test", "--test-reporter=tap", ...built], { stdio: "inherit" }).status ?? 1;
