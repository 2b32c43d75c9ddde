// Runs tests/unit: each *.test.ts is bundled with esbuild (state/*.svelte.ts go through the Svelte compiler first), then
// node:test runs the bundles. Node 18 and 20 read no TypeScript by themselves; this is all that is missing.
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileModule } from 'svelte/compiler';
import { transformSync } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, 'node_modules', '.cache', 'tests');
const wanted = process.argv.slice(2);
const names = readdirSync(join(root, 'tests', 'unit')).filter(
  (name) => name.endsWith('.test.ts') && (wanted.length === 0 || wanted.some((part) => name.includes(part))),
);

const runes = {
  name: 'svelte-modules',
  setup(builder) {
    builder.onLoad({ filter: /\.svelte\.ts$/ }, ({ path }) => {
      const plain = transformSync(readFileSync(path, 'utf8'), { loader: 'ts', target: 'es2022' }).code;
      const { js } = compileModule(plain, { filename: path, generate: 'client' });
      return { contents: js.code, loader: 'js', resolveDir: dirname(path) };
    });
  },
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  entryPoints: names.map((name) => join(root, 'tests', 'unit', name)),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node18',
  conditions: ['browser', 'default'],
  external: ['svelte/compiler'], // found in node_modules beside the bundles
  define: { 'import.meta.env.ROOT': JSON.stringify(root) },
  plugins: [runes],
  logLevel: 'warning',
});
const files = readdirSync(out).filter((name) => name.endsWith('.mjs')).map((name) => join(out, name));
process.exit(spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' }).status ?? 1);
