// The weight and the shape of what is shipped; runs over dist/ when it was built.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { brotliCompressSync } from 'node:zlib';

const root = (import.meta as unknown as { env: { ROOT: string } }).env.ROOT;
const dist = process.env['TROUPE_WEB_DIR'] ?? join(root, 'dist'); // as CMake is told
const LIMIT_BYTES = 100 * 1024;
const built = existsSync(join(dist, 'index.html'));

/** What a name loads at once: static imports of scripts. Fonts are told by the style sheets, so they are counted apart: sans, serif, and the italic of actions. */
function staticImports(name: string, seen: Set<string>): void {
  if (seen.has(name)) {
    return;
  }
  seen.add(name);
  const text = readFileSync(join(dist, 'assets', name), 'utf8');
  for (const found of text.matchAll(/(?:import|from)\s*"\.\/([^"]+)"/g)) {
    staticImports(found[1] ?? '', seen);
  }
}

/** The chunk of a lazy page and the style sheets that come with it. */
function page(name: string): string[] {
  return readdirSync(join(dist, 'assets')).filter((file) => file.startsWith(`${name}-`) && /\.(js|css)$/.test(file));
}

function weigh(files: Iterable<string>): number {
  let sum = 0;
  for (const file of files) {
    const bytes = readFileSync(join(dist, file));
    sum += file.endsWith('.woff2') ? bytes.length : brotliCompressSync(bytes).length;
  }
  return sum;
}

for (const first of ['Home', 'SignIn', 'Setup', 'Chat']) {
  test(`dist: the first load of ${first} stays under 100 KiB, fonts included`, { skip: !built && 'not built' }, () => {
    const html = readFileSync(join(dist, 'index.html'), 'utf8');
    const entry = [...html.matchAll(/\/assets\/([^"]+)"/g)].map((found) => found[1] ?? '');
    const scripts = new Set<string>();
    [...entry, ...page(first)].filter((name) => name.endsWith('.js')).forEach((name) => staticImports(name, scripts));
    const named = [...scripts].map((name) => name.replace(/-[\w-]{8}\.js$/, ''));
    const styles = readdirSync(join(dist, 'assets')).filter((name) => name.endsWith('.css') && named.some((chunk) => name.startsWith(`${chunk}-`)));
    const fonts = readdirSync(join(dist, 'assets')).filter((name) => /^(figtree-core|literata-core|literata-italic-core)/.test(name));
    const all = new Set(['index.html', 'paint.js', ...[...scripts, ...styles, ...fonts].map((name) => `assets/${name}`)]);
    const bytes = weigh(all);
    console.log(`first load of ${first}: ${bytes} bytes compressed in ${all.size} files`);
    assert.ok(fonts.length === 3 && styles.length > 0);
    assert.ok(bytes <= LIMIT_BYTES, `${bytes} bytes`);
  });
}

test('dist: nothing inline that the Content-Security-Policy refuses, nothing from elsewhere', { skip: !built && 'not built' }, () => {
  const html = readFileSync(join(dist, 'index.html'), 'utf8');
  assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=/i);
  for (const name of readdirSync(join(dist, 'assets'))) {
    assert.match(name, /-[\w-]{8}\.\w+$/, `${name} has a hash in its name`);
    if (/\.(js|css)$/.test(name)) {
      const text = readFileSync(join(dist, 'assets', name), 'utf8');
      if (name.endsWith('.css')) {
        assert.ok([...text.matchAll(/url\(([^)]*)\)/g)].every((found) => found[1]?.startsWith('/assets/')), `${name} loads from elsewhere`);
      }
      assert.ok(!/\beval\(|new Function\(/.test(text), `${name} makes code from text`);
    }
  }
});
